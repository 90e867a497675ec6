// Which PromQL a server understands.
#pragma once

#include <compare>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::promql {

// Of Prometheus.
struct Version {
  int release = 2;
  int minor_release = 42;

  friend constexpr auto operator<=>(const Version&, const Version&) = default;
};

// What may be written to a server. By default that of Prometheus 2.42, which
// every later one but for holt_winters() understands too.
struct Dialect {
  Version version = {};

  // What servers of version 3 have behind feature flags.
  bool experimental_functions = false;  // And limitk, limit_ratio.
  bool duration_expressions = false;    // `[5m + step()]`; from 3.14 always.
  bool extended_selectors = false;      // `x[5m] anchored`, `x smoothed`
  bool fill_modifiers = false;          // `a + fill (0) b`

  // Quoted names (`{"my.metric","my.label"="x"}`), numbers where durations
  // stand and the other way round, `_` in numbers.
  bool IsVersion3() const { return version >= Version{3, 0}; }

  bool HasDurationExpressions() const {
    return duration_expressions || version >= Version{3, 14};
  }

  friend bool operator==(const Dialect&, const Dialect&) = default;
};

// Prometheus 3.14 with all that it has.
Dialect NewestDialect();

// "2.42", "v3.5.0": that version without experimental parts. "newest":
// NewestDialect(). INVALID_ARGUMENT for others.
absl::StatusOr<Dialect> ParseDialect(absl::string_view text);

}  // namespace insula::promql
