// Adds enforced labels to a series at their sorted place, and drops those that
// are to be removed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/remote_write/buffer.h"
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
  explicit Rewriter(absl::Span<const Label> enforced);

  // Looks at a series that has no fault. Returns the name of an enforced label
  // that it has with another value, if any. An enforced label is not removed;
  // a deciding label without a value is, as if it were not there.
  std::optional<absl::string_view> Prepare(const SeriesReader& series);

  // For the series last prepared. Whether it must be changed at all.
  bool changes() const { return !edits_.empty(); }

  // Appends the series, a TimeSeries message, to a WriteRequest, changed.
  void Append(const SeriesReader& series, absl::string_view message,
              Buffer* out) const;

  // The hash of the series as it is when changed: see HashOfLabel().
  uint64_t HashOf(const SeriesReader& series) const;

 private:
  struct Edit {
    size_t index;              // Before this label, or instead of it.
    bool drop;                 // Of the label at `index`.
    absl::string_view insert;  // An encoded label field; empty for a drop.
    uint64_t hash;             // Of what is inserted.
  };
  struct Demand {
    size_t index;  // The label there must have this value.
    const Label* label;
  };

  // An enforced label, encoded as a field.
  struct Encoded {
    std::string field;
    uint64_t hash;
  };

  void Plan(const SeriesReader& series);
  Edit Insertion(size_t index, size_t enforced) const {
    return {index, false, encoded_[enforced].field, encoded_[enforced].hash};
  }

  const absl::Span<const Label> enforced_;
  std::vector<Encoded> encoded_;  // One for each of enforced_.

  uint64_t generation_ = 0;  // Of the names that the plan is for; 0: none.
  std::vector<Edit> edits_;  // By index; an insertion before a drop.
  std::vector<Demand> demands_;
};

}  // namespace insula::remote_write
