#include "libs/kube/informer.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/time/clock.h"
#include "libs/kube/api_error.h"
#include "libs/kube/informer_metrics.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"
#include "libs/sync/mutex.h"

namespace insula::kube {
namespace {

namespace asio = boost::asio;

// A watch that ends sooner, without a word, is a failure.
constexpr absl::Duration kShortWatch = absl::Seconds(1);
// After so many failed watches in a row the place may be wrong: list again.
constexpr int kMostFailedWatches = 3;
// How often a list may start over because its next page has expired.
constexpr int kMostRestarts = 3;
// Longest wait that a server may ask for.
constexpr absl::Duration kMostRetryAfter = absl::Minutes(5);
// Till a watch must have begun.
constexpr absl::Duration kOpenTimeout = absl::Seconds(10);

}  // namespace

// All but what the mutex guards is used on its strand.
class Informer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(InformerOptions options, Client* client, Listener listener,
       asio::any_io_executor executor, metrics::Registry* metrics)
      : options_(std::move(options)),
        client_(client),
        listener_(std::move(listener)),
        strand_(asio::make_strand(std::move(executor))),
        metrics_(options_.selection, metrics),
        backoff_(options_.backoff),
        cache_(options_.limits) {}

  void Start();
  void Stop();

  bool synced() const {
    sync::MutexLock lock(&mutex_);
    return synced_;
  }
  absl::Status status() const {
    sync::MutexLock lock(&mutex_);
    return error_;
  }
  absl::Time last_contact() const {
    sync::MutexLock lock(&mutex_);
    return last_contact_;
  }
  Object Find(absl::string_view key) const {
    sync::MutexLock lock(&mutex_);
    return cache_.Find(key);
  }
  std::vector<Object> All() const {
    sync::MutexLock lock(&mutex_);
    return cache_.All();
  }

 private:
  asio::awaitable<void> Run();
  asio::awaitable<void> Sleep(absl::Duration wait);

  // One complete list. Sets version_.
  asio::awaitable<absl::Status> List();
  // Its pages. OUT_OF_RANGE: start over.
  asio::awaitable<absl::Status> ReadPages(absl::Time deadline,
                                          ObjectCache* newer,
                                          std::string* version);
  // How long to wait after a list.
  absl::Duration AfterList(const absl::Status& status);

  // One watch from version_ to its end.
  asio::awaitable<absl::Status> Watch();
  // Takes an event of a watch.
  absl::Status Take(WatchEvent event);
  // How long to wait after a watch that began at `started`.
  absl::Duration AfterWatch(const absl::Status& status, absl::Time started);

  void Tell(const std::vector<Change>& changes);
  void HaveContact();
  void SetError(const absl::Status& error);
  absl::Duration Wait(const absl::Status& error);

  const InformerOptions options_;
  Client* const client_;
  const Listener listener_;
  const asio::strand<asio::any_io_executor> strand_;
  InformerMetrics metrics_;
  asio::cancellation_signal cancel_;
  bool stopping_ = false;

  Backoff backoff_;
  absl::BitGen random_;
  std::string version_;  // To watch on from; empty: list first.
  bool heard_ = false;   // The present watch has told something.
  int failed_watches_ = 0;
  bool expired_before_ = false;  // The last watch, too.
  int page_size_ = options_.page_size;

  mutable sync::Mutex mutex_;
  std::condition_variable_any ended_changed_;
  ObjectCache cache_ ABSL_GUARDED_BY(mutex_);
  bool synced_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mutex_) =
      absl::UnavailableError("not listed yet");
  absl::Time last_contact_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

void Informer::Impl::Start() {
  const auto self = shared_from_this();
  asio::co_spawn(strand_, Run(),
                 asio::bind_cancellation_slot(
                     cancel_.slot(), [self](std::exception_ptr failure) {
                       if (failure != nullptr) {
                         logging::Error("an informer ended by an exception");
                       }
                       sync::MutexLock lock(&self->mutex_);
                       self->ended_ = true;
                       self->ended_changed_.notify_all();
                     }));
}

void Informer::Impl::Stop() {
  asio::post(strand_, [self = shared_from_this()] {
    self->stopping_ = true;
    self->cancel_.emit(asio::cancellation_type::terminal);
  });
  std::unique_lock<sync::Mutex> lock(mutex_);
  ended_changed_.wait(
      lock, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return ended_; });
}

