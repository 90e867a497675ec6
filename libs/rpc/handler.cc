#include "libs/rpc/handler.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <utility>

#include "absl/time/time.h"
#include "libs/logging/logging.h"
#include "libs/rpc/grpc_status.h"
#include "libs/rpc/guard.h"

namespace insula::rpc::internal {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kLinger(30);

absl::Status StatusOfException(const std::exception_ptr& error,
                               bool cancelled) {
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& e) {
    if (cancelled && e.code() == asio::error::operation_aborted) {
      return absl::CancelledError("the caller gave up");
    }
    logging::Error("rpc handler threw", {{"err", e.what()}});
  } catch (const std::exception& e) {
    logging::Error("rpc handler threw", {{"err", e.what()}});
  } catch (...) {
    logging::Error("rpc handler threw", {{"err", "not a std::exception"}});
  }
  return absl::InternalError("the handler failed, see the server's log");
}

}  // namespace

Handler::Handler(asio::any_io_executor executor)
    : strand_(asio::make_strand(std::move(executor))),
      linger_(strand_),
      recheck_(strand_) {}

void Handler::Start(asio::awaitable<absl::Status> coroutine,
                    FinishFunction finish) {
  finish_ = std::move(finish);
  asio::co_spawn(
      strand_, std::move(coroutine),
      asio::bind_cancellation_slot(
          signal_.slot(), [self = shared_from_this()](std::exception_ptr error,
                                                      absl::Status status) {
            self->Ended(error, status);
          }));
}

void Handler::StartStream(grpc::CallbackServerContext* context,
                          asio::awaitable<absl::Status> coroutine,
                          FinishFunction finish) {
  {
    sync::MutexLock lock(&mutex_);
    context_ = context;
  }
  if (Guard* const guard = GuardOf(*context)) KeepChecking(guard);
  Start(std::move(coroutine), std::move(finish));
}

void Handler::Cancel() {
  asio::post(strand_, [self = shared_from_this()] {
    if (!self->finish_) return;
    self->cancelled_ = true;
    self->signal_.emit(asio::cancellation_type::all);
  });
}

void Handler::Ended(std::exception_ptr error, const absl::Status& status) {
  const absl::Status result =
      error ? StatusOfException(error, cancelled_) : status;
  const FinishFunction finish = std::exchange(finish_, nullptr);
  Linger();
  finish(ToGrpc(result));
}

void Handler::Linger() {
  {
    sync::MutexLock lock(&mutex_);
    if (context_ == nullptr) return;  // Unary.
  }
  linger_.expires_after(kLinger);
  linger_.async_wait(
      [self = shared_from_this()](boost::system::error_code error) {
        if (error) return;
        sync::MutexLock lock(&self->mutex_);
        if (self->context_ != nullptr) self->context_->TryCancel();
      });
}

void Handler::KeepChecking(Guard* guard) {
  recheck_.expires_after(absl::ToChronoMilliseconds(guard->recheck_interval()));
  recheck_.async_wait(
      [self = shared_from_this(), guard](boost::system::error_code error) {
        if (error) return;
        {
          sync::MutexLock lock(&self->mutex_);
          // The guard lives at least as long as the context.
          if (self->context_ == nullptr) return;
          if (!guard->CheckOpen(*self->context_).ok()) {
            self->context_->TryCancel();
            return;
          }
        }
        self->KeepChecking(guard);
      });
}

void Handler::Done() {
  {
    sync::MutexLock lock(&mutex_);
    if (context_ == nullptr) return;
    context_ = nullptr;
  }
  asio::post(strand_, [self = shared_from_this()] {
    self->linger_.cancel();
    self->recheck_.cancel();
  });
}

}  // namespace insula::rpc::internal
