#include "libs/fair_queue/fair_queue.h"

#include <algorithm>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/sync/event.h"
#include "libs/sync/mutex.h"

namespace insula::fair_queue {
namespace {

namespace asio = boost::asio;
using Verdict = Scheduler::Verdict;

metrics::Counter& Refused(metrics::Registry* registry, const std::string& queue,
                          absl::string_view reason) {
  return registry->AddCounter(
      "insula_fair_queue_refused_total",
      "Requests that got no place: too many of the tenant or of all waited, or "
      "it took too long, or the caller gave up.",
      {{"queue", queue}, {"reason", std::string(reason)}});
}

}  // namespace

struct FairQueue::State {
  struct Waiter {
    std::shared_ptr<sync::Event> event = std::make_shared<sync::Event>();
    Verdict verdict = Verdict::kWait;  // Set before the event.
  };
  using Waiters = std::vector<std::shared_ptr<Waiter>>;

  State(const Options& options, metrics::Registry* registry)
      : scheduler(options.limits),
        running(registry->AddGauge("insula_fair_queue_running",
                                   "Requests that have a place.",
                                   {{"queue", options.name}})),
        waiting(registry->AddGauge("insula_fair_queue_waiting",
                                   "Requests that wait for a place.",
                                   {{"queue", options.name}})),
        wait_seconds(registry->AddHistogram(
            "insula_fair_queue_wait_seconds",
            "How long requests that got a place waited for it.",
            {{"queue", options.name}})),
        tenant_full(Refused(registry, options.name, "tenant_full")),
        full(Refused(registry, options.name, "full")),
        deadline(Refused(registry, options.name, "deadline")),
        cancelled(Refused(registry, options.name, "cancelled")) {}

  // Who has been told what by the scheduler. To be woken without the lock.
  Waiters TakeTurns() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Waiters woken;
    for (const Scheduler::Turn& turn : scheduler.TakeTurns()) {
      const auto found = waiters.find(turn.id);
      if (found == waiters.end()) continue;
      found->second->verdict = turn.verdict;
      woken.push_back(std::move(found->second));
      waiters.erase(found);
    }
    running.Set(static_cast<double>(scheduler.running()));
    waiting.Set(static_cast<double>(scheduler.waiting()));
    return woken;
  }
  static void Wake(const Waiters& woken) {
    for (const auto& waiter : woken) waiter->event->Set();
  }

  void Leave(Scheduler::Id id) ABSL_LOCKS_EXCLUDED(mutex) {
    Waiters woken;
    {
      sync::MutexLock lock(&mutex);
      waiters.erase(id);
      scheduler.Leave(id);
      woken = TakeTurns();
    }
    Wake(woken);
  }

  Verdict VerdictOf(const Waiter& waiter) ABSL_LOCKS_EXCLUDED(mutex) {
    sync::MutexLock lock(&mutex);
    return waiter.verdict;
  }

  sync::Mutex mutex;
  Scheduler scheduler ABSL_GUARDED_BY(mutex);
  absl::flat_hash_map<Scheduler::Id, std::shared_ptr<Waiter>> waiters
      ABSL_GUARDED_BY(mutex);
  metrics::Gauge& running;
  metrics::Gauge& waiting;
  metrics::Histogram& wait_seconds;
  metrics::Counter& tenant_full;
  metrics::Counter& full;
  metrics::Counter& deadline;
  metrics::Counter& cancelled;
};

FairQueue::Place::~Place() {
  if (state_ != nullptr) state_->Leave(id_);
}

FairQueue::FairQueue(Options options, metrics::Registry* metrics)
    : options_(std::move(options)),
      state_(std::make_shared<State>(options_, metrics)) {}

FairQueue::~FairQueue() = default;

std::optional<FairQueue::Place> FairQueue::TryEnter(
    absl::string_view tenant_uid, TenantLimits limits, double cost) {
  Scheduler::Id id = 0;
  {
    sync::MutexLock lock(&state_->mutex);
    if (!state_->scheduler.TryEnter(tenant_uid, limits, cost, &id)) {
      return std::nullopt;
    }
    state_->running.Set(static_cast<double>(state_->scheduler.running()));
  }
  state_->wait_seconds.Observe(0);
  return Place(state_, id);
}

asio::awaitable<absl::StatusOr<FairQueue::Place>> FairQueue::Enter(
    std::string tenant_uid, TenantLimits limits, double cost,
    absl::Time deadline) {
  const std::shared_ptr<State> state = state_;
  const absl::Time came_at = absl::Now();
  const absl::Time until = std::min(deadline, came_at + options_.max_wait);
  const int max_in_all = options_.limits.max_queued;
  const int max_running = options_.limits.max_concurrent;
  std::shared_ptr<State::Waiter> waiter;  // Of one that has to wait.
  Scheduler::Id id = 0;
  Verdict verdict;
  State::Waiters woken;
  {
    sync::MutexLock lock(&state->mutex);
    verdict = state->scheduler.Enter(tenant_uid, limits, cost, &id);
    if (verdict == Verdict::kWait) {
      waiter = std::make_shared<State::Waiter>();
      state->waiters.emplace(id, waiter);
    }
    woken = state->TakeTurns();
  }
  State::Wake(woken);
  Place place(state, id);  // Leaves the queue as well.
  if (verdict == Verdict::kWait) {
    const auto end = co_await sync::Event::Wait(waiter->event, until);
    if (end == sync::Event::End::kDeadline) {
      state->deadline.Increment();
      co_return absl::UnavailableError(absl::StrCat(
          "no place for it within ",
          absl::FormatDuration(absl::Now() - came_at), ": ",
          limits.max_concurrent,
          " of the tenant may run at once (max_concurrent_queries)"
          " and ",
          max_running, " of all (queue.max_concurrent), try again later"));
    }
    if (end == sync::Event::End::kCancelled) {
      state->cancelled.Increment();
      co_return absl::CancelledError("given up while it waited for a place");
    }
    verdict = state->VerdictOf(*waiter);
  }
  switch (verdict) {
    case Verdict::kTenantFull:
      state->tenant_full.Increment();
      co_return absl::ResourceExhaustedError(absl::StrCat(
          limits.max_queued,
          " requests of the tenant wait already (max_queued_queries), beside ",
          limits.max_concurrent,
          " that may run (max_concurrent_queries); ask for fewer at once"));
    case Verdict::kFull:
      state->full.Increment();
      co_return absl::ResourceExhaustedError(absl::StrCat(
          max_in_all,
          " requests of all tenants wait (queue.max_queued), try again later"));
    default:
      state->wait_seconds.Observe(absl::ToDoubleSeconds(absl::Now() - came_at));
      co_return place;
  }
}

void FairQueue::SetLimits(absl::string_view tenant_uid, TenantLimits limits) {
  State::Waiters woken;
  {
    sync::MutexLock lock(&state_->mutex);
    state_->scheduler.SetLimits(tenant_uid, limits);
    woken = state_->TakeTurns();
  }
  State::Wake(woken);
}

}  // namespace insula::fair_queue
