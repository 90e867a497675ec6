#include "services/tenant_registry/watch_session.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/logging/logging.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/time/clock.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;  // NOLINT

constexpr int kResumePage = 500;  // Revisions read from the log at once.

// Ends the watch's registration however the coroutine ends.
class Unsubscriber {
 public:
  Unsubscriber(Registry* registry, std::shared_ptr<Watcher> watcher)
      : registry_(registry), watcher_(std::move(watcher)) {}
  ~Unsubscriber() { registry_->Unsubscribe(watcher_); }
  Unsubscriber(const Unsubscriber&) = delete;
  Unsubscriber& operator=(const Unsubscriber&) = delete;

 private:
  Registry* const registry_;
  const std::shared_ptr<Watcher> watcher_;
};

class WatchSession {
 public:
  WatchSession(WatchStream* stream, std::shared_ptr<Registry> registry,
               WatchOptions options, WatchEncoder* encoder)
      : stream_(stream),
        registry_(std::move(registry)),
        options_(options),
        encoder_(*encoder) {}

  asio::awaitable<absl::Status> Run() {
    CO_ASSIGN_OR_RETURN(const v1::Subscribe request, co_await ReadSubscribe());
    CO_ASSIGN_OR_RETURN(subscription_, registry_->Subscribe(
                                           request, stream_->context()->peer(),
                                           co_await asio::this_coro::executor));
    watcher_ = subscription_.watcher.get();
    const Unsubscriber at_exit(registry_.get(), subscription_.watcher);
    auto ended = co_await (ReadAcks() || Send() || AwaitCut());
    const absl::Status status =
        std::visit([](const absl::Status& end) { return end; }, ended);
    const bool is_cut = ended.index() == 2 || !watcher_->end().ok();
    if (is_cut && absl::IsResourceExhausted(status)) TellOfCut(status);
    co_return status;
  }

 private:
  asio::awaitable<absl::StatusOr<v1::Subscribe>> ReadSubscribe() {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer.expires_after(absl::ToChronoNanoseconds(options_.subscribe_timeout));
    auto first =
        co_await (stream_->Read() ||
                  timer.async_wait(asio::as_tuple(asio::use_awaitable)));
    if (first.index() == 1) {
      co_return absl::DeadlineExceededError(
          absl::StrCat("no Subscribe within ",
                       absl::FormatDuration(options_.subscribe_timeout)));
    }
    std::optional<grpc::ByteBuffer> message = std::get<0>(std::move(first));
    absl::StatusOr<v1::WatchRequest> request = Parse(&message);
    if (!request.ok() || !request->has_subscribe()) {
      co_return absl::InvalidArgumentError(
          "the first message of a Watch must be Subscribe");
    }
    co_return std::move(*request->mutable_subscribe());
  }

  static absl::StatusOr<v1::WatchRequest> Parse(
      std::optional<grpc::ByteBuffer>* message) {
    v1::WatchRequest request;
    if (!message->has_value() ||
        !grpc::SerializationTraits<v1::WatchRequest>::Deserialize(
             &message->value(), &request)
             .ok()) {
      return absl::InvalidArgumentError("a message is no WatchRequest");
    }
    return request;
  }

  // Until the client has nothing more to say.
  asio::awaitable<absl::Status> ReadAcks() {
    while (true) {
      std::optional<grpc::ByteBuffer> message = co_await stream_->Read();
      if (!message.has_value()) co_return absl::OkStatus();
      CO_ASSIGN_OR_RETURN(const v1::WatchRequest request, Parse(&message));
      if (!request.has_ack()) {
        co_return absl::InvalidArgumentError(
            "only Ack may follow Subscribe; open another Watch instead");
      }
      watcher_->Acknowledge(request.ack(), registry_->clock().Now());
    }
  }

  asio::awaitable<absl::Status> Send() {
    if (subscription_.snapshot != nullptr) {
      CO_RETURN_IF_ERROR(co_await SendSnapshot());
    } else {
      CO_RETURN_IF_ERROR(co_await SendMissed());
    }
    bool quiet = true;  // The first one is told that it has everything.
    while (true) {
      const Watcher::Taken taken = watcher_->Take();
      if (!taken.end.ok()) co_return taken.end;
      if (!taken.changes.empty()) {
        CO_RETURN_IF_ERROR(
            co_await SendChanges(taken.changes, taken.digest.get()));
      } else if (quiet) {
        CO_RETURN_IF_ERROR(co_await SendProgress(&taken));
      }
      quiet = co_await watcher_->Wait(options_.progress_interval);
    }
  }

