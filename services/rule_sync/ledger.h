// Remembers which places have been written to.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/rule_sync/desired.h"

namespace insula::rule_sync {

// A file of JSON. It names each place before it is written to for the first
// time and until nothing of ours is left there. So what a tenant or a target
// leaves behind is found again when they are gone from the registry, also by
// another process. Not thread-safe.
class Ledger {
 public:
  // With an empty path nothing is kept. A file that is not there is an empty
  // one. DATA_LOSS for one that is damaged: to go on without it could leave
  // rules at evaluators for ever, so somebody must decide. Blocks.
  static absl::StatusOr<Ledger> Open(std::string path);

  const std::map<std::string, UnitSpec>& units() const { return units_; }

  // Adds or replaces places, and forgets others, durably. Blocks. After an
  // error nothing has changed.
  absl::Status Change(const std::vector<UnitSpec>& added,
                      const std::vector<std::string>& forgotten_ids);

 private:
  explicit Ledger(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::map<std::string, UnitSpec> units_;  // By Id().
};

}  // namespace insula::rule_sync
