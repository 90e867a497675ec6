// An evaluator that is kept in step.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <compare>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/rule_sync/desired.h"

namespace insula::rule_sync {

// A group at an evaluator.
struct GroupKey {
  std::string uid;   // Of the tenant.
  std::string stem;  // Of the tenant's file.
  std::string group;
  friend auto operator<=>(const GroupKey&, const GroupKey&) = default;
};

// How far a group has come.
struct GroupOutcome {
  enum class State {
    kPending,
    kActive,  // Seen in the evaluator's list.
    kFailed,
  };
  State state = State::kPending;
  std::string digest;  // Of the version of the group that this is about.
  std::string error;   // Of kFailed, or why it is kept waiting.
};

// Why a sync did not reach its end; for metrics.
enum class Failure {
  kNone,
  kUnreachable,  // No answer, or none in time.
  kBusy,         // 429, 5xx.
  kDenied,       // 401, 403, 404, 405, ...: not as it is configured.
  kGarbage,      // An answer that is none.
  kRefused,      // Rules that the evaluator does not take.
  kNotSeen,      // Taken, but not in its list.
  kDisk,         // Our own files.
};

struct SyncResult {
  // Not OK: try again, after some time that grows. That is not for rules that
  // the evaluator refuses: they are in `outcomes`, and the others went on.
  absl::Status status;
  Failure failure = Failure::kNone;
  // What the evaluator asks to wait, at least.
  absl::Duration retry_after;
  // When to come again, if earlier than usual, to offer refused rules again.
  absl::Duration offer_again_after = absl::InfiniteDuration();

  std::map<GroupKey, GroupOutcome> outcomes;  // Of the groups wanted.

  // The groups of ours that are there now, whoever's; unset if that is not
  // known.
  std::optional<std::set<GroupKey>> present;

  size_t created = 0;  // Of groups, or of files.
  size_t updated = 0;
  size_t deleted = 0;
  size_t refused = 0;
  size_t rolled_back = 0;
};

// One unit of Desired. Not thread-safe: one Sync() at a time.
class Target {
 public:
  virtual ~Target() = default;

  // Compares what is there with `desired`, and makes it so. Touches nothing
  // that is not ours by its name. Without `may_delete`, groups stay that are
  // not desired any longer of tenants that still are; groups of other tenants
  // go at any time. A kill or a cancellation, at any moment, leaves a state
  // from which the next Sync(), also of another process, gets on.
  virtual boost::asio::awaitable<SyncResult> Sync(
      std::shared_ptr<const DesiredUnit> desired, bool may_delete) = 0;
};

}  // namespace insula::rule_sync
