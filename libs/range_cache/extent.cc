#include "libs/range_cache/extent.h"

#include <algorithm>
#include <queue>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace insula::range_cache {
namespace {

constexpr size_t kSeriesOverhead = sizeof(Series) + 64;

// The number of the step at `time`, counted from the first of `extent`.
uint32_t Number(const Extent& extent, int64_t time) {
  return static_cast<uint32_t>((time - extent.steps.first) / extent.steps.step);
}

// A series of a part, and those behind it.
struct Cursor {
  const Part* part;
  size_t index;  // Of the part; earlier ones first.
  size_t series;

  const Series& get() const { return part->extent->series[series]; }
};
struct Later {
  bool operator()(const Cursor& a, const Cursor& b) const {
    const int order = a.get().sort_key.compare(b.get().sort_key);
    return order != 0 ? order > 0 : a.index > b.index;
  }
};

void PrintPoints(const std::vector<Cursor>& same, Points Series::* points,
                 absl::string_view name, std::string* out) {
  const size_t begin = out->size();
  absl::StrAppend(out, ",\"", name, "\":[");
  bool any = false;
  for (const Cursor& cursor : same) {
    const Extent& extent = *cursor.part->extent;
    const Steps& steps = cursor.part->steps;
    any |= (cursor.get().*points)
               .Print(Number(extent, steps.first),
                      Number(extent, steps.last()) + 1, any, out);
  }
  if (any) {
    out->push_back(']');
  } else {
    out->resize(begin);
  }
}

// Appends the series that all of `same` are.
void PrintSeries(const std::vector<Cursor>& same, bool comma,
                 std::string* out) {
  const size_t begin = out->size();
  absl::StrAppend(out, comma ? "," : "", "{\"metric\":", same[0].get().labels);
  const size_t head = out->size();
  PrintPoints(same, &Series::values, "values", out);
  PrintPoints(same, &Series::histograms, "histograms", out);
  if (out->size() == head) {
    out->resize(begin);
  } else {
    out->push_back('}');
  }
}

void PrintNotes(absl::string_view name, const std::vector<std::string>& notes,
                std::string* out) {
  if (notes.empty()) return;
  absl::StrAppend(out, ",\"", name, "\":[", absl::StrJoin(notes, ","), "]");
}

}  // namespace

size_t Points::bytes() const {
  return text_.capacity() + starts_.capacity() * sizeof(Start);
}

void Points::Add(uint32_t step, absl::string_view text) {
  if (!text_.empty()) text_.push_back(',');
  starts_.push_back({step, static_cast<uint32_t>(text_.size())});
  text_.append(text.data(), text.size());
}

size_t Points::LowerBound(uint32_t step) const {
  return static_cast<size_t>(
      std::lower_bound(
          starts_.begin(), starts_.end(), step,
          [](const Start& start, uint32_t s) { return start.step < s; }) -
      starts_.begin());
}

size_t Points::EndOf(size_t index) const {
  return index + 1 < starts_.size() ? starts_[index + 1].offset - 1
                                    : text_.size();
}

void Points::AddFrom(const Points& other, uint32_t from, uint32_t to,
                     int64_t shift) {
  const size_t begin = other.LowerBound(from);
  const size_t end = other.LowerBound(to);
  if (begin == end) return;
  if (!text_.empty()) text_.push_back(',');
  const int64_t moved = static_cast<int64_t>(text_.size()) -
                        static_cast<int64_t>(other.starts_[begin].offset);
  for (size_t i = begin; i < end; ++i) {
    const Start& start = other.starts_[i];
    starts_.push_back({static_cast<uint32_t>(start.step + shift),
                       static_cast<uint32_t>(start.offset + moved)});
  }
  const size_t first = other.starts_[begin].offset;
  text_.append(other.text_, first, other.EndOf(end - 1) - first);
}

