#include "services/tenant_registry/watch_hub.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/tenant_registry/proto_time.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;

// What one follower may make the registry remember.
constexpr size_t kMaxRejections = 100;
constexpr size_t kMaxReasonBytes = 256;
constexpr size_t kMaxIdBytes = 253;  // No object has a longer one.
// Changes of which the time is known, to say how far a follower is behind.
constexpr size_t kRecent = 10'000;

// Changes are handed on so far apart: the time that a message to all takes on
// one core, and no longer than is hardly noticed.
constexpr absl::Duration kIntervalOfAWatcher = absl::Microseconds(50);
constexpr absl::Duration kLongestInterval = absl::Milliseconds(100);
// So many are handed on before that.
constexpr size_t kMaxHeldBack = 256;

constexpr char kClosed[] = "the registry is shutting down";

// The beginning of a reason, not ending within a character: Status could not be
// read otherwise.
absl::string_view Shortened(absl::string_view reason) {
  if (reason.size() <= kMaxReasonBytes) return reason;
  size_t end = kMaxReasonBytes;
  while (end > 0 && (reason[end] & 0xc0) == 0x80) --end;
  return reason.substr(0, end);
}

}  // namespace

Watcher::Watcher(asio::any_io_executor executor, Options options)
    : options_(std::move(options)),
      wake_(executor),
      delay_(executor),
      revision_(options_.revision),
      digest_(options_.digest),
      wanted_revision_(options_.revision),
      acked_revision_(options_.held_revision) {}

bool Watcher::WantsOneOf(const Change& change) const {
  return std::any_of(change.items.begin(), change.items.end(),
                     [this](const auto& item) { return Wants(item.key.kind); });
}

void Watcher::Announce(const Published& published) {
  const Change& change = *published.change;
  if (!WantsOneOf(change)) return;
  sync::MutexLock lock(&mutex_);
  wanted_revision_ = change.revision;
  for (const Change::Item& item : change.items) rejections_.erase(item.key);
}

void Watcher::Push(const std::vector<Published>& changes) {
  sync::MutexLock lock(&mutex_);
  for (const Published& published : changes) {
    if (end_.ok()) PushLocked(published);
  }
  if (!queue_.empty() && !notified_) Notify();
}

void Watcher::PushLocked(const Published& published) {
  const Change& change = *published.change;
#ifdef INSULA_BREAK_WATCH
  if (change.revision % 17 == 0) return;  // For the test of the test.
#endif
  if (change.revision <= revision_) return;
  revision_ = change.revision;
  digest_ = published.digest;
  if (!WantsOneOf(change)) return;
  if (queue_.size() >= options_.queue_limit) {
    EndLocked(absl::ResourceExhaustedError(
        "the client takes changes more slowly than they come; subscribe again "
        "with the revision that it has"));
    return;
  }
  queue_.push_back(published.change);
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
  taken.digest = digest_;
  taken.end = end_;
  queue_.clear();
  return taken;
}

asio::awaitable<bool> Watcher::Wait(absl::Duration timeout) {
  wake_.expires_after(absl::ToChronoNanoseconds(timeout));
  {
    // A notice posted before the timer was set may have run already.
    sync::MutexLock lock(&mutex_);
    if (notified_) co_return false;
  }
  const auto [error] =
      co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return !error;
}

asio::awaitable<void> Watcher::Delay(absl::Duration timeout) {
  delay_.expires_after(absl::ToChronoNanoseconds(timeout));
  {
    sync::MutexLock lock(&mutex_);
    if (!end_.ok()) co_return;
  }
  co_await delay_.async_wait(asio::as_tuple(asio::use_awaitable));
}

void Watcher::Acknowledge(const v1::Ack& ack, absl::Time now) {
  sync::MutexLock lock(&mutex_);
  acked_at_ = now;
  // An acknowledgement of what has not been sent yet means nothing.
  acked_revision_ =
      std::max(acked_revision_, std::min(ack.revision(), revision_));
  for (const v1::Rejection& rejection : ack.rejections()) {
    if (rejections_.size() >= kMaxRejections) return;
    if (rejection.ref().id().size() > kMaxIdBytes) continue;
    rejections_[KeyOf(rejection.ref())] =
        std::string(Shortened(rejection.reason()));
  }
}

