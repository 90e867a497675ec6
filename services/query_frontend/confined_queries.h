// Remembers how queries were confined.
//
// A dashboard asks the same again at each refresh, and a rule at each
// evaluation, with nothing changed but the time. To read such a text, confine
// and print it, and read that once more, costs more than all else of a request.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/metrics/metrics.h"
#include "services/query_frontend/params.h"
#include "services/query_frontend/policy.h"

namespace insula::query_frontend {

// What was confined under a policy is found again by that very object alone,
// not by what it says: a tenant whose grants have changed has another one, and
// so has every other tenant. What was refused is not remembered.
//
// Within a bound of bytes; what was longest not asked for goes first.
// Thread-safe.
class ConfinedQueries {
 public:
  // For some thousand queries.
  static constexpr size_t kMaxBytes = 32 << 20;
  // Texts beyond this are not remembered.
  static constexpr size_t kMaxQueryBytes = 16 << 10;

  ConfinedQueries(size_t max_bytes, metrics::Registry* metrics);
  ~ConfinedQueries();

  // What ConfineQuery() returns. Limits are checked each time.
  absl::StatusOr<std::shared_ptr<const ConfinedQuery>> Confine(
      absl::string_view query, const ApiParams& params, const Policy& policy);

 private:
  class Shard;

  // By the hash of what is asked, so that threads seldom meet.
  std::array<std::unique_ptr<Shard>, 16> shards_;
  metrics::Counter& remembered_;
  metrics::Counter& made_;
};

}  // namespace insula::query_frontend
