// Whether series of a selector differ in more than their name.
//
// Below a function that drops the name, several grants on a selector without
// one are put together by `or`, for which two series are one if nothing but the
// name keeps them apart. So the store is asked before which there are: their
// names, and if those are several, the series. A series that appears meanwhile,
// alike to another, may be lacking in the answer; what the tenant may not see
// is in none.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/promql/clause_union.h"
#include "services/query_frontend/answer_data.h"
#include "services/query_frontend/params.h"
#include "services/query_frontend/policy.h"
#include "services/query_frontend/upstream_query.h"

namespace insula::query_frontend {

// The most selectors of a query whose series are asked for.
inline constexpr size_t kMaxUnlike = 8;
// The most series of one of them.
inline constexpr size_t kMaxCompared = 20'000;

// Of each of `selectors` no two series that the tenant sees at these times may
// be alike but for the name.
struct Unlike {
  promql::Clauses selectors;
  // When the query is evaluated. Nullopt: when it is asked.
  std::optional<absl::Time> start;
  std::optional<absl::Time> end;
  // And by `@`.
  std::optional<absl::Time> first_at;
  std::optional<absl::Time> last_at;
  // How far it reads from there, by ranges and offsets, and an hour for a
  // store's lookback and clocks that differ.
  absl::Duration before;
  absl::Duration after;
};

// Of params.query, whose selectors of this kind these are. FAILED_PRECONDITION,
// with a cure, for more than kMaxUnlike, or if which times it reads is for the
// store to calculate.
absl::StatusOr<std::shared_ptr<const Unlike>> MakeUnlike(
    const ApiParams& params, const Policy& policy, promql::Clauses selectors);

// What a store's answer tells of the series of a selector.
struct ComparedSeries {
  bool several_names = false;
  bool alike = false;
  bool too_many = false;
};

// Asks for the names of what the tenant sees of selectors[index], and sets
// several_names. `now` is when the query is asked.
UpstreamQuery AskForNames(const Unlike& unlike, size_t index,
                          const Policy& policy, absl::Time now,
                          std::shared_ptr<ComparedSeries> compared);

// Asks for the series, and sets the rest.
UpstreamQuery AskForSeries(const Unlike& unlike, size_t index,
                           const Policy& policy, absl::Time now,
                           std::shared_ptr<ComparedSeries> compared);

// Why a query is refused that has selectors[index].
absl::Status CannotTellApart(const Unlike& unlike, size_t index,
                             const Policy& policy, absl::string_view why);

}  // namespace insula::query_frontend
