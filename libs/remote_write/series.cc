#include "libs/remote_write/series.h"

#include <algorithm>
#include <cstring>

#include "libs/labels/validity.h"
#include "libs/remote_write/shape.h"

namespace insula::remote_write {
namespace {

constexpr absl::string_view kMetricName = "__name__";

// Nearly every sample is `09 <8 bytes> 10 <varint>`.
bool IsSample(absl::string_view message) {
  if (message.size() >= 11 && message.size() <= 20 && message[0] == 0x09 &&
      message[9] == 0x10) {
    const char* p = message.data() + 10;
    const char* const end = message.data() + message.size();
    uint64_t timestamp;
    if (ReadVarint(&p, end, &timestamp) && p == end) return true;
  }
  return HasShape(message, SampleShape());
}

// Nearly every label is `0a <size> <name> 12 <size> <value>` with sizes of one
// byte. False: it has to be read field by field.
bool ReadPlainLabel(absl::string_view message, SeriesLabel* label) {
  const auto byte = [message](size_t i) {
    return static_cast<uint8_t>(message[i]);
  };
  if (message.size() < 4 || byte(0) != 0x0a || byte(1) >= 0x80) return false;
  const size_t name = byte(1);
  if (message.size() < name + 4 || byte(name + 2) != 0x12) return false;
  const size_t value = byte(name + 3);
  if (value >= 0x80 || message.size() != name + value + 4) return false;
  label->name = absl::string_view(message.data() + 2, name);
  label->value = absl::string_view(message.data() + name + 4, value);
  return true;
}

// Reads any label. False if it is malformed.
bool ReadAnyLabel(absl::string_view message, SeriesLabel* label) {
  int names = 0;
  int values = 0;
  WireReader reader(message);
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

void SeriesReader::Start(NameScheme scheme, absl::string_view claim_label) {
  scheme_ = scheme;
  claim_label_ = std::string(claim_label);
  labels_.clear();
  const uint64_t generation = names_.generation + 1;
  names_ = SeriesNames();
  names_.generation = generation;
}

bool SeriesReader::Read(absl::string_view message) {
  samples_ = 0;
  exemplars_ = 0;
  names_changed_ = false;
  size_t count = 0;
  WireReader reader(message);
  WireField field;
  while (reader.position() != reader.end()) {
    if (count < labels_.size()) {
      SeriesLabel& label = labels_[count];
      const size_t size = label.raw.size();
      if (static_cast<size_t>(reader.end() - reader.position()) >= size &&
          std::memcmp(reader.position(), label.raw.data(), size) == 0) {
        label.position = reader.position();
        reader.Skip(size);
        ++count;
        continue;
      }
    }
    if (!reader.Next(&field)) return false;
    if (field.number == 1) {
      if (field.type != WireType::kBytes) return false;
      if (!ReadLabel(field, count)) return false;
      ++count;
    } else if (!ReadOther(field)) {
      return false;
    }
  }
  label_count_ = count;
  const size_t kept = std::min(count, kMaxKeptLabels);
  if (kept != labels_.size()) {
    labels_.resize(kept);
    names_changed_ = true;
  }
  if (names_changed_) CheckNames();
  return true;
}

bool SeriesReader::ReadOther(const WireField& field) {
  switch (field.number) {
    case 2:
      ++samples_;
      return field.type == WireType::kBytes && IsSample(field.bytes);
    case 3:
      ++exemplars_;
      return field.type == WireType::kBytes &&
             HasShape(field.bytes, ExemplarShape());
    case 4:
      ++samples_;
      return field.type == WireType::kBytes &&
             HasShape(field.bytes, HistogramShape());
    default:
      return true;  // Travels with the series as it is.
  }
}

bool SeriesReader::ReadLabel(const WireField& field, size_t index) {
  SeriesLabel label;
  if (!ReadPlainLabel(field.bytes, &label) &&
      !ReadAnyLabel(field.bytes, &label)) {
    return false;
  }
  if (index >= kMaxKeptLabels) return true;
  label.raw = field.raw;
  label.position = field.raw.data();
  label.value_ok = IsValueOk(label);
  if (index >= labels_.size()) {
    labels_.push_back(label);
    names_changed_ = true;
    return true;
  }
  SeriesLabel& old = labels_[index];
  if (old.name != label.name || !label.whole || !old.whole) {
    names_changed_ = true;
  }
  old = label;
  return true;
}

bool SeriesReader::IsValueOk(const SeriesLabel& label) const {
  if (label.value.empty()) return false;
  if (label.name == kMetricName && scheme_ == NameScheme::kLegacy) {
    return labels::IsLegacyMetricName(label.value);
  }
  return labels::IsValidUtf8(label.value);
}

bool SeriesReader::IsNameOk(absl::string_view name) const {
  if (scheme_ == NameScheme::kLegacy) return labels::IsLegacyLabelName(name);
  return !name.empty() && labels::IsValidUtf8(name);
}

void SeriesReader::CheckNames() {
  const uint64_t generation = names_.generation + 1;
  names_ = SeriesNames();
  names_.generation = generation;
  names_.ok = has_all_labels();
  for (size_t i = 0; i < labels_.size(); ++i) {
    const SeriesLabel& label = labels_[i];
    names_.ok = names_.ok && label.whole && IsNameOk(label.name) &&
                (i == 0 || labels_[i - 1].name < label.name);
    names_.longest = std::max(names_.longest, label.name.size());
    if (names_.metric < 0 && label.name == kMetricName) {
      names_.metric = static_cast<int>(i);
    }
    if (!claim_label_.empty() && label.name == claim_label_) {
      if (names_.claim >= 0) names_.claim_repeated = true;
      if (names_.claim < 0) names_.claim = static_cast<int>(i);
    }
  }
}

}  // namespace insula::remote_write
