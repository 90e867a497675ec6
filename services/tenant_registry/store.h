// Where the registry keeps its objects durably.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// Objects, a log of changes and remembered requests. Thread-safe. Every method
// may block. UNAVAILABLE: the medium fails (full, I/O error); DATA_LOSS: what
// is stored can't be right.
class Store {
 public:
  struct Head {
    std::string epoch;  // 32 hex digits, made with the store.
    int64_t revision = 0;
    // Changes up to here are no longer in the log.
    int64_t compacted_revision = 0;
  };

  virtual ~Store() = default;

  // Calls `visit` with every object.
  virtual absl::StatusOr<Head> Load(
      const std::function<void(v1::Object)>& visit) = 0;

  // Stores a change whole, on the medium when it returns, or not at all. Its
  // revision is the next one; a change without items stores the request alone.
  virtual absl::Status Commit(const Change& change,
                              absl::string_view request_id, absl::Time now) = 0;

  // The revision that a request of the last 24 h was answered with.
  virtual absl::StatusOr<std::optional<int64_t>> FindRequest(
      absl::string_view request_id, absl::Time now) = 0;

  // The oldest changes after `revision`, at most `limit` of them. OUT_OF_RANGE
  // if they are no longer in the log.
  virtual absl::StatusOr<std::vector<Change>> ChangesAfter(int64_t revision,
                                                           int limit) = 0;

  // Drops the changes up to `revision` from the log.
  virtual absl::Status Compact(int64_t revision) = 0;
};

}  // namespace insula::tenant_registry
