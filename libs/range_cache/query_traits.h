// What about a query decides whether its answer can be kept in parts.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/promql/ast.h"

namespace insula::range_cache {

// Each step of a range query is evaluated by itself, so the answer to a part of
// the range is that part of the answer, but for these.
struct QueryTraits {
  // False: each range has an answer of its own, by `@ start()`, `@ end()` or a
  // function that tells about the range. Also for what is not looked into:
  // durations that are calculated, and `smoothed`, which looks ahead.
  bool divisible = true;
  // A step may depend on data that is so much later than itself, by negative
  // offsets. Never negative.
  absl::Duration ahead;
  // Every step may depend on data of this time and before, by `@`.
  absl::Time pinned = absl::InfinitePast();
};

// Never promises too much: offsets that stand below each other are added up,
// and so are those that do not. Fails as promql::Visit() does.
absl::StatusOr<QueryTraits> TraitsOf(const promql::Expr& query);

// The same of a text. INVALID_ARGUMENT if it can't be parsed.
absl::StatusOr<QueryTraits> TraitsOf(absl::string_view text);

}  // namespace insula::range_cache