bool Points::Print(uint32_t from, uint32_t to, bool comma,
                   std::string* out) const {
  const size_t begin = LowerBound(from);
  const size_t end = LowerBound(to);
  if (begin == end) return false;
  if (comma) out->push_back(',');
  const size_t first = starts_[begin].offset;
  out->append(text_, first, EndOf(end - 1) - first);
  return true;
}

void Points::ShrinkToFit() {
  text_.shrink_to_fit();
  starts_.shrink_to_fit();
}

void Settle(Extent* extent) {
  extent->series.shrink_to_fit();
  extent->bytes = sizeof(Extent) + 64;
  for (Series& series : extent->series) {
    series.values.ShrinkToFit();
    series.histograms.ShrinkToFit();
    extent->bytes += kSeriesOverhead + series.sort_key.capacity() +
                     series.labels.capacity() + series.values.bytes() +
                     series.histograms.bytes();
  }
}

Extent Cut(const Extent& extent, const Steps& steps) {
  Extent cut;
  cut.steps = steps;
  cut.read_at = extent.read_at;
  const uint32_t from = Number(extent, steps.first);
  const uint32_t to = Number(extent, steps.last()) + 1;
  for (const Series& series : extent.series) {
    Series part;
    part.values.AddFrom(series.values, from, to, -int64_t{from});
    part.histograms.AddFrom(series.histograms, from, to, -int64_t{from});
    if (part.values.empty() && part.histograms.empty()) continue;
    part.sort_key = series.sort_key;
    part.labels = series.labels;
    cut.series.push_back(std::move(part));
  }
  Settle(&cut);
  return cut;
}

Extent Join(const Extent& a, const Extent& b) {
  Extent both;
  both.steps = {a.steps.first, a.steps.step, a.steps.count + b.steps.count};
  both.read_at = std::min(a.read_at, b.read_at);
  const auto shift = a.steps.count;
  const auto b_count = static_cast<uint32_t>(b.steps.count);
  const auto append = [&](const Series& later, Series* series) {
    series->values.AddFrom(later.values, 0, b_count, shift);
    series->histograms.AddFrom(later.histograms, 0, b_count, shift);
  };
  auto left = a.series.begin();
  auto right = b.series.begin();
  while (left != a.series.end() || right != b.series.end()) {
    const int order = right == b.series.end() ? -1
                      : left == a.series.end()
                          ? 1
                          : left->sort_key.compare(right->sort_key);
    if (order <= 0) {
      both.series.push_back(*left++);
      if (order == 0) append(*right++, &both.series.back());
    } else {
      Series& series = both.series.emplace_back();
      series.sort_key = right->sort_key;
      series.labels = right->labels;
      append(*right++, &series);
    }
  }
  Settle(&both);
  return both;
}

absl::StatusOr<std::string> PrintMatrix(
    const std::vector<Part>& parts, const std::vector<std::string>& warnings,
    const std::vector<std::string>& infos, size_t max_bytes) {
  std::priority_queue<Cursor, std::vector<Cursor>, Later> next;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].extent->series.empty()) next.push({&parts[i], i, 0});
  }
  std::string out =
      R"({"status":"success","data":{"resultType":"matrix","result":[)";
  const size_t head = out.size();
  std::vector<Cursor> same;
  while (!next.empty()) {
    same.clear();
    do {
      same.push_back(next.top());
      next.pop();
    } while (!next.empty() &&
             next.top().get().sort_key == same[0].get().sort_key);
    PrintSeries(same, out.size() > head, &out);
    if (out.size() > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the parts of the answer have more than ", max_bytes,
                       " bytes together, ask for fewer series or points"));
    }
    for (Cursor cursor : same) {
      if (++cursor.series < cursor.part->extent->series.size()) {
        next.push(cursor);
      }
    }
  }
  out += "]}";
  PrintNotes("warnings", warnings, &out);
  PrintNotes("infos", infos, &out);
  out += '}';
  return out;
}

}  // namespace insula::range_cache
