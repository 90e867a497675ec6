#include "libs/range_cache/time_grid.h"

#include <algorithm>

namespace insula::range_cache {
namespace {

constexpr int64_t kDay = 24 * 3600 * int64_t{1000};
constexpr int64_t kLeastSteps = 500;
// So far from 1970 on either side nothing overflows.
constexpr int64_t kFarthest = int64_t{1} << 50;

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
int64_t CeilDiv(int64_t a, int64_t b) { return -FloorDiv(-a, b); }

std::optional<int64_t> WholeMillis(absl::Duration d) {
  if (d < -absl::Milliseconds(kFarthest) || d > absl::Milliseconds(kFarthest)) {
    return std::nullopt;
  }
  const int64_t millis = absl::ToInt64Milliseconds(d);
  if (absl::Milliseconds(millis) != d) return std::nullopt;
  return millis;
}

}  // namespace

std::optional<Steps> Steps::Within(int64_t from, int64_t to) const {
  const int64_t begin =
      std::max<int64_t>(0, from <= first ? 0 : CeilDiv(from - first, step));
  const int64_t end =
      to < first ? 0 : std::min<int64_t>(count, (to - first) / step + 1);
  if (begin >= end) return std::nullopt;
  return Steps{at(begin), step, end - begin};
}

std::optional<Steps> StepsOf(absl::Time start, absl::Time end,
                             absl::Duration step) {
  const auto first = WholeMillis(start - absl::UnixEpoch());
  const auto last = WholeMillis(end - absl::UnixEpoch());
  const auto width = WholeMillis(step);
  if (!first || !last || !width || *width <= 0 || *last < *first) {
    return std::nullopt;
  }
  return Steps{*first, *width, (*last - *first) / *width + 1};
}

int64_t PieceLength(int64_t step) {
  return kDay * std::max<int64_t>(1, CeilDiv(kLeastSteps * step, kDay));
}

std::vector<PieceSteps> SplitByPiece(const Steps& steps) {
  const int64_t length = PieceLength(steps.step);
  const int64_t first = FloorDiv(steps.first, length);
  const int64_t last = FloorDiv(steps.last(), length);
  std::vector<PieceSteps> pieces;
  for (int64_t piece = first; piece <= last; ++piece) {
    const auto part =
        steps.Within(piece * length, piece * length + (length - 1));
    if (part.has_value()) pieces.push_back({piece, *part});
  }
  return pieces;
}

}  // namespace insula::range_cache
