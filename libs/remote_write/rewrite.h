// Adds enforced labels to a series at their sorted place, and drops those that
// are to be removed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/remote_write/buffer.h"
#include "libs/remote_write/series.h"
#include "libs/remote_write/series_memory.h"

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

  // The same for a series that is known. False: let it be read, and prepare
  // that; it may have an enforced label with another value.
  bool PrepareKnown(const KnownSeries& series) {
    if (&series.names() != known_) PlanKnown(series.names());
    return demands_.empty() || HasDemanded(series);
  }

  // For the series last prepared. Whether it must be changed at all.
  bool changes() const { return !edits_.empty(); }

  // Appends the series, a TimeSeries message, to a WriteRequest, changed. It is
  // a SeriesReader or a KnownSeries.
  template <typename Series>
  void Append(const Series& series, absl::string_view message,
              Buffer* out) const;

  // The hash of the series as it is when changed: see HashOfLabel().
  template <typename Series>
  uint64_t HashOf(const Series& series) const {
    uint64_t hash = series.hash();
    for (const Edit& edit : edits_) {
      hash += edit.hash;
      if (edit.drop) hash -= series.hash_of(edit.index);
    }
    return hash;
  }

 private:
  struct Edit {
    size_t index;              // Before this label, or instead of it.
    bool drop;                 // Of the label at `index`.
    absl::string_view insert;  // An encoded label field; empty for a drop.
    uint64_t hash;             // Of what is inserted.
  };
  struct Demand {
    size_t index;     // The label there must have this value.
    size_t enforced;  // Of enforced_.
  };

  // An enforced label, encoded as a field.
  struct Encoded {
    std::string field;
    uint64_t hash;
  };

  // The names of a series' labels.
  struct Names {
    size_t count;
    absl::FunctionRef<absl::string_view(size_t)> at;
    absl::FunctionRef<bool(size_t)> is_absent;
    const std::vector<size_t>& removed;
  };

  void Plan(const Names& names);
  void PlanKnown(const SeriesMemory::Names& names);
  bool HasDemanded(const KnownSeries& series) const;
  Edit Insertion(size_t index, size_t enforced) const {
    return {index, false, encoded_[enforced].field, encoded_[enforced].hash};
  }

  const absl::Span<const Label> enforced_;
  std::vector<Encoded> encoded_;  // One for each of enforced_.

  // Of the names that the plan is for; 0: none.
  uint64_t generation_ = 0;
  const SeriesMemory::Names* known_ = nullptr;
  std::vector<Edit> edits_;  // By index; an insertion before a drop.
  std::vector<Demand> demands_;
};

}  // namespace insula::remote_write