asio::awaitable<void> Informer::Impl::Run() {
  // Instead of an exception: stopping_ tells.
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!stopping_) {
    absl::Duration wait;
    if (version_.empty()) {
      const absl::Status status = co_await List();
      wait = AfterList(status);
    } else {
      const absl::Time started = absl::Now();
      const absl::Status status = co_await Watch();
      wait = AfterWatch(status, started);
    }
    if (wait > absl::ZeroDuration() && !stopping_) co_await Sleep(wait);
  }
}

asio::awaitable<void> Informer::Impl::Sleep(absl::Duration wait) {
  asio::steady_timer timer(strand_, absl::ToChronoNanoseconds(wait));
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<absl::Status> Informer::Impl::List() {
  const absl::Time deadline = absl::Now() + options_.list_timeout;
  for (int restarts = 0;; ++restarts) {
    ObjectCache newer(options_.limits);
    std::string version;
    const absl::Status status = co_await ReadPages(deadline, &newer, &version);
    if (absl::IsOutOfRange(status) && restarts < kMostRestarts && !stopping_) {
      continue;
    }
    CO_RETURN_IF_ERROR(status);
    std::vector<Change> changes;
    {
      sync::MutexLock lock(&mutex_);
      cache_.Replace(std::move(newer), &changes);
      synced_ = true;
      metrics_.objects.Set(static_cast<double>(cache_.size()));
    }
    metrics_.synced.Set(1);
    version_ = std::move(version);
    Tell(changes);
    co_return absl::OkStatus();
  }
}

asio::awaitable<absl::Status> Informer::Impl::ReadPages(absl::Time deadline,
                                                        ObjectCache* newer,
                                                        std::string* version) {
  std::string next;
  while (true) {
    const absl::Time now = absl::Now();
    if (now >= deadline) {
      co_return absl::DeadlineExceededError("listing takes too long");
    }
    absl::StatusOr<ListPage> page = co_await client_->List(
        options_.selection, page_size_, next,
        std::min(now + options_.answer_timeout, deadline));
    if (stopping_) co_return absl::CancelledError("stopping");
    if (absl::IsResourceExhausted(page.status()) &&
        HttpStatusOf(page.status()) == 0 && page_size_ > 1) {
      page_size_ = std::max(1, page_size_ / 4);  // The answer was too large.
      continue;
    }
    if (!page.ok()) co_return page.status();
    HaveContact();
    if (version->empty()) *version = page->resource_version;
    const size_t bytes = page->bytes / std::max<size_t>(1, page->items.size());
    std::vector<Change> unused;
    for (Json& item : page->items) {
      CO_RETURN_IF_ERROR(newer->Put(std::move(item), bytes, &unused));
    }
    next = std::move(page->continue_token);
    if (next.empty()) co_return absl::OkStatus();
  }
}

absl::Duration Informer::Impl::AfterList(const absl::Status& status) {
  SetError(status);
  if (status.ok()) {
    metrics_.lists_ok.Increment();
    page_size_ = options_.page_size;
    failed_watches_ = 0;
    return absl::ZeroDuration();
  }
  metrics_.lists_failed.Increment();
  return Wait(status);
}

asio::awaitable<absl::Status> Informer::Impl::Watch() {
  heard_ = false;
  // Not all at the same moment, after a restart of the server.
  const auto seconds = absl::Uniform<int64_t>(
      absl::IntervalClosed, random_,
      std::max<int64_t>(1, absl::ToInt64Seconds(options_.watch_duration * 0.8)),
      std::max<int64_t>(1, absl::ToInt64Seconds(options_.watch_duration)));
  const absl::Duration duration = absl::Seconds(seconds);
  const absl::Time now = absl::Now();
  const absl::Time end = now + duration + options_.stall_timeout;
  CO_ASSIGN_OR_RETURN(
      const std::unique_ptr<kube::Watch> watch,
      co_await client_->OpenWatch(options_.selection, version_, duration,
                                  std::min(end, now + kOpenTimeout)));
  HaveContact();
  SetError(absl::OkStatus());
  while (!stopping_) {
    CO_ASSIGN_OR_RETURN(WatchEvent event, co_await watch->Next(end));
    if (stopping_) break;
    HaveContact();
    if (event.type == WatchEvent::Type::kEnd) break;
    CO_RETURN_IF_ERROR(Take(std::move(event)));
  }
  co_return absl::OkStatus();
}

absl::Status Informer::Impl::Take(WatchEvent event) {
  std::vector<Change> changes;
  {
    sync::MutexLock lock(&mutex_);
    if (event.type == WatchEvent::Type::kDeleted) {
      cache_.Remove(event.object, &changes);
    } else if (event.type != WatchEvent::Type::kBookmark) {
      RETURN_IF_ERROR(
          cache_.Put(std::move(event.object), event.bytes, &changes));
    }
    metrics_.objects.Set(static_cast<double>(cache_.size()));
  }
  heard_ = true;
  SetError(absl::OkStatus());
  version_ = std::move(event.resource_version);
  if (!changes.empty()) Tell(changes);
  return absl::OkStatus();
}

absl::Duration Informer::Impl::AfterWatch(const absl::Status& status,
                                          absl::Time started) {
  if (stopping_) return absl::ZeroDuration();
  const bool expired = absl::IsOutOfRange(status);
  const bool again_expired = expired && std::exchange(expired_before_, expired);
  if (expired) {
    metrics_.watches_expired.Increment();
    version_.clear();
    return again_expired ? backoff_.Next() : absl::ZeroDuration();
  }
  expired_before_ = false;
  const bool lasted = heard_ || absl::Now() - started >= kShortWatch;
  if (status.ok() && lasted) {
    metrics_.watches_ended.Increment();
    SetError(status);
    backoff_.Reset();
    failed_watches_ = 0;
    return absl::ZeroDuration();
  }
  const bool stalled = absl::IsDeadlineExceeded(status);
  (stalled ? metrics_.watches_stalled : metrics_.watches_failed).Increment();
  const absl::Status error =
      status.ok() ? absl::UnavailableError("the watch ended at once") : status;
  SetError(error);
  // What the server itself refuses may be wrong in the place; what cannot be
  // taken into the copy must not be skipped.
  const bool answered = HttpStatusOf(error) != 0 || status.ok() ||
                        absl::IsInvalidArgument(error) ||
                        absl::IsResourceExhausted(error);
  if (heard_) failed_watches_ = 0;
  if (answered &&
      (++failed_watches_ >= kMostFailedWatches || absl::IsNotFound(error))) {
    failed_watches_ = 0;
    version_.clear();
  }
  if (heard_) backoff_.Reset();
  return Wait(error);
}

absl::Duration Informer::Impl::Wait(const absl::Status& error) {
  return std::max(backoff_.Next(),
                  std::min(RetryAfterOf(error), kMostRetryAfter));
}

void Informer::Impl::Tell(const std::vector<Change>& changes) {
  metrics_.changes.Increment(static_cast<double>(changes.size()));
  if (!stopping_) listener_(changes);
}

void Informer::Impl::HaveContact() {
  const absl::Time now = absl::Now();
  metrics_.last_contact.Set(absl::ToDoubleSeconds(now - absl::UnixEpoch()));
  sync::MutexLock lock(&mutex_);
  last_contact_ = now;
}

void Informer::Impl::SetError(const absl::Status& error) {
  if (stopping_) return;
  absl::Status before;
  {
    sync::MutexLock lock(&mutex_);
    before = std::exchange(error_, error);
  }
  if (before == error) return;
  if (!error.ok()) {
    logging::Warn("Kubernetes objects can't be followed, the last copy stays",
                  {{"resource", options_.selection.resource.Name()},
                   {"namespace", options_.selection.namespace_name},
                   {"err", error}});
  } else {
    logging::Info("following Kubernetes objects",
                  {{"resource", options_.selection.resource.Name()},
                   {"namespace", options_.selection.namespace_name}});
  }
}

Informer::Informer(InformerOptions options, Client* client, Listener listener,
                   asio::any_io_executor executor, metrics::Registry* metrics)
    : impl_(std::make_shared<Impl>(std::move(options), client,
                                   std::move(listener), std::move(executor),
                                   metrics)) {
  impl_->Start();
}

Informer::~Informer() { impl_->Stop(); }

bool Informer::synced() const { return impl_->synced(); }

absl::Status Informer::status() const { return impl_->status(); }

absl::Time Informer::last_contact() const { return impl_->last_contact(); }

Object Informer::Find(absl::string_view key) const { return impl_->Find(key); }

std::vector<Object> Informer::All() const { return impl_->All(); }

}  // namespace insula::kube
