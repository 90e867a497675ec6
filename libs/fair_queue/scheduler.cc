#include "libs/fair_queue/scheduler.h"

#include <algorithm>

namespace insula::fair_queue {
namespace {

constexpr double kMostCost = 1e12;

// At least 1, also for NaN.
double Bounded(double cost) {
  return cost >= 1 ? std::min(cost, kMostCost) : 1;
}

size_t Positive(int n) { return n < 1 ? 1 : static_cast<size_t>(n); }
size_t NotNegative(int n) { return n < 0 ? 0 : static_cast<size_t>(n); }

}  // namespace

struct Scheduler::Tenant {
  std::string name;
  TenantLimits limits;
  double paid_at = 0;  // The end of the last request that had its turn.
  size_t running = 0;
  std::list<Waiter> waiting;
  bool ready = false;
  std::pair<double, Id> rank;  // In ready_.
  bool idle = false;           // In idle_, under paid_at.
};

Scheduler::Scheduler(Options options) : options_(options) {}

Scheduler::~Scheduler() = default;

Scheduler::Tenant* Scheduler::TenantOf(absl::string_view name) {
  auto found = tenants_.find(name);
  if (found == tenants_.end()) {
    auto made = std::make_unique<Tenant>();
    made->name = std::string(name);
    found = tenants_.emplace(made->name, std::move(made)).first;
  }
  return found->second.get();
}

bool Scheduler::MayRun(const Tenant& tenant) const {
  return tenant.running < Positive(tenant.limits.max_concurrent);
}

void Scheduler::Rank(Tenant* tenant) {
  if (tenant->ready) ready_.erase({tenant->rank, tenant});
  tenant->ready = !tenant->waiting.empty() && MayRun(*tenant);
  if (!tenant->ready) return;
  const Waiter& first = tenant->waiting.front();
  tenant->rank = {std::max(first.came_at, tenant->paid_at), first.id};
  ready_.insert({tenant->rank, tenant});
}

void Scheduler::Run() {
  while (running_ < Positive(options_.max_concurrent) && !ready_.empty()) {
    Tenant* const tenant = ready_.begin()->second;
    const Waiter next = tenant->waiting.front();
    const double start = tenant->rank.first;
    tenant->waiting.pop_front();
    --waiting_;
    now_ = std::max(now_, start);
    tenant->paid_at = start + next.cost;
    ++tenant->running;
    ++running_;
    places_[next.id].running = true;
    turns_.push_back({next.id, Verdict::kRun});
    Rank(tenant);
  }
}

bool Scheduler::TryEnter(absl::string_view name, TenantLimits limits,
                         double cost, Id* id) {
  if (running_ >= Positive(options_.max_concurrent) || !ready_.empty()) {
    return false;
  }
  // One that is new may run.
  Tenant* const tenant = TenantOf(name);
  if (!tenant->waiting.empty() ||
      tenant->running >= Positive(limits.max_concurrent)) {
    return false;
  }
  tenant->limits = limits;
  if (tenant->idle) idle_.erase({tenant->paid_at, tenant});
  tenant->idle = false;
  *id = ++last_id_;
  now_ = std::max(now_, tenant->paid_at);
  tenant->paid_at = now_ + Bounded(cost);
  ++tenant->running;
  ++running_;
  places_[*id] = {tenant, true, {}};
  return true;
}

Scheduler::Verdict Scheduler::Enter(absl::string_view name, TenantLimits limits,
                                    double cost, Id* id) {
  if (TryEnter(name, limits, cost, id)) return Verdict::kRun;
  Tenant* const tenant = TenantOf(name);
  tenant->limits = limits;
  if (tenant->idle) idle_.erase({tenant->paid_at, tenant});
  tenant->idle = false;
  *id = ++last_id_;
  tenant->waiting.push_back({*id, Bounded(cost), now_});
  places_[*id] = {tenant, false, std::prev(tenant->waiting.end())};
  ++waiting_;
  Rank(tenant);
  Run();
  if (places_[*id].running) {
    std::erase_if(turns_, [&](const Turn& turn) { return turn.id == *id; });
    return Verdict::kRun;
  }
  if (tenant->waiting.size() > NotNegative(limits.max_queued)) {
    Leave(*id);
    return Verdict::kTenantFull;
  }
  if (waiting_ > NotNegative(options_.max_queued)) {
    const Id out = PushOut();
    if (out == *id) return Verdict::kFull;
    turns_.push_back({out, Verdict::kFull});
  }
  return Verdict::kWait;
}

Scheduler::Id Scheduler::PushOut() {
  const Tenant* most = nullptr;
  Id youngest = 0;  // Among equals, who came last goes.
  for (const auto& [name, tenant] : tenants_) {
    if (tenant->waiting.empty()) continue;
    const Id last = tenant->waiting.back().id;
    if (most == nullptr || tenant->waiting.size() > most->waiting.size() ||
        (tenant->waiting.size() == most->waiting.size() && last > youngest)) {
      most = tenant.get();
      youngest = last;
    }
  }
  Leave(youngest);
  return youngest;
}

void Scheduler::DropWaiter(Id id, const Place& place) {
  place.tenant->waiting.erase(place.waiter);
  --waiting_;
  std::erase_if(turns_, [&](const Turn& turn) { return turn.id == id; });
}

void Scheduler::Leave(Id id) {
  const auto found = places_.find(id);
  if (found == places_.end()) return;
  const Place place = found->second;
  Tenant* const tenant = place.tenant;
  if (place.running) {
    // What a tenant may not have, by its own limit, it does not save up.
    if (!MayRun(*tenant)) tenant->paid_at = std::max(tenant->paid_at, now_);
    --tenant->running;
    --running_;
    std::erase_if(turns_, [&](const Turn& turn) { return turn.id == id; });
  } else {
    DropWaiter(id, place);
  }
  places_.erase(found);
  Rank(tenant);
  Run();
  ForgetIdle(tenant);
}

void Scheduler::ForgetIdle(Tenant* tenant) {
  if (tenant->running == 0 && tenant->waiting.empty() && !tenant->idle) {
    tenant->idle = true;
    idle_.insert({tenant->paid_at, tenant});
  }
  // Nobody to owe anything to, or all is paid.
  const bool all = places_.empty();
  while (!idle_.empty() && (all || idle_.begin()->first <= now_)) {
    Tenant* const gone = idle_.begin()->second;
    idle_.erase(idle_.begin());
    tenants_.erase(tenants_.find(gone->name));
  }
}

void Scheduler::SetLimits(absl::string_view name, TenantLimits limits) {
  const auto found = tenants_.find(name);
  if (found == tenants_.end() || found->second->limits == limits) return;
  found->second->limits = limits;
  Rank(found->second.get());
  Run();
}

}  // namespace insula::fair_queue
