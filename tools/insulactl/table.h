// A table for people.
#pragma once

#include <string>
#include <vector>

namespace insula::insulactl {

// Columns are aligned and as wide as they need; cells are made fit for a
// terminal, and empty ones are shown as "-".
class Table {
 public:
  explicit Table(std::vector<std::string> header) {
    rows_.push_back(std::move(header));
  }

  // As many cells as the header has.
  void Add(std::vector<std::string> cells) {
    rows_.push_back(std::move(cells));
  }
  // With the header. Lines end with a line feed.
  std::string Text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace insula::insulactl
