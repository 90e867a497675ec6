#include "libs/registry_client/follower.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace insula::registry_client {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::registry::v1;

// A registry that comes back is found within one second: this and gRPC's own
// pause before it connects again (see registry_client.cc) stay below it.
constexpr Backoff::Options kBackoff = {.initial = absl::Milliseconds(50),
                                       .maximum = absl::Milliseconds(500)};
// What is refused stays refused until somebody acts.
constexpr absl::Duration kAfterRefusal = absl::Seconds(5);
constexpr std::chrono::minutes kSoon{1};
// In a burst of changes, copies are at least so far apart.
constexpr std::chrono::milliseconds kPublishInterval{5};

}  // namespace

Follower::Connection::Connection(const asio::any_io_executor& executor,
                                 std::shared_ptr<Stream> opened)
    : stream(std::move(opened)), ack_due(executor), silence(executor) {}

Follower::Follower(asio::any_io_executor executor, StubSource stubs,
                   Settings settings,
                   std::shared_ptr<const tenancy::Snapshot> held, Events events)
    : strand_(asio::make_strand(std::move(executor))),
      stubs_(std::move(stubs)),
      settings_(std::move(settings)),
      events_(std::move(events)),
      state_(std::move(held), settings_.accept_new_epoch),
      resume_(settings_.resume),
      retry_(strand_),
      publish_(strand_) {}

void Follower::Start() {
  asio::co_spawn(strand_, Run(shared_from_this()), asio::detached);
}

void Follower::Stop() {
  asio::post(strand_, [self = shared_from_this()] {
    self->stopping_ = true;
    self->retry_.cancel();
    if (self->connection_ != nullptr) End(self->connection_.get());
  });
}

void Follower::Post(std::function<void()> function) {
  asio::post(strand_, std::move(function));
}

