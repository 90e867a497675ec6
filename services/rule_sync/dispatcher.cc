#include "services/rule_sync/dispatcher.h"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <exception>

#include "absl/time/clock.h"
#include "libs/limits/deletion_brake.h"
#include "libs/logging/logging.h"
#include "services/rule_sync/unit_compare.h"

namespace insula::rule_sync {
namespace {

namespace asio = boost::asio;

// What an evaluator may ask to wait at most.
constexpr absl::Duration kLongestWait = absl::Hours(1);

std::shared_ptr<const DesiredUnit> Nothing(const UnitSpec& spec) {
  DesiredUnit desired;
  desired.spec = spec;
  return std::make_shared<const DesiredUnit>(std::move(desired));
}

}  // namespace

struct Dispatcher::Unit {
  std::string id;
  std::shared_ptr<const DesiredUnit> desired;
  std::unique_ptr<Target> target;
  Backoff backoff;

  absl::Time due = absl::InfinitePast();
  absl::Time not_before = absl::InfinitePast();
  bool queued = false;
  bool running = false;
  bool dirty = false;   // Changed while it was running.
  bool unseen = false;  // There at the start, without a result.
  bool counted = false;
  size_t counted_present = 0;
  size_t counted_vanishing = 0;
  bool counted_unseen = false;
  std::string target_id;  // Of the queue that it is in.

  std::optional<std::set<GroupKey>> present;
  std::map<GroupKey, GroupProgress> progress;
  std::string last_error;

  Strand strand;  // Of the sync that runs, which `cancel` ends.
  asio::cancellation_signal cancel;

