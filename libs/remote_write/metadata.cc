#include "libs/remote_write/metadata.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/labels/validity.h"
#include "libs/remote_write/wire.h"

namespace insula::remote_write {
namespace {

constexpr absl::string_view kSuffixes[] = {"",      "_total",  "_bucket",
                                           "_sum",  "_count",  "_created",
                                           "_info", "_gcount", "_gsum"};

absl::string_view FieldOf(absl::string_view message, uint32_t number) {
  absl::string_view value;
  WireReader reader(message);
  WireField field;
  while (reader.Next(&field)) {
    if (field.number == number) value = field.bytes;
  }
  return value;
}

}  // namespace

bool IsUsableMetadata(absl::string_view message) {
  bool named = false;
  WireReader reader(message);
  WireField field;
  while (reader.Next(&field)) {
    if (field.number != 2 && field.number != 4 && field.number != 5) continue;
    if (!labels::IsValidUtf8(field.bytes)) return false;
    if (field.number == 2) named = !field.bytes.empty();
  }
  return named;
}

std::vector<absl::string_view> FamiliesOf(absl::string_view metric) {
  std::vector<absl::string_view> families = {metric};
  for (const absl::string_view suffix : kSuffixes) {
    absl::string_view family = metric;
    if (!suffix.empty() && absl::ConsumeSuffix(&family, suffix) &&
        !family.empty()) {
      families.push_back(family);
    }
  }
  return families;
}

std::vector<std::string> MetricsOf(absl::string_view family) {
  std::vector<std::string> metrics;
  for (const absl::string_view suffix : kSuffixes) {
    metrics.push_back(absl::StrCat(family, suffix));
  }
  return metrics;
}

absl::string_view MetadataFamily(absl::string_view field) {
  WireReader reader(field);
  WireField metadata;
  return reader.Next(&metadata) ? FieldOf(metadata.bytes, 2)
                                : absl::string_view();
}

absl::string_view MetricName(absl::string_view series) {
  // Mostly it is the first label, with sizes of one byte.
  constexpr absl::string_view kName("\x0a\x08__name__\x12", 11);
  constexpr size_t kBefore = 2 + kName.size() + 1;
  if (series.size() >= kBefore && series[0] == '\x0a' &&
      series.substr(2, kName.size()) == kName) {
    const auto size = static_cast<uint8_t>(series[1]);
    const size_t value = static_cast<uint8_t>(series[kBefore - 1]);
    if (size < 0x80 && size == kBefore - 2 + value &&
        series.size() - kBefore >= value) {
      return series.substr(kBefore, value);
    }
  }
  WireReader reader(series);
  WireField field;
  while (reader.Next(&field)) {
    if (field.number == 1 && FieldOf(field.bytes, 1) == "__name__") {
      return FieldOf(field.bytes, 2);
    }
  }
  return "";
}

absl::string_view FirstMetricName(absl::string_view body) {
  WireReader reader(body);
  WireField field;
  while (reader.Next(&field)) {
    if (field.number == 1) return MetricName(field.bytes);
  }
  return "";
}

void MetricIndex::Add(absl::string_view body, size_t index) {
  WireReader reader(body);
  WireField field;
  while (reader.Next(&field)) {
    std::vector<size_t>& bodies = bodies_of_[MetricName(field.bytes)];
    if (bodies.empty() || bodies.back() != index) bodies.push_back(index);
  }
}

std::vector<size_t> MetricIndex::Find(absl::string_view field) const {
  std::vector<size_t> found;
  for (const std::string& metric : MetricsOf(MetadataFamily(field))) {
    const auto it = bodies_of_.find(metric);
    if (it == bodies_of_.end()) continue;
    found.insert(found.end(), it->second.begin(), it->second.end());
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace insula::remote_write
