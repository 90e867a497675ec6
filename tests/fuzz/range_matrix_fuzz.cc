// Answers of stores to range queries: what is read of one is printed as it was,
// whole or cut and joined at any step.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/range_cache/extent.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

using range_cache::Extent;
using range_cache::Steps;

std::string Print(std::vector<Extent> extents,
                  const range_cache::Matrix& notes) {
  std::vector<range_cache::Part> parts;
  for (Extent& extent : extents) {
    const Steps steps = extent.steps;
    parts.push_back({std::make_shared<const Extent>(std::move(extent)), steps});
  }
  return PrintMatrix(parts, notes.warnings, notes.infos, size_t{1} << 30)
      .value_or("");
}

FUZZ_TARGET(range_matrix) {
  fuzz::Input bytes(input);
  // The steps of the corpus are 1000 s, 1010 s, ...
  const int64_t first = 1'000'000 + (bytes.Byte() % 3) * int64_t{5};
  const Steps steps{first, 10'000, 1 + bytes.Byte() % 8};
  // A copy of its own, so that ASan sees the end.
  const std::vector<char> copy(bytes.rest().begin(), bytes.rest().end());
  const absl::string_view body(copy.data(), copy.size());

  const auto matrix = range_cache::ReadMatrix(body, steps);
  if (!matrix.ok()) {
    FUZZ_CHECK(matrix.status().code() == absl::StatusCode::kInvalidArgument,
               matrix.status().ToString());
    return;
  }
  const std::string printed = Print({matrix->extent}, *matrix);
  const auto again = range_cache::ReadMatrix(printed, steps);
  FUZZ_CHECK(again.ok(), printed);
  FUZZ_CHECK(Print({again->extent}, *again) == printed, printed);
  for (int64_t count = 1; count < steps.count; ++count) {
    Extent left = Cut(matrix->extent, {steps.first, steps.step, count});
    Extent right =
        Cut(matrix->extent, {steps.at(count), steps.step, steps.count - count});
    FUZZ_CHECK(Print({Join(left, right)}, *matrix) == printed, printed);
    FUZZ_CHECK(Print({std::move(left), std::move(right)}, *matrix) == printed,
               printed);
  }
}

}  // namespace
}  // namespace insula
