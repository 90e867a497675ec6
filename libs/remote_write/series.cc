#include "libs/remote_write/series.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "libs/labels/validity.h"
#include "libs/remote_write/series_hash.h"
#include "libs/remote_write/shape.h"

namespace insula::remote_write {
namespace {

constexpr absl::string_view kMetricName = "__name__";

// How many bytes at the end of a label are not compared with the label before:
// none, but for the fault that tools/fuzz --planted must find.
#ifdef INSULA_PLANT_OFF_BY_ONE
constexpr size_t kUncompared = 1;
#else
constexpr size_t kUncompared = 0;
#endif

template <typename Word>
Word Load(const char* p) {
  Word word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

// As memcmp() == 0, which is a call that costs more than to compare the few
// bytes that names have.
inline bool AreSame(absl::string_view a, absl::string_view b) {
  const size_t size = a.size();
  if (size != b.size()) return false;
  const auto same = [&a, &b]<typename Word>(Word, size_t at) {
    return Load<Word>(a.data() + at) == Load<Word>(b.data() + at);
  };
  if (size >= 8) {
    for (size_t i = 0; i + 8 < size; i += 8) {
      if (!same(uint64_t{}, i)) return false;
    }
    return same(uint64_t{}, size - 8);
  }
  if (size >= 4) return same(uint32_t{}, 0) && same(uint32_t{}, size - 4);
  for (size_t i = 0; i < size; ++i) {
    if (a[i] != b[i]) return false;
  }
  return true;
}

// How many of the first `size` bytes are the same.
inline size_t SamePrefix(const char* a, const char* b, size_t size) {
  const auto differ = [a, b](size_t at) {
    return Load<uint64_t>(a + at) ^ Load<uint64_t>(b + at);
  };
  size_t i = 0;
  for (; i + 32 <= size; i += 32) {
    if ((differ(i) | differ(i + 8) | differ(i + 16) | differ(i + 24)) != 0) {
      break;
    }
  }
  for (; i + 8 <= size; i += 8) {
    if (const uint64_t bits = differ(i); bits != 0) {
      if constexpr (std::endian::native == std::endian::little) {
        return i + static_cast<size_t>(std::countr_zero(bits)) / 8;
      } else {
        break;
      }
    }
  }
  while (i < size && a[i] == b[i]) ++i;
  return i;
}

// Nearly every sample is `12 <size> 09 <8 bytes> 10 <varint>`. The size of such
// a field at `p`; 0 if there is something else.
inline size_t PlainSampleSize(const char* p, const char* end) {
  constexpr size_t kBeforeTime = 12;
  if (end - p <= static_cast<ptrdiff_t>(kBeforeTime) || p[0] != 0x12 ||
      p[2] != 0x09 || p[11] != 0x10) {
    return 0;
  }
  const size_t size = 2 + static_cast<uint8_t>(p[1]);
  if (size <= kBeforeTime || size > static_cast<size_t>(end - p)) return 0;
  // A time has six bytes, and all of them but the last have the high bit. (More
  // than eight take the way of everything that is not plain.)
  const size_t bytes = size - kBeforeTime;
  if (bytes > 8 || std::endian::native != std::endian::little) return 0;
  constexpr uint64_t kHighBits = 0x8080808080808080u;
  const size_t others = 64 - 8 * bytes;
  const uint64_t time = Load<uint64_t>(p + size - 8) >> others;
  return (time & kHighBits) == kHighBits >> 8 >> others ? size : 0;
}

// Nearly every label is `0a <size> 0a <size> <name> 12 <size> <value>` with
// sizes of one byte. Reads such a field at `p`. False: there is something else.
inline bool ReadPlainLabel(const char* p, const char* end, SeriesLabel* label) {
  const auto byte = [p](size_t i) { return static_cast<uint8_t>(p[i]); };
  if (end - p < 6 || p[0] != 0x0a || p[2] != 0x0a || byte(1) >= 0x80) {
    return false;
  }
  const size_t size = 2 + byte(1);
  const size_t name = byte(3);
  if (size > static_cast<size_t>(end - p) || name + 6 > size ||
      byte(name + 4) != 0x12 || name + 6 + byte(name + 5) != size) {
    return false;
  }
  label->name = absl::string_view(p + 4, name);
  label->value = absl::string_view(p + name + 6, size - name - 6);
  label->raw = absl::string_view(p, size);
  return true;
}

// Reads any label. False if it is malformed.
bool ReadAnyLabel(const WireField& field, SeriesLabel* label) {
  if (field.type != WireType::kBytes) return false;
  label->raw = field.raw;
  int names = 0;
  int values = 0;
  WireReader reader(field.bytes);
  WireField part;
  while (reader.Next(&part)) {
    if (part.number != 1 && part.number != 2) continue;
    if (part.type != WireType::kBytes) return false;
    (part.number == 1 ? label->name : label->value) = part.bytes;
    ++(part.number == 1 ? names : values);
  }
  label->whole = names <= 1 && values <= 1;
  return reader.ok();
}

}  // namespace

// Of the labels of one series, along those of the series before.
class SeriesReader::Walk {
 public:
  Walk(SeriesReader* series, absl::string_view message)
      : series_(*series),
        before_(series->block_),
        first_new_before_(series->first_new_),
        same_from_before_(series->same_from_),
        begin_(message.data()),
        end_(message.data() + message.size()) {}

