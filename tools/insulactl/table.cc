#include "tools/insulactl/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "libs/resources/resource_printer.h"

namespace insula::insulactl {
namespace {

// Code points; wide ones count as one.
size_t Width(absl::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(),
      [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::string Table::Text() const {
  std::vector<std::vector<std::string>> rows;
  std::vector<size_t> widths(rows_.front().size());
  for (const auto& cells : rows_) {
    std::vector<std::string>& row = rows.emplace_back();
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string cell =
          i < cells.size() ? resources::Printable(cells[i]) : "";
      row.push_back(cell.empty() ? "-" : cell);
      widths[i] = std::max(widths[i], Width(row.back()));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&text, row[i]);
      if (i + 1 == row.size()) continue;
      text.append(widths[i] - Width(row[i]) + 2, ' ');
    }
    text.push_back('\n');
  }
  return text;
}

}  // namespace insula::insulactl