  asio::awaitable<absl::Status> SendSnapshot() {
    v1::WatchResponse response = New(v1::WatchResponse::PHASE_RESET);
    CO_RETURN_IF_ERROR(co_await Write(Encode(response)));
    const std::shared_ptr<EncodedSnapshot> snapshot = encoder_.Snapshot(
        subscription_.snapshot, watcher_->kinds(), subscription_.epoch);
    int64_t count = 0;
    for (size_t i = 0;; ++i) {
      EncodedSnapshot::Message message = snapshot->Get(i);
      if (message.objects == 0) break;
      count += message.objects;
      CO_RETURN_IF_ERROR(co_await Write(std::move(message.bytes)));
    }
    response = New(v1::WatchResponse::PHASE_SNAPSHOT_END);
    response.set_object_count(count);
    SetSet(*subscription_.snapshot->digest, watcher_->kinds(), &response);
    subscription_.snapshot = nullptr;  // As much memory as all ids.
    co_return co_await Write(Encode(response));
  }

  // What the client missed, out of the log.
  asio::awaitable<absl::Status> SendMissed() {
    int64_t at = subscription_.resume_revision;
    while (at < subscription_.revision) {
      absl::StatusOr<std::vector<Change>> read =
          co_await registry_->ChangesAfter(at, kResumePage);
      if (absl::IsDataLoss(read.status())) co_return NoLog(read.status());
      CO_ASSIGN_OR_RETURN(std::vector<Change> page, std::move(read));
      std::vector<ChangePtr> changes;
      for (Change& change : page) {
        // What came after Subscribe is in the queue as well.
        if (change.revision > subscription_.revision) break;
        at = change.revision;
        changes.push_back(std::make_shared<const Change>(std::move(change)));
      }
      if (changes.empty()) {
        co_return NoLog(absl::DataLossError(
            absl::StrCat("the log has no changes after revision ", at)));
      }
      CO_RETURN_IF_ERROR(co_await SendChanges(std::move(changes), nullptr));
    }
    co_return absl::OkStatus();
  }

  // The client will subscribe again, and must not be led here for ever.
  absl::Status NoLog(const absl::Status& why) {
    registry_->DistrustLog(subscription_.revision, why);
    return absl::OutOfRangeError(
        "the changes since then can't be read; subscribe again");
  }

  // `digest`, if there is one, is of the objects after the last change.
  asio::awaitable<absl::Status> SendChanges(std::vector<ChangePtr> changes,
                                            const tenancy::SetDigest* digest) {
    const WatchEncoder::Messages deltas = encoder_.Deltas(
        changes, watcher_->kinds(), digest, subscription_.epoch);
    for (const grpc::ByteBuffer& delta : *deltas) {
      CO_RETURN_IF_ERROR(co_await Write(delta));
    }
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::Status> SendProgress(const Watcher::Taken* taken) {
    v1::WatchResponse progress = New(v1::WatchResponse::PHASE_PROGRESS);
    progress.set_revision(taken->revision);
    SetSet(*taken->digest, watcher_->kinds(), &progress);
    co_return co_await Write(Encode(progress));
  }

  asio::awaitable<absl::Status> Write(grpc::ByteBuffer message) {
    writing_since_ = SteadyClock::Get()->Now();
    const bool written = co_await stream_->Write(std::move(message));
    writing_since_ = absl::InfiniteFuture();
    if (!written) co_return absl::CancelledError("client gone");
    co_return absl::OkStatus();
  }

  // Ends when the client is too slow, be it for a message or for the changes
  // that come meanwhile. One for all messages: they are many.
  asio::awaitable<absl::Status> AwaitCut() {
    while (true) {
      const absl::Time now = SteadyClock::Get()->Now();
      const absl::Duration left =
          std::min(writing_since_ - now, absl::ZeroDuration()) +
          options_.write_timeout;
      if (left <= absl::ZeroDuration()) {
        co_return absl::ResourceExhaustedError(
            absl::StrCat("the client took no message for ",
                         absl::FormatDuration(options_.write_timeout)));
      }
      co_await watcher_->Delay(left);
      CO_RETURN_IF_ERROR(watcher_->end());
    }
  }

  v1::WatchResponse New(v1::WatchResponse::Phase phase) const {
    v1::WatchResponse response;
    response.set_phase(phase);
    response.set_revision(subscription_.revision);
    response.set_epoch(subscription_.epoch);
    return response;
  }

  void TellOfCut(const absl::Status& status) {
    registry_->metrics().slow_watchers_cut.Increment();
    logging::Warn("slow watcher cut off",
                  {{"client", watcher_->client_id()}, {"err", status}});
  }

  WatchStream* const stream_;
  const std::shared_ptr<Registry> registry_;
  const WatchOptions options_;
  WatchEncoder& encoder_;
  Registry::Subscription subscription_;
  Watcher* watcher_ = nullptr;                         // Of the subscription.
  absl::Time writing_since_ = absl::InfiniteFuture();  // InfiniteFuture: not.
};

}  // namespace

asio::awaitable<absl::Status> ServeWatch(WatchStream* stream,
                                         std::shared_ptr<Registry> registry,
                                         WatchOptions options,
                                         WatchEncoder* encoder) {
  WatchSession session(stream, std::move(registry), options, encoder);
  co_return co_await session.Run();
}

}  // namespace insula::tenant_registry
