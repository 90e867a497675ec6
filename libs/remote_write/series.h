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
  // The whole field; all three of this series or an earlier one with the same
  // bytes there.
  absl::string_view raw;
  uint64_t hash = 0;       // Of the field, see HashOfLabel().
  bool whole = true;       // Name and value are there at most once each.
  bool is_metric = false;  // It is __name__.
  bool value_ok = false;   // Not empty, UTF-8; of __name__: a metric name.
};

// What is known of the names of a series' labels. Neighbours mostly have the
// same names, and then share it.
struct SeriesNames {
  uint64_t generation = 0;  // Another number when the names change.
  bool ok = false;          // All valid, sorted, without duplicates.
  size_t longest = 0;
  int metric = -1;  // Index of __name__.
  // Of each deciding label the index, the first; -1 if it is absent.
  std::vector<int> deciding;
  int repeated = -1;  // Which deciding label is there more than once, if any.
  std::vector<size_t> removed;  // Indexes of labels to remove, ascending.
};

// Labels that have the same bytes as those in the same places of the series
// before are neither parsed nor checked nor hashed again. Bytes are compared,
// so that this is exact; a run of such labels is compared at once.
class SeriesReader {
 public:
  // No more labels than this are kept of a series; the rest is only counted.
  static constexpr size_t kMaxKeptLabels = 4096;

  // Deciding labels have distinct names; one whose value is empty counts as
  // absent. `removed` are names of labels that the series shall lose, never
  // __name__.
  void Start(NameScheme scheme, absl::Span<const std::string> deciding,
             absl::Span<const std::string> removed);

  // Reads a TimeSeries message. False if it is malformed. Its bytes must stay
  // until Start is called again.
  bool Read(absl::string_view message);

  // Of the series that was read last.
  absl::Span<const SeriesLabel> labels() const { return labels_; }
  const SeriesNames& names() const { return names_; }
  size_t label_count() const { return label_count_; }
  bool has_all_labels() const { return label_count_ == labels_.size(); }
  // The value of a deciding label; empty if it is absent.
  absl::string_view deciding(size_t i) const {
    const int at = names_.deciding[i];
    return at < 0 ? absl::string_view()
                  : labels_[static_cast<size_t>(at)].value;
  }
  // Whether the label there is a deciding one with an empty value.
  bool IsAbsent(size_t index) const;
  // Where the field of a label stands in the message.
  size_t begin_of(size_t i) const { return ends_[i] - labels_[i].raw.size(); }
  size_t end_of(size_t i) const { return ends_[i]; }
  uint64_t hash_of(size_t i) const { return labels_[i].hash; }
  // How many bytes of the message are the labels, if they come first and
  // nothing is between them; else 0.
  size_t block_size() const { return block_.size(); }
  // Whether a label has a value that is not ok, an empty one say.
  bool has_faulty_value() const { return faulty_values_ > 0; }
  // Whether all names and values are ok, and __name__ is one of them.
  bool is_flawless() const {
    return names_.ok && names_.metric >= 0 && !has_faulty_value();
  }
  // No value is longer; perhaps all are shorter.
  size_t longest_value() const { return longest_value_; }
  // Of the labels: see HashOfLabel().
  uint64_t hash() const { return hash_; }
  int64_t samples() const { return samples_; }  // Histograms count.
  int64_t histograms() const { return histograms_; }
  int64_t exemplars() const { return exemplars_; }

  // Whether a label may have this name.
  bool IsNameOk(absl::string_view name) const;

 private:
  // What is asked about a name.
  struct Mark {
    std::string name;
    int deciding = -1;
    bool removed = false;
  };

  class Walk;

  Mark* AddMark(const std::string& name);
  const Mark* FindMark(absl::string_view name) const;
  // What stands behind plain labels and samples, or between them. Sets
  // `*scattered` if a label stands behind something else.
  bool ReadRest(Walk* walk, const char* p, const char* end, bool* scattered);
  bool ReadOther(const WireField& field);
  // Checks a label and puts it in its place.
  void SetLabel(SeriesLabel* label, size_t index);
  void DropLabelsFrom(size_t index);
  void CheckNames();
  bool IsValueOk(const SeriesLabel& label) const;

  NameScheme scheme_ = NameScheme::kLegacy;
  std::vector<Mark> marks_;    // By name.
  uint64_t mark_lengths_ = 0;  // Bit n % 64: there is a name of n bytes.
  std::vector<SeriesLabel> labels_;
  std::vector<size_t> ends_;  // Of the label fields, in the message.
  // What the labels are compared with: the label fields of this series, one
  // behind the other; empty if something else stands before or between them.
  absl::string_view block_;
  size_t first_new_ = 0;  // Up to there labels were those of the one before,
  size_t same_from_ = 0;  // and from there on.
  SeriesNames names_;
  bool names_changed_ = false;
  size_t label_count_ = 0;
  uint64_t hash_ = 0;
  size_t faulty_values_ = 0;
  size_t longest_value_ = 0;
  int64_t samples_ = 0;
  int64_t histograms_ = 0;
  int64_t exemplars_ = 0;
};

}  // namespace insula::remote_write