asio::awaitable<void> Follower::Run(std::shared_ptr<Follower> self) {
  Backoff backoff(kBackoff);
  while (!self->stopping_) {
    const absl::Status status = co_await Follow(self);
    const Connection& connection = *self->connection_;
    if (self->stopping_) break;
    self->events_.on_disconnect(status);
    if (connection.subscribed) backoff.Reset();
    const absl::Duration pause = self->PauseAfter(connection.refusal, &backoff);
    self->connection_ = nullptr;
    self->retry_.expires_after(absl::ToChronoNanoseconds(pause));
    co_await self->retry_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  self->connection_ = nullptr;
  self->events_.on_end();
}

absl::Duration Follower::PauseAfter(WatchState::Refusal refusal,
                                    Backoff* backoff) {
  if (refusal == WatchState::Refusal::kNone) return backoff->Next();
  if (refusal != WatchState::Refusal::kDiverged) return kAfterRefusal;
  // A wrong copy is replaced at once; but what is wrong again soon does not
  // become right by asking for everything again and again.
  const SteadyTime now = std::chrono::steady_clock::now();
  const SteadyTime before = std::exchange(diverged_at_, now);
  const bool again = before != SteadyTime() && now - before < kSoon;
  return again ? kAfterRefusal : backoff->Next();
}

std::shared_ptr<Follower::Connection> Follower::Connect() {
  state_.BeginStream();
  const std::unique_ptr<v1::TenantRegistry::Stub> stub = stubs_();
  auto stream = Stream::Open(
      strand_,
      [&stub](grpc::ClientContext* context,
              grpc::ClientBidiReactor<v1::WatchRequest, v1::WatchResponse>*
                  reactor) { stub->async()->Watch(context, reactor); });
  return std::make_shared<Connection>(strand_, std::move(stream));
}

v1::WatchRequest Follower::MakeSubscribe() const {
  v1::WatchRequest request;
  v1::Subscribe* subscribe = request.mutable_subscribe();
  subscribe->set_client_id(settings_.client_id);
  for (const v1::Kind kind : settings_.kinds) subscribe->add_kinds(kind);
  if (resume_) {
    subscribe->set_resume_revision(state_.revision());
    subscribe->set_epoch(state_.epoch());
  }
  return request;
}

asio::awaitable<absl::Status> Follower::Follow(std::shared_ptr<Follower> self) {
  using asio::experimental::awaitable_operators::operator&&;
  const std::shared_ptr<Connection> connection = self->Connect();
  self->connection_ = connection;
  // Each ends the others when it ends.
  co_await (Read(self, connection) && WriteAcks(connection) &&
            WatchSilence(self, connection));
  if (self->state_.has_changes()) self->Publish();
  absl::Status status = co_await connection->stream->Finish();
  if (connection->was_silent) {
    co_return absl::DeadlineExceededError(
        absl::StrCat("the registry was silent for ",
                     absl::FormatDuration(self->settings_.silence_timeout)));
  }
  if (connection->refusal != WatchState::Refusal::kNone) {
    co_return absl::FailedPreconditionError("the registry was refused");
  }
  if (status.ok()) co_return absl::UnavailableError("the stream has ended");
  co_return status;
}

void Follower::End(Connection* connection) {
  if (connection->ended) return;
  connection->ended = true;
  connection->stream->Cancel();
  connection->ack_due.cancel();
  connection->silence.cancel();
}

asio::awaitable<void> Follower::Read(std::shared_ptr<Follower> self,
                                     std::shared_ptr<Connection> connection) {
  const bool written =
      co_await connection->stream->Write(self->MakeSubscribe());
  while (written && !connection->ended) {
    const std::optional<v1::WatchResponse> message =
        co_await connection->stream->Read();
    if (!message.has_value() || connection->ended) break;
    self->Take(connection.get(), *message);
  }
  End(connection.get());
}

void Follower::Take(Connection* connection, const v1::WatchResponse& message) {
  connection->subscribed = true;
  connection->silence.expires_after(
      absl::ToChronoNanoseconds(settings_.silence_timeout));
  const WatchState::Result result = state_.Take(message);
  if (result.refusal != WatchState::Refusal::kNone) {
    connection->refusal = result.refusal;
    if (result.refusal == WatchState::Refusal::kDiverged) resume_ = false;
    events_.on_refusal(result.refusal, result.message);
    End(connection);
    return;
  }
  events_.on_message();
  if (result.replaced) {
    replaced_ = true;
    resume_ = true;
  }
  if (state_.has_changes()) SchedulePublish();
}

void Follower::SchedulePublish() {
  if (publish_scheduled_) return;
  const SteadyTime due = published_at_ + kPublishInterval;
  if (due <= std::chrono::steady_clock::now()) {
    Publish();
    return;
  }
  publish_scheduled_ = true;
  publish_.expires_at(due);
  publish_.async_wait(
      [self = shared_from_this()](const boost::system::error_code&) {
        self->publish_scheduled_ = false;
        if (self->state_.has_changes()) self->Publish();
      });
}

void Follower::Publish() {
  published_at_ = std::chrono::steady_clock::now();
  std::shared_ptr<const tenancy::Snapshot> snapshot = state_.Publish();
  events_.on_snapshot(std::move(snapshot), std::exchange(replaced_, false),
                      state_);
  if (connection_ == nullptr) return;
  connection_->ack = state_.MakeAck();
  connection_->ack_due.cancel();
}

asio::awaitable<void> Follower::WriteAcks(
    std::shared_ptr<Connection> connection) {
  while (!connection->ended) {
    // Not before the subscription is through: one write at a time.
    if (!connection->ack.has_value()) {
      connection->ack_due.expires_at(SteadyTime::max());
      co_await connection->ack_due.async_wait(
          asio::as_tuple(asio::use_awaitable));
      continue;
    }
    v1::WatchRequest request;
    *request.mutable_ack() = *std::exchange(connection->ack, std::nullopt);
    const bool written = co_await connection->stream->Write(std::move(request));
    if (!written) break;
  }
  End(connection.get());
}

asio::awaitable<void> Follower::WatchSilence(
    std::shared_ptr<Follower> self, std::shared_ptr<Connection> connection) {
  connection->silence.expires_after(
      absl::ToChronoNanoseconds(self->settings_.silence_timeout));
  while (!connection->ended) {
    co_await connection->silence.async_wait(
        asio::as_tuple(asio::use_awaitable));
    // A message moves the expiry, which also ends the wait.
    if (!connection->ended &&
        connection->silence.expiry() <= std::chrono::steady_clock::now()) {
      connection->was_silent = true;
      End(connection.get());
    }
  }
}

}  // namespace insula::registry_client
