// A sink for tests: what it took, one line a call.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/metric_type.h"
#include "libs/exposition/sample.h"

namespace insula::exposition {

// Writes values as their bits, so that -0, and each NaN, is itself:
//
//   up{job="a",} 3ff0000000000000 @1000
//   TYPE up gauge
class Recorder : public Sink {
 public:
  absl::Status OnSample(const Sample& sample) override {
    std::string line =
        absl::StrCat(absl::CHexEscape(sample.name), LabelsText(sample.labels));
    AppendValue(sample.value, sample.timestamp_ms, &line);
    if (sample.exemplar != nullptr) {
      absl::StrAppend(&line, " # ", LabelsText(sample.exemplar->labels));
      AppendValue(sample.exemplar->value, sample.exemplar->timestamp_ms, &line);
    }
    calls_.push_back(line);
    return absl::OkStatus();
  }
  absl::Status OnType(absl::string_view name, MetricType type) override {
    return Add("TYPE", name, MetricTypeName(Format::kOpenMetrics, type));
  }
  absl::Status OnHelp(absl::string_view name, absl::string_view text) override {
    return Add("HELP", name, text);
  }
  absl::Status OnUnit(absl::string_view name, absl::string_view text) override {
    return Add("UNIT", name, text);
  }

  const std::vector<std::string>& calls() const { return calls_; }

 private:
  static std::string LabelsText(absl::Span<const Label> labels) {
    std::string text = "{";
    for (const Label& label : labels) {
      absl::StrAppend(&text, absl::CHexEscape(label.name), "=\"",
                      absl::CHexEscape(label.value), "\",");
    }
    return text + "}";
  }
  static void AppendValue(double value, std::optional<int64_t> timestamp_ms,
                          std::string* line) {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    absl::StrAppend(line, " ", absl::Hex(bits, absl::kZeroPad16));
    if (timestamp_ms) absl::StrAppend(line, " @", *timestamp_ms);
  }
  absl::Status Add(absl::string_view kind, absl::string_view name,
                   absl::string_view text) {
    calls_.push_back(absl::StrCat(kind, " ", absl::CHexEscape(name), " ",
                                  absl::CHexEscape(text)));
    return absl::OkStatus();
  }

  std::vector<std::string> calls_;
};

}  // namespace insula::exposition
