#include "libs/registry_client/lease.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/time/clock.h"
#include "libs/rpc/call.h"

namespace insula::registry_client {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::registry::v1;
using AsyncStub = v1::TenantRegistry::StubInterface::async_interface;

constexpr absl::Duration kRenewTimeout = absl::Seconds(2);
constexpr absl::Duration kEndTimeout = absl::Seconds(1);
// A lease outlasts a registry that restarts: it gives all another term.
constexpr Backoff::Options kBackoff = {.initial = absl::Milliseconds(200),
                                       .maximum = absl::Seconds(2)};
// What does not get better by itself.
constexpr absl::Duration kAfterRefusal = absl::Seconds(30);

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

}  // namespace

Lease::Lease(asio::any_io_executor executor, StubSource stubs, std::string id,
             v1::Instance instance, Events events)
    : strand_(asio::make_strand(std::move(executor))),
      stubs_(std::move(stubs)),
      id_(std::move(id)),
      instance_(std::move(instance)),
      events_(std::move(events)),
      due_(strand_),
      backoff_(kBackoff) {}

void Lease::Begin() {
  asio::post(strand_, [self = shared_from_this()] {
    if (self->stopping_ || std::exchange(self->begun_, true)) return;
    asio::co_spawn(self->strand_, Run(self), asio::detached);
  });
}

void Lease::Stop() {
  asio::post(strand_, [self = shared_from_this()] {
    if (std::exchange(self->stopping_, true)) return;
    self->due_.cancel();
    if (!self->begun_) self->events_.on_end();
  });
}

asio::awaitable<void> Lease::Run(std::shared_ptr<Lease> self) {
  while (!self->stopping_) {
    const absl::Duration pause = co_await self->Renew();
    if (self->stopping_) break;
    self->due_.expires_after(absl::ToChronoNanoseconds(pause));
    co_await self->due_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  if (self->held_) co_await self->End();
  self->events_.on_end();
}

asio::awaitable<absl::Duration> Lease::Renew() {
  v1::RenewLeaseRequest request;
  request.set_id(id_);
  *request.mutable_instance() = instance_;
  const std::unique_ptr<v1::TenantRegistry::Stub> stub = stubs_();
  AsyncStub* const async = stub->async();
  const absl::StatusOr<v1::RenewLeaseResponse> response =
      co_await rpc::Call(async, &AsyncStub::RenewLease, std::move(request),
                         absl::Now() + kRenewTimeout);
  events_.on_renewal(response.status());
  if (response.ok()) {
    held_ = true;
    backoff_.Reset();
    co_return std::max(ToDuration(response->ttl()) / 3,
                       absl::Milliseconds(100));
  }
  switch (response.status().code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kUnimplemented:
      co_return kAfterRefusal;
    default:
      co_return backoff_.Next();
  }
}

asio::awaitable<void> Lease::End() {
  v1::EndLeaseRequest request;
  request.set_id(id_);
  *request.mutable_started_at() = instance_.started_at();
  // If it does not get through, the lease ends by itself.
  const std::unique_ptr<v1::TenantRegistry::Stub> stub = stubs_();
  AsyncStub* const async = stub->async();
  co_await rpc::Call(async, &AsyncStub::EndLease, std::move(request),
                     absl::Now() + kEndTimeout);
}

}  // namespace insula::registry_client
