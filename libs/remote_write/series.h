// Reads series, one after the other, off the wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/remote_write/wire.h"

namespace insula::remote_write {

// Which metric and label names are valid: the ASCII ones of old, or any UTF-8.
enum class NameScheme { kLegacy, kUtf8 };

struct SeriesLabel {
  absl::string_view name;
  absl::string_view value;
  absl::string_view raw;           // The whole field; of this series or an
                                   // earlier one with the same bytes there.
  const char* position = nullptr;  // Of the field, in this series.
  bool whole = true;      // Name and value are there at most once each.
  bool value_ok = false;  // Not empty, UTF-8; of __name__: a metric name.
};

// What is known of the names of a series' labels. Neighbours mostly have the
// same names, and then share it.
struct SeriesNames {
  uint64_t generation = 0;  // Another number when the names change.
  bool ok = false;          // All valid, sorted, without duplicates.
  size_t longest = 0;
  int metric = -1;  // Index of __name__.
  int claim = -1;   // Index of the claim label, the first.
  bool claim_repeated = false;
};

// A label that has the same bytes as the one in the same place of the series
// before is neither parsed nor checked again. Bytes are compared, so that this
// is exact.
class SeriesReader {
 public:
  // No more labels than this are kept of a series; the rest is only counted.
  static constexpr size_t kMaxKeptLabels = 4096;

  // `claim_label` may be empty.
  void Start(NameScheme scheme, absl::string_view claim_label);

  // Reads a TimeSeries message. False if it is malformed. Its bytes must stay
  // until Start is called again.
  bool Read(absl::string_view message);

  // Of the series that was read last.
  absl::Span<const SeriesLabel> labels() const { return labels_; }
  const SeriesNames& names() const { return names_; }
  size_t label_count() const { return label_count_; }
  bool has_all_labels() const { return label_count_ == labels_.size(); }
  // The value of the claim label; empty if there is none.
  absl::string_view claim() const {
    return names_.claim < 0 ? absl::string_view() : labels_[names_.claim].value;
  }
  int64_t samples() const { return samples_; }  // Histograms count.
  int64_t exemplars() const { return exemplars_; }

  // Whether a label may have this name.
  bool IsNameOk(absl::string_view name) const;

 private:
  bool ReadOther(const WireField& field);
  bool ReadLabel(const WireField& field, size_t index);
  void CheckNames();
  bool IsValueOk(const SeriesLabel& label) const;

  NameScheme scheme_ = NameScheme::kLegacy;
  std::string claim_label_;
  std::vector<SeriesLabel> labels_;
  SeriesNames names_;
  bool names_changed_ = false;
  size_t label_count_ = 0;
  int64_t samples_ = 0;
  int64_t exemplars_ = 0;
};

}  // namespace insula::remote_write
