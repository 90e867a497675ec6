#include "services/tenant_registry/watch_hub.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;

// What one follower may make the registry remember.
constexpr size_t kMaxRejections = 100;
constexpr size_t kMaxReasonBytes = 256;

constexpr char kClosed[] = "the registry is shutting down";

}  // namespace

Watcher::Watcher(asio::any_io_executor executor, std::string client_id,
                 std::set<v1::Kind> kinds, int64_t revision, size_t queue_limit)
    : client_id_(std::move(client_id)),
      kinds_(std::move(kinds)),
      queue_limit_(queue_limit),
      wake_(executor),
      delay_(executor),
      revision_(revision) {}

void Watcher::Push(const ChangePtr& change) {
  const bool wanted =
      std::any_of(change->items.begin(), change->items.end(),
                  [this](const auto& item) { return Wants(item.key.kind); });
  sync::MutexLock lock(&mutex_);
  if (!end_.ok()) return;
  revision_ = change->revision;
  if (!wanted) return;
  for (const Change::Item& item : change->items) rejections_.erase(item.key);
  if (queue_.size() >= queue_limit_) {
    EndLocked(absl::ResourceExhaustedError(
        "the client takes changes more slowly than they come; subscribe again "
        "with the revision that it has"));
    return;
  }
  queue_.push_back(change);
  if (!notified_) Notify();
}

void Watcher::End(absl::Status status) {
  sync::MutexLock lock(&mutex_);
  if (end_.ok()) EndLocked(std::move(status));
}

void Watcher::EndLocked(absl::Status status) {
  end_ = std::move(status);
  queue_.clear();
  Notify();
}

void Watcher::Notify() {
  notified_ = true;
  asio::post(wake_.get_executor(),
             [self = shared_from_this(), end = !end_.ok()] {
               self->wake_.cancel();
               if (end) self->delay_.cancel();
             });
}

Watcher::Taken Watcher::Take() {
  sync::MutexLock lock(&mutex_);
  notified_ = false;
  Taken taken;
  taken.changes.assign(queue_.begin(), queue_.end());
  taken.revision = revision_;
  taken.end = end_;
  queue_.clear();
  return taken;
}

asio::awaitable<void> Watcher::Wait(absl::Duration timeout) {
  wake_.expires_after(absl::ToChronoNanoseconds(timeout));
  {
    // A notice posted before the timer was set may have run already.
    sync::MutexLock lock(&mutex_);
    if (notified_) co_return;
  }
  co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<void> Watcher::Delay(absl::Duration timeout) {
  delay_.expires_after(absl::ToChronoNanoseconds(timeout));
  {
    sync::MutexLock lock(&mutex_);
    if (!end_.ok()) co_return;
  }
  co_await delay_.async_wait(asio::as_tuple(asio::use_awaitable));
}

void Watcher::Acknowledge(const v1::Ack& ack) {
  sync::MutexLock lock(&mutex_);
  // An acknowledgement of what has not been sent yet means nothing.
  acked_revision_ =
      std::max(acked_revision_, std::min(ack.revision(), revision_));
  for (const v1::Rejection& rejection : ack.rejections()) {
    if (rejections_.size() >= kMaxRejections) return;
    rejections_[KeyOf(rejection.ref())] =
        rejection.reason().substr(0, kMaxReasonBytes);
  }
}

v1::Follower Watcher::Describe() const {
  v1::Follower follower;
  follower.set_client_id(client_id_);
  sync::MutexLock lock(&mutex_);
  follower.set_acked_revision(acked_revision_);
  for (const auto& [key, reason] : rejections_) {
    v1::Rejection* rejection = follower.add_rejections();
    *rejection->mutable_ref() = RefOf(key);
    rejection->set_reason(reason);
  }
  return follower;
}

absl::Status WatchHub::Add(const std::shared_ptr<Watcher>& watcher,
                           size_t limit) {
  sync::MutexLock lock(&mutex_);
  if (closed_) return absl::UnavailableError(kClosed);
  if (watchers_.size() >= limit) {
    return absl::ResourceExhaustedError(
        absl::StrCat(limit, " watches are open; try again later"));
  }
  watchers_.insert(watcher);
  return absl::OkStatus();
}

void WatchHub::Close() {
  sync::MutexLock lock(&mutex_);
  closed_ = true;
  for (const std::shared_ptr<Watcher>& watcher : watchers_) {
    watcher->End(absl::UnavailableError(kClosed));
  }
}

void WatchHub::Remove(const std::shared_ptr<Watcher>& watcher) {
  sync::MutexLock lock(&mutex_);
  watchers_.erase(watcher);
}

void WatchHub::Publish(const ChangePtr& change) {
  sync::MutexLock lock(&mutex_);
  for (const std::shared_ptr<Watcher>& watcher : watchers_) {
    watcher->Push(change);
  }
}

std::vector<v1::Follower> WatchHub::Followers() const {
  sync::MutexLock lock(&mutex_);
  std::vector<v1::Follower> followers;
  followers.reserve(watchers_.size());
  for (const std::shared_ptr<Watcher>& watcher : watchers_) {
    followers.push_back(watcher->Describe());
  }
  return followers;
}

size_t WatchHub::size() const {
  sync::MutexLock lock(&mutex_);
  return watchers_.size();
}

}  // namespace insula::tenant_registry
