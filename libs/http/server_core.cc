#include "libs/http/server_core.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "libs/http/connection.h"

namespace insula::http {
namespace {

const char* ReasonLabel(Rejection reason) {
  switch (reason) {
    case Rejection::kAddress:
      return "address";
    case Rejection::kAccept:
      return "accept";
    case Rejection::kHandshake:
      return "handshake";
    case Rejection::kFraming:
      return "framing";
    case Rejection::kHeaderLimit:
      return "header_limit";
    case Rejection::kTimeout:
      return "timeout";
    case Rejection::kBodyLimit:
      return "body_limit";
    case Rejection::kMemory:
      return "memory";
    case Rejection::kBody:
      return "body";
    case Rejection::kAdmission:
      return "admission";
    case Rejection::kClientGone:
      return "client_gone";
    case Rejection::kDeadline:
      return "deadline";
    case Rejection::kCrowded:
      return "crowded";
    case Rejection::kHandlerError:
    case Rejection::kCount:
      break;
  }
  return "handler_error";
}

// A client may be about to send its next request.
constexpr absl::Duration kLeastIdle = absl::Seconds(5);

}  // namespace

AddressKey AddressKeyOf(const boost::asio::ip::address& address) {
  namespace ip = boost::asio::ip;
  const ip::address_v6 v6 =
      address.is_v6() ? address.to_v6()
                      : ip::make_address_v6(ip::v4_mapped, address.to_v4());
  AddressKey key = v6.to_bytes();
  if (!v6.is_v4_mapped()) std::fill(key.begin() + 8, key.end(), 0);
  return key;
}

int64_t SteadyNanos() {
  return std::chrono::nanoseconds(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

ServerMetrics::ServerMetrics(const std::string& server,
                             metrics::Registry* registry)
    : connections_(registry->AddGauge("insula_http_server_connections",
                                      "Open connections.",
                                      {{"server", server}})),
      seconds_(registry->AddHistogram(
          "insula_http_server_request_seconds",
          "From the end of a request's header to the end of its answer.",
          {{"server", server}})),
      requests_(registry, "insula_http_server_requests_total",
                "Requests by status code.", {{"server", server}}) {
  for (size_t i = 0; i < rejected_.size(); ++i) {
    rejected_[i] = &registry->AddCounter(
        "insula_http_server_rejected_total",
        "Connections and requests that the server itself refused or gave up.",
        {{"server", server},
         {"reason", ReasonLabel(static_cast<Rejection>(i))}});
  }
}

void ServerMetrics::CountRequest(int code, absl::Duration duration) {
  requests_.Increment(code);
  seconds_.Observe(absl::ToDoubleSeconds(duration));
}

bool ServerCore::Add(Connection* connection) {
  sync::MutexLock lock(&mutex_);
  if (draining()) return false;
  if (options.max_connections_per_address > 0) {
    int& count = from_[connection->address_key()];
    if (count >= options.max_connections_per_address) {
      metrics.CountRejection(Rejection::kAddress);
      return false;
    }
    ++count;
  }
  connections_.insert(connection);
  ++living_[connection->executor_number()];
  metrics.connections().Add(1);
  return true;
}

void ServerCore::Remove(Connection* connection) {
  // The server may be gone as soon as the last connection has left, so its
  // metrics are not touched after that.
  metrics.connections().Add(-1);
  {
    sync::MutexLock lock(&mutex_);
    connections_.erase(connection);
    --living_[connection->executor_number()];
    const auto from = from_.find(connection->address_key());
    if (from != from_.end() && --from->second == 0) from_.erase(from);
    if (connections_.empty()) empty_.notify_all();
  }
  on_removed();
}

size_t ServerCore::IdlestExecutor() {
  sync::MutexLock lock(&mutex_);
  return static_cast<size_t>(std::min_element(living_.begin(), living_.end()) -
                             living_.begin());
}

bool ServerCore::full() {
  return connections() >= static_cast<size_t>(options.max_connections);
}

size_t ServerCore::connections() {
  sync::MutexLock lock(&mutex_);
  return connections_.size();
}

void ServerCore::EndIdle() {
  const int64_t before = SteadyNanos() - absl::ToInt64Nanoseconds(kLeastIdle);
  std::vector<std::pair<int64_t, Connection*>> idle;
  sync::MutexLock lock(&mutex_);
  for (Connection* connection : connections_) {
    const int64_t since = connection->idle_since();
    if (since < before) idle.emplace_back(since, connection);
  }
  const size_t wanted = std::min(
      idle.size(), static_cast<size_t>(options.max_connections) / 100 + 1);
  const auto end = idle.begin() + static_cast<std::ptrdiff_t>(wanted);
  std::nth_element(idle.begin(), end, idle.end());
  for (auto it = idle.begin(); it != end; ++it) {
    metrics.CountRejection(Rejection::kCrowded);
    it->second->BeginDrain();
  }
}

void ServerCore::SetDraining() {
  sync::MutexLock lock(&mutex_);
  draining_.store(true, std::memory_order_release);
}

void ServerCore::ForEach(const std::function<void(Connection*)>& visit) {
  sync::MutexLock lock(&mutex_);
  for (Connection* connection : connections_) visit(connection);
}

bool ServerCore::WaitUntilEmpty(absl::Duration timeout) {
  std::unique_lock<sync::Mutex> lock(mutex_);
  const auto empty = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return connections_.empty();
  };
  if (timeout == absl::InfiniteDuration()) {
    empty_.wait(lock, empty);
    return true;
  }
  timeout = std::min(timeout, absl::Hours(24 * 365));
  return empty_.wait_for(lock, absl::ToChronoNanoseconds(timeout), empty);
}

}  // namespace insula::http
