// What a query may cost a store, before it is asked.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/promql/ast.h"

namespace insula::fair_queue {

struct QueryCost {
  // Samples that are read for each series that is selected, over all steps,
  // were there one in every `scrape_interval`.
  double samples_per_series = 0;
  int selectors = 0;
  // The most of data before a step that it depends on: ranges, subqueries and
  // offsets, added up on the way to a selector. Without the store's lookback.
  absl::Duration lookback;
};

// Of `query` at `steps` steps. A subquery without a step is taken to have one
// every `scrape_interval`. Fails as promql::Visit() does.
absl::StatusOr<QueryCost> CostOf(const promql::Expr& query, int64_t steps,
                                 absl::Duration scrape_interval);

}  // namespace insula::fair_queue
