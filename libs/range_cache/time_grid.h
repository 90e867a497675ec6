// The steps of a range query, and how they fall into pieces.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace insula::range_cache {

// The times that a range query is evaluated at: first, first + step, ... A
// run of them of at least one. In milliseconds since 1970, as Prometheus has
// them.
struct Steps {
  int64_t first = 0;
  int64_t step = 1;  // More than 0.
  int64_t count = 1;

  int64_t at(int64_t i) const { return first + i * step; }
  int64_t last() const { return at(count - 1); }
  // Those of them that lie in [from, to], which need not be steps themselves.
  std::optional<Steps> Within(int64_t from, int64_t to) const;
  friend bool operator==(const Steps&, const Steps&) = default;
};

// The steps of the query_range of these parameters. The times of the user stay
// as they are. Nullopt if that has no steps, or has other than whole
// milliseconds, or times too far away to be calculated with.
std::optional<Steps> StepsOf(absl::Time start, absl::Time end,
                             absl::Duration step);

// Answers are kept in pieces of so long a time, all of which begin at a
// multiple of it: of a day, and of enough days to hold 500 steps. In
// milliseconds.
int64_t PieceLength(int64_t step);

// Steps of one piece.
struct PieceSteps {
  int64_t piece = 0;  // floor(time / length).
  Steps steps;
};

// `steps` by pieces, in order. Each step is in one of them.
std::vector<PieceSteps> SplitByPiece(const Steps& steps);

}  // namespace insula::range_cache
