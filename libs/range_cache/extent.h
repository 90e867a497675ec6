// A part of the answer to a range query, as it is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/range_cache/time_grid.h"

namespace insula::range_cache {

// Points of a series, each the text that the store wrote: `[1760003000,"1"]`.
class Points {
 public:
  bool empty() const { return starts_.empty(); }
  size_t bytes() const;

  // `step` is larger than that of the point before.
  void Add(uint32_t step, absl::string_view text);
  // Those of `other` at steps [from, to), moved by `shift`. They are later than
  // those here.
  void AddFrom(const Points& other, uint32_t from, uint32_t to, int64_t shift);
  // Appends those at steps [from, to) to `out`, with commas between and one in
  // front if `comma`. Whether there were any.
  bool Print(uint32_t from, uint32_t to, bool comma, std::string* out) const;
  void ShrinkToFit();

 private:
  struct Start {
    uint32_t step;
    uint32_t offset;  // Of the text of the point.
  };
  size_t LowerBound(uint32_t step) const;
  size_t EndOf(size_t index) const;

  std::string text_;
  std::vector<Start> starts_;
};

struct Series {
  // Sorts, by bytes, as Prometheus sorts labels; equal for equal labels only.
  std::string sort_key;
  std::string labels;  // JSON, as the store wrote it.
  Points values;
  Points histograms;
};

// What a query answers at some steps. Immutable once it is shared. Steps of
// points are numbers, from 0.
struct Extent {
  Steps steps;
  std::vector<Series> series;  // By sort_key, each with a point at least.
  absl::Time read_at;          // The store was asked then, or later.
  size_t bytes = 0;            // Held, all in all.
};

// Sets `bytes`, after giving back what is not needed.
void Settle(Extent* extent);

// What `extent` has within `steps`, which are some of its own.
Extent Cut(const Extent& extent, const Steps& steps);

// Both together. `b` begins one step after the end of `a`. As old as the older.
Extent Join(const Extent& a, const Extent& b);

// An answer, taken apart.
struct Matrix {
  Extent extent;
  std::vector<std::string> warnings;  // JSON strings.
  std::vector<std::string> infos;
};

// Reads `body`, valid JSON, as what a Prometheus answers to query_range for
// `steps`: an object of status "success", data of type "matrix", and perhaps
// warnings and infos. INVALID_ARGUMENT, with what is odd, if it is not that or
// more than that: another member anywhere, a point at no step or out of its
// order, a number in another notation than Prometheus', a series or a label
// twice. Series may be in any order. Points are kept as text, unread.
absl::StatusOr<Matrix> ReadMatrix(absl::string_view body, const Steps& steps);

// The answer that `parts` are, which follow each other in time: some steps of
// an extent each. Series are sorted. RESOURCE_EXHAUSTED if it has more than
// `max_bytes`.
struct Part {
  std::shared_ptr<const Extent> extent;
  Steps steps;
};
absl::StatusOr<std::string> PrintMatrix(
    const std::vector<Part>& parts, const std::vector<std::string>& warnings,
    const std::vector<std::string>& infos, size_t max_bytes);

}  // namespace insula::range_cache
