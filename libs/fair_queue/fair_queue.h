// Places for the work of tenants, and a queue before them.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/fair_queue/scheduler.h"
#include "libs/metrics/metrics.h"

namespace insula::fair_queue {

// At most so many requests run at once, in all and of each tenant; the others
// wait, and their turns are shared out as Scheduler says. Requests of another
// kind, which must not wait behind these, have a queue of their own: metadata
// beside queries.
//
//   CO_ASSIGN_OR_RETURN(const FairQueue::Place place,
//                       co_await queue.Enter(uid, limits, cost, deadline));
//   co_return co_await Ask(...);  // Till the place is destroyed.
//
// Thread-safe. Metrics, by the name of the queue: insula_fair_queue_running,
// insula_fair_queue_waiting, insula_fair_queue_wait_seconds,
// insula_fair_queue_refused_total{reason}, by "tenant_full", "full", "deadline"
// and "cancelled".
class FairQueue {
 private:
  struct State;

 public:
  struct Options {
    std::string name;  // In metrics: "queries".
    Scheduler::Options limits;
    absl::Duration max_wait = absl::Seconds(30);
  };

  // A place; given back when it is destroyed, which may be after the queue.
  class Place {
   public:
    Place(Place&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)), id_(other.id_) {}
    Place& operator=(Place&&) = delete;
    ~Place();

   private:
    friend class FairQueue;
    Place(std::shared_ptr<State> state, Scheduler::Id id)
        : state_(std::move(state)), id_(id) {}

    std::shared_ptr<State> state_;
    Scheduler::Id id_;
  };

  // `metrics` outlives the queue and its places.
  FairQueue(Options options, metrics::Registry* metrics);
  ~FairQueue();

  // A place, if one is free and nobody waits for it.
  std::optional<Place> TryEnter(absl::string_view tenant_uid,
                                TenantLimits limits, double cost);
  // Waits for a place. RESOURCE_EXHAUSTED, with the limit's name, at once if
  // too many wait already, or later for one that had to make room; UNAVAILABLE
  // after `max_wait` or at `deadline`; CANCELLED if the calling coroutine was,
  // which leaves the queue at once. The caller runs on a strand.
  boost::asio::awaitable<absl::StatusOr<Place>> Enter(std::string tenant_uid,
                                                      TenantLimits limits,
                                                      double cost,
                                                      absl::Time deadline);

  // The limits of a tenant are `limits` from now on, also for those that wait.
  void SetLimits(absl::string_view tenant_uid, TenantLimits limits);

 private:
  const Options options_;
  const std::shared_ptr<State> state_;
};

}  // namespace insula::fair_queue