  Unit(const asio::any_io_executor& executor, Backoff::Options options)
      : backoff(options), strand(asio::make_strand(executor)) {}
};

Dispatcher::Dispatcher(DispatcherOptions options, MakeTarget make_target,
                       Strand strand, asio::any_io_executor executor,
                       Metrics* metrics)
    : options_(options),
      make_target_(std::move(make_target)),
      strand_(std::move(strand)),
      executor_(std::move(executor)),
      metrics_(*metrics),
      timer_(strand_) {}

Dispatcher::~Dispatcher() = default;

void Dispatcher::Remember(const std::map<std::string, UnitSpec>& units) {
  for (const auto& [id, spec] : units) {
    AddUnit(id, spec)->unseen = true;
  }
}

std::vector<UnitSpec> Dispatcher::NewUnits(const Desired& desired) const {
  std::vector<UnitSpec> fresh;
  for (const auto& [id, unit] : desired.units) {
    const auto it = units_.find(id);
    if (it == units_.end() ? !unit->idle
                           : it->second->desired->spec != unit->spec) {
      fresh.push_back(unit->spec);
    }
  }
  return fresh;
}

void Dispatcher::Update(std::shared_ptr<const Desired> desired) {
  if (is_stopped_) return;
  wanted_groups_ = 0;
  for (const auto& [id, wanted] : desired->units) {
    wanted_groups_ += CountGroups(*wanted);
    const auto it = units_.find(id);
    Unit* unit = it == units_.end() ? nullptr : it->second.get();
    if (unit == nullptr) {
      if (wanted->idle) continue;
      unit = AddUnit(id, wanted->spec);
      unit->unseen = !started_;
    }
    SetDesired(unit, wanted);
  }
  for (const auto& [id, unit] : units_) {
    if (!desired->units.contains(id)) {
      SetDesired(unit.get(), Nothing(unit->desired->spec));
    }
  }
  started_ = true;
  SetGauges();
  Pump();
}

std::vector<std::string> Dispatcher::TakeForgotten() {
  return std::exchange(forgotten_, {});
}

GroupProgress Dispatcher::ProgressOf(const std::string& unit_id,
                                     const GroupKey& key,
                                     const std::string& digest) const {
  const auto unit = units_.find(unit_id);
  if (unit == units_.end()) return {};
  const auto it = unit->second->progress.find(key);
  if (it == unit->second->progress.end() ||
      it->second.outcome.digest != digest) {
    return {};
  }
  return it->second;
}

void Dispatcher::Stop(std::function<void()> stopped) {
  is_stopped_ = true;
  stopped_ = std::move(stopped);
  timer_.cancel();
  for (const auto& [id, unit] : units_) {
    if (!unit->running) continue;
    asio::post(unit->strand, [self = shared_from_this(), unit = unit.get()] {
      unit->cancel.emit(asio::cancellation_type::all);
    });
  }
  if (running_ == 0) std::exchange(stopped_, nullptr)();
}

Dispatcher::Unit* Dispatcher::AddUnit(const std::string& id,
                                      const UnitSpec& spec) {
  auto unit = std::make_unique<Unit>(executor_, options_.backoff);
  unit->id = id;
  unit->target_id = spec.target_id;
  unit->target = make_target_(spec);
  unit->desired = Nothing(spec);
  Unit* const added = unit.get();
  units_[id] = std::move(unit);
  return added;
}

void Dispatcher::SetDesired(Unit* unit,
                            std::shared_ptr<const DesiredUnit> desired) {
  const bool first = !unit->counted;
  if (!first && Same(*unit->desired, *desired)) return;
  Uncount(unit);
  unit->desired = std::move(desired);
  const std::string former =
      std::exchange(unit->target_id, unit->desired->spec.target_id);
  Count(unit);
  if (former != unit->target_id) Judge(former);
  if (unit->running) {
    unit->dirty = true;
  } else {
    Schedule(unit, std::max(absl::Now(), unit->not_before));
  }
}

void Dispatcher::Schedule(Unit* unit, absl::Time at) {
  Queue& queue = queues_[unit->target_id];
  if (unit->queued) queue.due.erase({unit->due, unit});
  unit->due = at;
  unit->queued = true;
  queue.due.insert({at, unit});
}

void Dispatcher::Forget(Unit* unit) {
  logging::Info("target emptied", {{"unit", unit->id}});
  Uncount(unit);
  Judge(unit->target_id);
  forgotten_.push_back(unit->id);
  units_.erase(units_.find(unit->id));
}

void Dispatcher::Count(Unit* unit) {
  Queue& queue = queues_[unit->target_id];
  unit->counted = true;
  unit->counted_unseen = unit->unseen;
  unit->counted_present = unit->present ? unit->present->size() : 0;
  unit->counted_vanishing =
      unit->present ? CountVanishing(*unit->desired, *unit->present) : 0;
  queue.unseen += unit->unseen ? 1 : 0;
  queue.present += unit->counted_present;
  queue.vanishing += unit->counted_vanishing;
  Judge(unit->target_id);
}

void Dispatcher::Uncount(Unit* unit) {
  Queue& queue = queues_[unit->target_id];
  if (unit->queued) {
    queue.due.erase({unit->due, unit});
    unit->queued = false;
  }
  if (!unit->counted) return;
  unit->counted = false;
  queue.unseen -= unit->counted_unseen ? 1 : 0;
  queue.present -= unit->counted_present;
  queue.vanishing -= unit->counted_vanishing;
}

void Dispatcher::Judge(const std::string& target_id) {
  Queue& queue = queues_[target_id];
  const bool too_many = limits::TooManyDeletions(queue.vanishing, queue.present,
                                                 options_.max_deletion_percent);
  metrics_.Held(target_id).Set(too_many ? static_cast<double>(queue.vanishing)
                                        : 0);
  const bool before = queue.may_delete;
  queue.may_delete = queue.unseen == 0 && !too_many;
  if (too_many && before) {
    logging::Error(
        "too many groups vanished at once, they are kept",
        {{"target", target_id},
         {"vanished", queue.vanishing},
         {"present", queue.present},
         {"cure", "raise rules.max_deletion_percent if it is right"}});
  }
  if (before || !queue.may_delete) return;
  // Those that could not delete may do so now.
  for (const auto& [id, unit] : units_) {
    if (unit->target_id == target_id && unit->counted_vanishing > 0 &&
        unit->queued) {
      Schedule(unit.get(), std::max(absl::Now(), unit->not_before));
    }
  }
}

void Dispatcher::Pump() {
  if (is_stopped_) return;
  const absl::Time now = absl::Now();
  for (auto& [id, queue] : queues_) {
    while (queue.running < options_.max_parallel && !queue.due.empty() &&
           queue.due.begin()->first <= now) {
      Start(queue.due.begin()->second);
    }
  }
  Arm();
}

void Dispatcher::Arm() {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [id, queue] : queues_) {
    if (queue.running < options_.max_parallel && !queue.due.empty()) {
      next = std::min(next, queue.due.begin()->first);
    }
  }
  if (next == absl::InfiniteFuture()) {
    timer_.cancel();
    return;
  }
  timer_.expires_after(absl::ToChronoNanoseconds(
      std::max(next - absl::Now(), absl::Milliseconds(1))));
  timer_.async_wait(
      [self = shared_from_this()](const boost::system::error_code& error) {
        if (!error) self->Pump();
      });
}

void Dispatcher::Start(Unit* unit) {
  Queue& queue = queues_[unit->target_id];
  queue.due.erase({unit->due, unit});
  unit->queued = false;
  unit->running = true;
  unit->dirty = false;
  ++queue.running;
  ++running_;
  const bool may_delete = queue.may_delete;
  asio::co_spawn(
      unit->strand, unit->target->Sync(unit->desired, may_delete),
      asio::bind_cancellation_slot(
          unit->cancel.slot(),
          [self = shared_from_this(), id = unit->id,
           target_id = unit->target_id, started = absl::Now(),
           may_delete](const std::exception_ptr& error, SyncResult result) {
            if (error != nullptr) {
              result = SyncResult();
              result.status = absl::CancelledError("the sync was broken off");
            }
            asio::post(self->strand_, [self, id, target_id, started, may_delete,
                                       result = std::move(result)]() mutable {
              --self->queues_[target_id].running;
              self->Finish(id, started, may_delete, std::move(result));
            });
          }));
}

