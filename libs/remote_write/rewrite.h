// Adds enforced labels to a series at their sorted place, and drops its claim
// label.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/remote_write/series.h"

namespace insula::remote_write {

struct Label {
  std::string name;
  std::string value;
  friend bool operator==(const Label&, const Label&) = default;
};

// What has to be done to the series of one destination. Worked out anew only
// when the names of the labels change. Not thread-safe.
class Rewriter {
 public:
  // `enforced` is sorted by name, without duplicates, and outlives this, as it
  // does not copy it.
  Rewriter(absl::Span<const Label> enforced, bool remove_claim);

  // Looks at a series that has no fault. Returns the name of an enforced label
  // that it has with another value, if any.
  std::optional<absl::string_view> Prepare(const SeriesReader& series);

  // For the series last prepared. Whether it must be changed at all.
  bool changes() const { return !edits_.empty(); }

  // Appends the series, a TimeSeries message, to a WriteRequest, changed.
  void Append(const SeriesReader& series, absl::string_view message,
              std::string* out) const;

 private:
  struct Edit {
    size_t index;              // Before this label, or instead of it.
    bool drop;                 // Of the label at `index`.
    absl::string_view insert;  // An encoded label field; empty for a drop.
  };
  struct Demand {
    size_t index;  // The label there must have this value.
    const Label* label;
  };

  void Plan(const SeriesReader& series, bool drop_claim);

  const absl::Span<const Label> enforced_;
  const bool remove_claim_;
  std::vector<std::string>
      encoded_;  // Label fields, one for each of enforced_.

  uint64_t generation_ = 0;
  bool drops_claim_ = false;
  std::vector<Edit> edits_;  // By index; an insertion before a drop.
  std::vector<Demand> demands_;
};

}  // namespace insula::remote_write
