// Decides which unit is brought in step when.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "libs/time/backoff.h"
#include "services/rule_sync/desired.h"
#include "services/rule_sync/metrics.h"
#include "services/rule_sync/target.h"

namespace insula::rule_sync {

struct DispatcherOptions {
  absl::Duration resync_interval = absl::Minutes(1);
  Backoff::Options backoff = {.initial = absl::Seconds(1),
                              .maximum = absl::Minutes(5)};
  int max_parallel = 32;  // Units of one target.
  int max_deletion_percent = 20;
};

// How far a group is, for those who ask.
struct GroupProgress {
  GroupOutcome outcome;
  absl::Time synced_at = absl::InfinitePast();  // When it was last seen active.
};

// Each unit is synced when it changes, each resync_interval, and, after a
// failure, once its own backoff (and what the evaluator asked to wait) is over;
// of one target max_parallel at a time. So the trouble of one is its own.
//
// Groups that vanish from the directory are deleted only if, over all units of
// their target, they are not too many to be meant; for the units that are there
// when the process starts only after each of them has been looked at, or has
// failed to be. Tenants that leave a target, by the registry, are not counted.
//
// All methods run on `strand`.
class Dispatcher : public std::enable_shared_from_this<Dispatcher> {
 public:
  using Strand = boost::asio::strand<boost::asio::any_io_executor>;
  using MakeTarget =
      std::function<std::unique_ptr<Target>(const UnitSpec& spec)>;

  // Syncs run on `executor`. `metrics` outlives the dispatcher.
  Dispatcher(DispatcherOptions options, MakeTarget make_target, Strand strand,
             boost::asio::any_io_executor executor, Metrics* metrics);
  ~Dispatcher();

  // Adds places that a former process wrote to. Before the first Update().
  void Remember(const std::map<std::string, UnitSpec>& units);

  // The units that Update() would add or change the spec of.
  std::vector<UnitSpec> NewUnits(const Desired& desired) const;

  // What must be there from now on. Units that are no longer named are emptied
  // and then forgotten.
  void Update(std::shared_ptr<const Desired> desired);

  // The ids of units that have been forgotten since the last call.
  std::vector<std::string> TakeForgotten();

  // Of the version `digest` of a group.
  GroupProgress ProgressOf(const std::string& unit_id, const GroupKey& key,
                           const std::string& digest) const;

  // Starts no further syncs and cancels those that run. Calls `stopped` when
  // the last one has ended.
  void Stop(std::function<void()> stopped);

 private:
  struct Unit;
  // The units of one target.
  struct Queue {
    std::set<std::pair<absl::Time, Unit*>> due;
    int running = 0;
    size_t present = 0;    // Groups of ours there, as far as known.
    size_t vanishing = 0;  // Those that the directory no longer has.
    int unseen = 0;        // Units of the start without a first result.
    bool may_delete = false;
  };

  Unit* AddUnit(const std::string& id, const UnitSpec& spec);
  void SetDesired(Unit* unit, std::shared_ptr<const DesiredUnit> desired);
  void Schedule(Unit* unit, absl::Time at);
  void Forget(Unit* unit);
  // Counts the unit in, or out of, its queue, and judges the queue anew.
  void Count(Unit* unit);
  void Uncount(Unit* unit);
  void Judge(const std::string& target_id);

  void Pump();
  void Arm();
  void Start(Unit* unit);
  void Finish(const std::string& id, absl::Time started, bool might_delete,
              SyncResult result);
  void KeepOutcomes(Unit* unit, SyncResult* result);
  void SetGauges();
  void Log(const Unit& unit, const SyncResult& result);

  const DispatcherOptions options_;
  const MakeTarget make_target_;
  const Strand strand_;
  const boost::asio::any_io_executor executor_;
  Metrics& metrics_;
  boost::asio::steady_timer timer_;

  std::map<std::string, std::unique_ptr<Unit>> units_;  // By id.
  std::map<std::string, Queue> queues_;                 // By target id.
  std::vector<std::string> forgotten_;
  std::array<int64_t, 3> states_ = {};  // Groups by GroupOutcome::State.
  int64_t wanted_groups_ = 0;
  bool started_ = false;  // The first Update() has been.
  int running_ = 0;
  bool is_stopped_ = false;
  std::function<void()> stopped_;
};

}  // namespace insula::rule_sync
