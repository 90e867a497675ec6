// What an answer is kept under.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/range_cache/time_grid.h"

namespace insula::range_cache {

// A range query that has been confined, and everything its answer depends on.
struct RangeQuery {
  // 128 random bits of the tenant, so that one made again never inherits. The
  // quota is the tenant's.
  std::string tenant_uid;
  // A digest of what the tenant may read, as it is now. A change of the policy
  // is a miss from then on.
  std::string policy;
  // Everything else: the store, the org id there, its dialect, the generation
  // of its data, a lookback_delta. In an order that is always the same.
  std::vector<std::string> scope;
  std::string text;  // PromQL: rewritten, as it is sent.
  // As the user gave them.
  absl::Time start;
  absl::Time end;
  absl::Duration step;
};

// Each string with its length in front, so that no two different queries, and
// no two pieces of one, have the same key, whatever is in the strings. Two
// queries that differ only in start and end have the same keys if their steps
// lie on the same grid.
std::string CacheKey(const RangeQuery& query, const Steps& steps,
                     int64_t piece);

}  // namespace insula::range_cache
