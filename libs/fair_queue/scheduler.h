// Whose turn is next, for work of tenants that shares some places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace insula::fair_queue {

// Of one tenant.
struct TenantLimits {
  int max_concurrent = 10;  // That run at once; at least 1.
  int max_queued = 100;     // That wait; 0: none does.
  friend bool operator==(const TenantLimits&, const TenantLimits&) = default;
};

// Start-time fair queueing: a request starts, in virtual time, when the one
// before it of the same tenant has ended, but not before it came; it ends after
// its cost; and the least start is next. The virtual time is that of the last
// turn. Deficit round robin shares as well, but has to be told a quantum: one
// that is smaller than the largest cost makes rounds without a turn, a larger
// one lets each tenant hold the others up for so long. Costs of queries differ
// by a factor of a million.
//
// So a tenant that waits has its turn, at the latest, when every other has had
// one request more than that tenant itself, or more by cost; how many requests
// others have waiting is of no consequence. Credit is not saved up: who was
// idle, or had all places that it may have, starts now. Debt is: who comes back
// before its last request has ended in virtual time waits as if it had stayed.
//
// Not thread-safe. Takes O(log tenants) a call, and O(tenants) when all is
// full.
class Scheduler {
 public:
  struct Options {
    int max_concurrent = 100;  // Of all tenants; at least 1.
    int max_queued = 10'000;   // Of all tenants.
  };
  using Id = uint64_t;
  enum class Verdict {
    kRun,         // It runs till Leave().
    kWait,        // It waits for a turn or Leave().
    kTenantFull,  // The tenant has max_queued waiting. Not in here any more.
    kFull,        // All tenants together have. Not in here any more.
  };
  // What became of one that waited.
  struct Turn {
    Id id;
    Verdict verdict;  // kRun or kFull.
  };

  explicit Scheduler(Options options);
  ~Scheduler();

  // A request of a tenant whose limits are `limits` from now on. Cost is that
  // of the request in whatever unit, at least 1. When all is full, the last
  // request of the tenant with most waiting makes room for one of a tenant with
  // fewer.
  Verdict Enter(absl::string_view tenant, TenantLimits limits, double cost,
                Id* id);
  // As Enter(), if that returned kRun; otherwise nothing has happened.
  bool TryEnter(absl::string_view tenant, TenantLimits limits, double cost,
                Id* id);
  // A request has ended, or given up. One that is not in here is passed over.
  void Leave(Id id);
  // Of a tenant that has requests here. Holds from now on; what runs or waits
  // beyond it may stay.
  void SetLimits(absl::string_view tenant, TenantLimits limits);

  // What became of those that waited, since the last call.
  std::vector<Turn> TakeTurns() { return std::exchange(turns_, {}); }

  size_t running() const { return running_; }
  size_t waiting() const { return waiting_; }
  // That are remembered: those with requests, and those with debts.
  size_t tenants() const { return tenants_.size(); }

 private:
  struct Tenant;
  struct Waiter {
    Id id;
    double cost;
    double came_at;  // Virtual time.
  };
  struct Place {
    Tenant* tenant;
    bool running;
    std::list<Waiter>::iterator waiter;  // Unless it runs.
  };

  Tenant* TenantOf(absl::string_view name);
  bool MayRun(const Tenant& tenant) const;
  // Puts a tenant where it belongs among those that are ready, or takes it out.
  void Rank(Tenant* tenant);
  void Run();
  // Takes out the last request of the tenant with most waiting.
  Id PushOut();
  void DropWaiter(Id id, const Place& place);
  void ForgetIdle(Tenant* tenant);

  const Options options_;
  double now_ = 0;  // Virtual.
  Id last_id_ = 0;
  size_t running_ = 0;
  size_t waiting_ = 0;
  std::map<std::string, std::unique_ptr<Tenant>, std::less<>> tenants_;
  absl::flat_hash_map<Id, Place> places_;
  // By start of the first that waits, and then who came first.
  std::set<std::pair<std::pair<double, Id>, Tenant*>> ready_;
  // Without requests, by when they have paid.
  std::set<std::pair<double, Tenant*>> idle_;
  std::vector<Turn> turns_;
};

}  // namespace insula::fair_queue