  // Passes the first labels, as long as they are those of the series before.
  // Returns where they end; perhaps not all of them are passed.
  const char* Begin() {
    // Mostly the first that is another one stands where it stood in the series
    // before.
    if (before_.empty() || first_new_before_ == 0) return SkipSame(begin_);
    const size_t same = series_.ends_[first_new_before_ - 1];
    if (static_cast<size_t>(end_ - begin_) < same ||
        std::memcmp(begin_, before_.data(), same - kUncompared) != 0) {
      return SkipSame(begin_);
    }
    count_ = first_new_before_;
    at_before_ = same;
    return begin_ + same;
  }

  // Passes the labels at `p` that are those of the series before in the same
  // places. Returns where they end.
  const char* SkipSame(const char* p) {
    const size_t rest = before_.size() - at_before_;
    if (rest == 0) return p;
    const char* const before = before_.data() + at_before_;
    const size_t left = static_cast<size_t>(end_ - p);
    // Behind the last label that was another one in the series before, all are
    // mostly the same now as well.
    if (count_ == same_from_before_ && left >= rest &&
        std::memcmp(p, before, rest - kUncompared) == 0) {
      return Pass(p, before_.size());
    }
    const size_t same = SamePrefix(p, before, std::min(left, rest));
    return Pass(p, at_before_ + std::min(same + kUncompared, left));
  }

  void Add(SeriesLabel* label) {
    if (at_before_ < before_.size()) at_before_ = series_.ends_[count_];
    const bool is_same = count_ < series_.labels_.size() &&
                         AreSame(series_.labels_[count_].raw, label->raw);
    if (count_ < kMaxKeptLabels) {
      if (!is_same) series_.SetLabel(label, count_);
      series_.ends_[count_] =
          static_cast<size_t>(label->raw.data() + label->raw.size() - begin_);
    }
    ++count_;
    if (is_same) return;
    if (!any_new_) series_.first_new_ = count_ - 1;
    any_new_ = true;
    series_.same_from_ = count_;
  }

  size_t count() const { return count_; }

 private:
  // Passes the labels that end at `until` in the series before, or earlier.
  const char* Pass(const char* p, size_t until) {
    size_t* const ends = series_.ends_.data();
    const size_t number = series_.ends_.size();
    size_t next = count_;
    if (until == before_.size()) next = number;
    while (next < number && ends[next] <= until) ++next;
    if (next == count_) return p;
    // Behind a label of another size they stand elsewhere.
    const size_t shift = static_cast<size_t>(p - begin_) - at_before_;
    at_before_ = ends[next - 1];
    if (shift != 0) {
      for (size_t i = count_; i < next; ++i) ends[i] += shift;
    }
    count_ = next;
    return begin_ + at_before_ + shift;
  }