void Dispatcher::Finish(const std::string& id, absl::Time started,
                        bool might_delete, SyncResult result) {
  Unit* const unit = units_.at(id).get();
  unit->running = false;
  --running_;
  if (is_stopped_) {
    if (running_ == 0) std::exchange(stopped_, nullptr)();
    return;
  }
  const absl::Time now = absl::Now();
  const std::string& target_id = unit->target_id;
  metrics_.sync_seconds.Observe(absl::ToDoubleSeconds(now - started));
  metrics_.Syncs(target_id, result.status.ok()).Increment();
  if (result.status.ok()) {
    metrics_.LastSuccess(target_id).Set(
        absl::ToDoubleSeconds(now - absl::UnixEpoch()));
  }
  if (result.failure != Failure::kNone || !result.status.ok()) {
    metrics_.Failures(result.failure).Increment();
  }
  metrics_.created.Increment(static_cast<double>(result.created));
  metrics_.updated.Increment(static_cast<double>(result.updated));
  metrics_.deleted.Increment(static_cast<double>(result.deleted));
  metrics_.rolled_back.Increment(static_cast<double>(result.rolled_back));
  Log(*unit, result);
  unit->last_error =
      result.status.ok() ? "" : std::string(result.status.message());

  KeepOutcomes(unit, &result);
  Uncount(unit);
  unit->unseen = false;
  if (result.present.has_value()) unit->present = std::move(result.present);
  const bool empty = result.status.ok() && unit->present.has_value() &&
                     unit->present->empty() && unit->progress.empty();
  if (empty && unit->desired->idle && !unit->dirty) {
    Forget(unit);
    Pump();
    return;
  }
  absl::Time next = now;
  if (result.status.ok()) {
    unit->backoff.Reset();
    unit->not_before = now;
    // Not all at the same moment.
    if (!unit->dirty) {
      next += std::min(
          options_.resync_interval *
              (0.9 + 0.2 * (std::hash<std::string>()(id) % 1000) / 1000),
          result.offer_again_after);
    }
  } else {
    next += std::max(unit->backoff.Next(),
                     std::min(result.retry_after, kLongestWait));
    unit->not_before = next;
  }
  unit->queued = false;
  Schedule(unit, next);
  Count(unit);
  // It has found what must go, and was not allowed to yet.
  if (result.status.ok() && !might_delete && unit->counted_vanishing > 0 &&
      queues_[unit->target_id].may_delete) {
    Schedule(unit, now);
  }
  Pump();
}

void Dispatcher::KeepOutcomes(Unit* unit, SyncResult* result) {
  const absl::Time now = absl::Now();
  for (const auto& [key, progress] : unit->progress) {
    --states_[static_cast<size_t>(progress.outcome.state)];
  }
  std::map<GroupKey, GroupProgress> next;
  for (auto& [key, outcome] : result->outcomes) {
    GroupProgress& progress = next[key];
    if (const auto before = unit->progress.find(key);
        before != unit->progress.end() &&
        before->second.outcome.digest == outcome.digest) {
      progress.synced_at = before->second.synced_at;
    }
    if (outcome.state == GroupOutcome::State::kActive) {
      progress.synced_at = now;
    }
    ++states_[static_cast<size_t>(outcome.state)];
    progress.outcome = std::move(outcome);
  }
  unit->progress = std::move(next);
  SetGauges();
}

void Dispatcher::SetGauges() {
  using State = GroupOutcome::State;
  const auto count = [this](State state) {
    return static_cast<double>(states_[static_cast<size_t>(state)]);
  };
  metrics_.pending.Set(static_cast<double>(wanted_groups_) -
                       count(State::kActive) - count(State::kFailed));
  metrics_.active.Set(count(State::kActive));
  metrics_.failed.Set(count(State::kFailed));
}

void Dispatcher::Log(const Unit& unit, const SyncResult& result) {
  const std::string error(result.status.message());
  if (!result.status.ok() && error != unit.last_error) {
    logging::Warn("sync failed", {{"target", unit.desired->spec.target_id},
                                  {"org_id", unit.desired->spec.org_id},
                                  {"err", result.status}});
  } else if (result.status.ok() && !unit.last_error.empty()) {
    logging::Info("sync works again", {{"target", unit.desired->spec.target_id},
                                       {"org_id", unit.desired->spec.org_id}});
  }
  if (result.created + result.updated + result.deleted + result.refused > 0) {
    logging::Info("synced", {{"target", unit.desired->spec.target_id},
                             {"org_id", unit.desired->spec.org_id},
                             {"created", result.created},
                             {"updated", result.updated},
                             {"deleted", result.deleted},
                             {"refused", result.refused},
                             {"rolled_back", result.rolled_back}});
  }
}

}  // namespace insula::rule_sync
