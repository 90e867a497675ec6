#include "tools/insulactl/line_diff.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace insula::insulactl {
namespace {

using Lines = std::vector<absl::string_view>;
using Change = DiffLine::Change;

// Above that, all is replaced by all: the table below would take 16 MiB.
constexpr size_t kMaxCells = 4 << 20;

Lines Split(absl::string_view text) {
  if (text.empty()) return {};
  return absl::StrSplit(absl::StripSuffix(text, "\n"), '\n');
}

void Append(Change change, absl::string_view line, std::vector<DiffLine>* out) {
  out->push_back({change, std::string(line)});
}

// By the longest common subsequence.
void DiffMiddle(const Lines& before, const Lines& after,
                std::vector<DiffLine>* out) {
  const size_t rows = before.size() + 1;
  const size_t columns = after.size() + 1;
  if (rows * columns > kMaxCells) {
    for (const auto& line : before) Append(Change::kRemoved, line, out);
    for (const auto& line : after) Append(Change::kAdded, line, out);
    return;
  }
  // common[i][j]: of what follows line i of one and line j of the other.
  std::vector<uint32_t> common(rows * columns, 0);
  for (size_t i = before.size(); i-- > 0;) {
    for (size_t j = after.size(); j-- > 0;) {
      common[i * columns + j] = before[i] == after[j]
                                    ? common[(i + 1) * columns + j + 1] + 1
                                    : std::max(common[(i + 1) * columns + j],
                                               common[i * columns + j + 1]);
    }
  }
  size_t i = 0;
  size_t j = 0;
  while (i < before.size() || j < after.size()) {
    if (i < before.size() && j < after.size() && before[i] == after[j]) {
      Append(Change::kSame, before[i++], out);
      ++j;
    } else if (j == after.size() ||
               (i < before.size() &&
                common[(i + 1) * columns + j] >= common[i * columns + j + 1])) {
      Append(Change::kRemoved, before[i++], out);
    } else {
      Append(Change::kAdded, after[j++], out);
    }
  }
}

}  // namespace

std::vector<DiffLine> DiffLines(absl::string_view before_text,
                                absl::string_view after_text) {
  Lines before = Split(before_text);
  Lines after = Split(after_text);
  std::vector<DiffLine> out;
  const auto [b, a] =
      std::mismatch(before.begin(), before.end(), after.begin(), after.end());
  for (auto it = before.begin(); it != b; ++it) {
    Append(Change::kSame, *it, &out);
  }
  Lines middle_before(b, before.end());
  Lines middle_after(a, after.end());
  Lines tail;
  while (!middle_before.empty() && !middle_after.empty() &&
         middle_before.back() == middle_after.back()) {
    tail.push_back(middle_before.back());
    middle_before.pop_back();
    middle_after.pop_back();
  }
  DiffMiddle(middle_before, middle_after, &out);
  for (auto it = tail.rbegin(); it != tail.rend(); ++it) {
    Append(Change::kSame, *it, &out);
  }
  return out;
}

}  // namespace insula::insulactl