  SeriesReader& series_;
  const absl::string_view before_;
  const size_t first_new_before_;
  const size_t same_from_before_;
  const char* const begin_;
  const char* const end_;
  bool any_new_ = false;
  size_t count_ = 0;      // Of labels so far.
  size_t at_before_ = 0;  // Where as many labels of the series before end.
};

void SeriesReader::Start(NameScheme scheme,
                         absl::Span<const std::string> deciding,
                         absl::Span<const std::string> removed) {
  scheme_ = scheme;
  labels_.clear();
  ends_.clear();
  block_ = {};
  first_new_ = 0;
  same_from_ = 0;
  hash_ = 0;
  faulty_values_ = 0;
  longest_value_ = 0;
  marks_.clear();
  mark_lengths_ = 0;
  for (size_t i = 0; i < deciding.size(); ++i) {
    AddMark(deciding[i])->deciding = static_cast<int>(i);
  }
  for (const std::string& name : removed) {
    if (name != kMetricName) AddMark(name)->removed = true;
  }
  names_.deciding.resize(deciding.size());
  CheckNames();
}

SeriesReader::Mark* SeriesReader::AddMark(const std::string& name) {
  mark_lengths_ |= uint64_t{1} << (name.size() % 64);
  const auto at = std::lower_bound(
      marks_.begin(), marks_.end(), name,
      [](const Mark& mark, const std::string& n) { return mark.name < n; });
  if (at != marks_.end() && at->name == name) return &*at;
  return &*marks_.insert(at, Mark{name});
}

const SeriesReader::Mark* SeriesReader::FindMark(absl::string_view name) const {
  if ((mark_lengths_ >> (name.size() % 64) & 1) == 0) return nullptr;
  const auto at = std::lower_bound(
      marks_.begin(), marks_.end(), name,
      [](const Mark& mark, absl::string_view n) { return mark.name < n; });
  return at != marks_.end() && at->name == name ? &*at : nullptr;
}

bool SeriesReader::IsAbsent(size_t index) const {
  if (!labels_[index].value.empty()) return false;
  const auto& deciding = names_.deciding;
  return std::find(deciding.begin(), deciding.end(), static_cast<int>(index)) !=
         deciding.end();
}

bool SeriesReader::Read(absl::string_view message) {
  samples_ = 0;
  histograms_ = 0;
  exemplars_ = 0;
  names_changed_ = false;
  Walk walk(this, message);
  const char* const end = message.data() + message.size();
  // Nearly every series is plain labels, and then plain samples.
  const char* p = walk.Begin();
  SeriesLabel label;
  while (ReadPlainLabel(p, end, &label)) {
    walk.Add(&label);
    p = walk.SkipSame(p + label.raw.size());
  }
  while (const size_t size = PlainSampleSize(p, end)) {
    ++samples_;
    p += size;
  }
  bool scattered = false;
  if (p != end && !ReadRest(&walk, p, end, &scattered)) return false;
  label_count_ = walk.count();
  if (label_count_ < labels_.size()) DropLabelsFrom(label_count_);
  first_new_ = std::min(first_new_, labels_.size());
  if (names_changed_) CheckNames();
  block_ = scattered || ends_.empty() ? absl::string_view()
                                      : message.substr(0, ends_.back());
  return true;
}

bool SeriesReader::ReadRest(Walk* walk, const char* p, const char* end,
                            bool* scattered) {
  bool other_seen = samples_ > 0;
  WireReader reader(absl::string_view(p, static_cast<size_t>(end - p)));
  WireField field;
  while (reader.position() != end) {
    p = reader.position();
    if (const char* const next = walk->SkipSame(p); next != p) {
      *scattered |= other_seen;
      reader.Skip(static_cast<size_t>(next - p));
      continue;
    }
    if (!reader.Next(&field)) return false;
    if (field.number == 1) {
      SeriesLabel label;
      if (!ReadAnyLabel(field, &label)) return false;
      *scattered |= other_seen;
      walk->Add(&label);
    } else {
      if (!ReadOther(field)) return false;
      other_seen = true;
    }
  }
  return true;
}

bool SeriesReader::ReadOther(const WireField& field) {
  switch (field.number) {
    case 2:
      ++samples_;
      return field.type == WireType::kBytes &&
             HasShape(field.bytes, SampleShape());
    case 3:
      ++exemplars_;
      return field.type == WireType::kBytes &&
             HasShape(field.bytes, ExemplarShape());
    case 4:
      ++samples_;
      ++histograms_;
      return field.type == WireType::kBytes &&
             HasShape(field.bytes, HistogramShape());
    default:
      return true;  // Travels with the series as it is.
  }
}

void SeriesReader::SetLabel(SeriesLabel* label, size_t index) {
  const bool same_name =
      index < labels_.size() && AreSame(labels_[index].name, label->name);
  label->is_metric =
      same_name ? labels_[index].is_metric : AreSame(label->name, kMetricName);
  label->value_ok = IsValueOk(*label);
  label->hash = HashOfLabel(label->raw);
  hash_ += label->hash;
  faulty_values_ += label->value_ok ? 0 : 1;
  longest_value_ = std::max(longest_value_, label->value.size());
  if (index >= labels_.size()) {
    labels_.push_back(*label);
    ends_.push_back(0);
    names_changed_ = true;
    return;
  }
  SeriesLabel& old = labels_[index];
  hash_ -= old.hash;
  faulty_values_ -= old.value_ok ? 0 : 1;
  if (!same_name || !label->whole || !old.whole) {
    names_changed_ = true;
  }
  old = *label;
}

void SeriesReader::DropLabelsFrom(size_t index) {
  for (size_t i = index; i < labels_.size(); ++i) {
    hash_ -= labels_[i].hash;
    faulty_values_ -= labels_[i].value_ok ? 0 : 1;
  }
  labels_.resize(index);
  ends_.resize(index);
  names_changed_ = true;
}

bool SeriesReader::IsValueOk(const SeriesLabel& label) const {
  if (label.value.empty()) return false;
  if (label.is_metric && scheme_ == NameScheme::kLegacy) {
    return labels::IsLegacyMetricName(label.value);
  }
  return labels::IsValidUtf8(label.value);
}

bool SeriesReader::IsNameOk(absl::string_view name) const {
  if (scheme_ == NameScheme::kLegacy) return labels::IsLegacyLabelName(name);
  return !name.empty() && labels::IsValidUtf8(name);
}

void SeriesReader::CheckNames() {
  ++names_.generation;
  names_.ok = has_all_labels();
  names_.longest = 0;
  names_.metric = -1;
  std::fill(names_.deciding.begin(), names_.deciding.end(), -1);
  names_.repeated = -1;
  names_.removed.clear();
  for (size_t i = 0; i < labels_.size(); ++i) {
    const SeriesLabel& label = labels_[i];
    names_.ok = names_.ok && label.whole && IsNameOk(label.name) &&
                (i == 0 || labels_[i - 1].name < label.name);
    names_.longest = std::max(names_.longest, label.name.size());
    if (names_.metric < 0 && label.is_metric) {
      names_.metric = static_cast<int>(i);
    }
    const Mark* const mark = FindMark(label.name);
    if (mark == nullptr) continue;
    if (mark->removed) names_.removed.push_back(i);
    if (mark->deciding < 0) continue;
    int& first = names_.deciding[static_cast<size_t>(mark->deciding)];
    if (first >= 0) names_.repeated = mark->deciding;
    if (first < 0) first = static_cast<int>(i);
  }
}

}  // namespace insula::remote_write