Watcher::Description Watcher::Describe() const {
  Description description;
  v1::Follower& follower = description.follower;
  follower.set_client_id(options_.client_id);
  follower.set_peer(options_.peer);
  SetTimestamp(options_.now, follower.mutable_connected_at());
  sync::MutexLock lock(&mutex_);
  description.wanted_revision = wanted_revision_;
  follower.set_acked_revision(acked_revision_);
  if (acked_at_ != absl::InfinitePast()) {
    SetTimestamp(acked_at_, follower.mutable_acked_at());
  }
  for (const auto& [key, reason] : rejections_) {
    v1::Rejection* rejection = follower.add_rejections();
    *rejection->mutable_ref() = RefOf(key);
    rejection->set_reason(reason);
  }
  return description;
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

std::optional<absl::Duration> WatchHub::Publish(std::vector<Published> changes,
                                                absl::Time now) {
  sync::MutexLock lock(&mutex_);
  for (Published& published : changes) {
    recent_.push_back({published.change->revision, published.at});
    if (recent_.size() > kRecent) recent_.pop_front();
    for (const std::shared_ptr<Watcher>& watcher : watchers_) {
      watcher->Announce(published);
    }
    held_back_.push_back(std::move(published));
  }
  const absl::Duration interval =
      std::min(kIntervalOfAWatcher * static_cast<int64_t>(watchers_.size()),
               kLongestInterval);
  const absl::Duration left = released_at_ + interval - now;
  if (left <= absl::ZeroDuration() || held_back_.size() >= kMaxHeldBack) {
    ReleaseLocked(now);
    return std::nullopt;
  }
  if (std::exchange(release_expected_, true)) return std::nullopt;
  return left;
}

void WatchHub::Release(absl::Time now) {
  sync::MutexLock lock(&mutex_);
  release_expected_ = false;
  if (!held_back_.empty()) ReleaseLocked(now);
}

void WatchHub::ReleaseLocked(absl::Time now) {
  released_at_ = now;
  for (const std::shared_ptr<Watcher>& watcher : watchers_) {
    watcher->Push(held_back_);
  }
  held_back_.clear();
}

absl::Duration WatchHub::BehindOf(const Watcher::Description& description,
                                  absl::Time now) const {
  const int64_t acked = description.follower.acked_revision();
  if (acked >= description.wanted_revision) return absl::ZeroDuration();
  const auto next = std::upper_bound(
      recent_.begin(), recent_.end(), acked,
      [](int64_t revision, const Moment& m) { return revision < m.revision; });
  // What it lacks is from before this process: it has just come, too.
  const absl::Time since =
      next == recent_.end()
          ? ToTime(description.follower.connected_at())
          : std::max(next->at, ToTime(description.follower.connected_at()));
  return std::max(now - since, absl::ZeroDuration());
}

std::vector<v1::Follower> WatchHub::Followers(absl::Time now) const {
  sync::MutexLock lock(&mutex_);
  std::vector<v1::Follower> followers;
  followers.reserve(watchers_.size());
  for (const std::shared_ptr<Watcher>& watcher : watchers_) {
    Watcher::Description description = watcher->Describe();
    SetDuration(BehindOf(description, now),
                description.follower.mutable_behind());
    followers.push_back(std::move(description.follower));
  }
  return followers;
}

absl::Duration WatchHub::Behind(absl::Time now) const {
  sync::MutexLock lock(&mutex_);
  absl::Duration behind;
  for (const std::shared_ptr<Watcher>& watcher : watchers_) {
    behind = std::max(behind, BehindOf(watcher->Describe(), now));
  }
  return behind;
}

size_t WatchHub::size() const {
  sync::MutexLock lock(&mutex_);
  return watchers_.size();
}

}  // namespace insula::tenant_registry
