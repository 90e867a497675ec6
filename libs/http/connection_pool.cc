#include "libs/http/connection_pool.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "libs/sync/strand.h"

namespace insula::http {

namespace asio = boost::asio;

namespace {

constexpr size_t kMaxWaiting = 10'000;  // To one host.

}  // namespace

ConnectionPool::Lease& ConnectionPool::Lease::operator=(
    Lease&& other) noexcept {
  if (this == &other) return *this;
  Return();
  connection = std::move(other.connection);
  pool_ = std::exchange(other.pool_, nullptr);
  host_ = std::move(other.host_);
  context_ = other.context_;
  keep_ = std::exchange(other.keep_, false);
  return *this;
}

void ConnectionPool::Lease::Return() {
  if (pool_ == nullptr) return;
  if (!keep_) connection.reset();
  std::exchange(pool_, nullptr)->Return(host_, std::move(connection));
  keep_ = false;
}

ConnectionPool::ConnectionPool(asio::any_io_executor executor, int max_per_host,
                               absl::Duration idle_timeout)
    : max_per_host_(static_cast<size_t>(std::max(max_per_host, 1))),
      idle_timeout_(std::chrono::duration_cast<Clock::duration>(
          absl::ToChronoMilliseconds(std::clamp(
              idle_timeout, absl::ZeroDuration(), absl::Hours(24 * 365))))),
      reaper_(sync::MakeStrand(std::move(executor))) {}

ConnectionPool::Lease ConnectionPool::TryAcquire(const std::string& host,
                                                 Context context) {
  Lease lease;
  {
    sync::MutexLock lock(&mutex_);
    lease = LeaseUnlessFull(host, context);
  }
  DropDead(&lease);
  return lease;
}

absl::StatusOr<ConnectionPool::Lease> ConnectionPool::AcquireOrWait(
    const std::string& host, std::shared_ptr<Waiter> waiter) {
  Lease lease;
  {
    sync::MutexLock lock(&mutex_);
    lease = LeaseUnlessFull(host, waiter->context());
    if (!lease) {
      auto& waiting = hosts_[host].waiting;
      if (waiting.size() >= kMaxWaiting) {
        return absl::UnavailableError(absl::StrCat(
            kMaxWaiting, " requests wait for a connection already"));
      }
      waiting.push_back(std::move(waiter));
    }
  }
  DropDead(&lease);
  return lease;
}

ConnectionPool::Lease ConnectionPool::LeaseUnlessFull(const std::string& host,
                                                      Context context) {
  Host& entry = hosts_[host];
  Lease lease;
  std::unique_ptr<ClientConnection> idle = TakeIdle(&entry, context);
  if (idle == nullptr && static_cast<size_t>(entry.leased) >= max_per_host_) {
    return lease;
  }
  ++entry.leased;
  lease = Lease(shared_from_this(), host, context);
  lease.connection = std::move(idle);
  return lease;
}

std::unique_ptr<ClientConnection> ConnectionPool::TakeIdle(Host* host,
                                                           Context context) {
  Connections& idle = host->idle;
  auto found = std::find_if(
      idle.rbegin(), idle.rend(),
      [context](const auto& each) { return each->context == context; });
  const size_t open = static_cast<size_t>(host->leased) + idle.size();
  if (found == idle.rend() && open >= max_per_host_) found = idle.rbegin();
  if (found == idle.rend()) return nullptr;
  std::unique_ptr<ClientConnection> taken = std::move(*found);
  idle.erase(std::next(found).base());
  return taken;
}

void ConnectionPool::DropDead(Lease* lease) {
  const Clock::time_point oldest = Clock::now() - idle_timeout_;
  while (lease->connection != nullptr &&
         (lease->connection->idle_since < oldest ||
          !lease->connection->stream.IsSilent())) {
    lease->connection.reset();
    sync::MutexLock lock(&mutex_);
    Host& host = hosts_.find(lease->host_)->second;
    --host.leased;  // The place is free while another one is looked for.
    lease->connection = TakeIdle(&host, lease->context_);
    ++host.leased;
  }
}

void ConnectionPool::Abandon(const std::string& host, const Waiter* waiter) {
  sync::MutexLock lock(&mutex_);
  const auto found = hosts_.find(host);
  if (found == hosts_.end()) return;
  found->second.waiting.remove_if(
      [waiter](const auto& other) { return other.get() == waiter; });
}

ConnectionPool::Lease ConnectionPool::Collect(Waiter* waiter) {
  sync::MutexLock lock(&mutex_);
  return std::move(waiter->lease);
}

void ConnectionPool::Return(const std::string& host,
                            std::unique_ptr<ClientConnection> connection) {
  std::unique_ptr<ClientConnection> unwanted;  // Closed after the lock.
  sync::MutexLock lock(&mutex_);
  const auto found = hosts_.find(host);
  Host& entry = found->second;
  if (closed_) unwanted = std::move(connection);
  if (!entry.waiting.empty()) {
    const std::shared_ptr<Waiter> waiter = std::move(entry.waiting.front());
    entry.waiting.pop_front();
    waiter->lease = Lease(shared_from_this(), host, waiter->context());
    waiter->lease.connection = std::move(connection);
    asio::post(waiter->timer.get_executor(),
               [waiter] { waiter->timer.cancel(); });
    return;
  }
  --entry.leased;
  if (connection != nullptr) {
    connection->idle_since = Clock::now();
    entry.idle.push_back(std::move(connection));
    if (!std::exchange(reaper_scheduled_, true)) ScheduleReaper();
  } else if (entry.leased == 0 && entry.idle.empty()) {
    hosts_.erase(found);
  }
}

void ConnectionPool::ScheduleReaper() {
  asio::post(reaper_.get_executor(), [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->reaper_.expires_after(self->idle_timeout_ +
                                std::chrono::milliseconds(10));
    self->reaper_.async_wait([weak](const boost::system::error_code& error) {
      if (error) return;
      if (const auto pool = weak.lock()) pool->Reap();
    });
  });
}

void ConnectionPool::Reap() {
  // Closed within the lock: after Close() nothing touches the client's metrics.
  sync::MutexLock lock(&mutex_);
  const Clock::time_point oldest = Clock::now() - idle_timeout_;
  bool any_left = false;
  for (auto host = hosts_.begin(); host != hosts_.end();) {
    Connections& idle = host->second.idle;
    const auto first_young = std::find_if(
        idle.begin(), idle.end(),
        [oldest](const auto& each) { return each->idle_since >= oldest; });
    idle.erase(idle.begin(), first_young);
    if (!idle.empty()) any_left = true;
    host = host->second.leased == 0 && idle.empty() ? hosts_.erase(host)
                                                    : std::next(host);
  }
  reaper_scheduled_ = any_left;
  if (any_left) ScheduleReaper();
}

void ConnectionPool::Close() {
  Connections old;  // Closed after the lock.
  sync::MutexLock lock(&mutex_);
  closed_ = true;
  for (auto& [name, host] : hosts_) {
    std::move(host.idle.begin(), host.idle.end(), std::back_inserter(old));
    host.idle.clear();
  }
}

}  // namespace insula::http
