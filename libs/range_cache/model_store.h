// A store that can be looked through at a glance, to hold caches against.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace insula::range_cache {

// A selector with its modifiers, which all queries to the model are.
struct ModelQuery {
  enum class At { kNone, kTime, kStart, kEnd };
  std::string name = "up";
  At at = At::kNone;
  int64_t time = 0;    // With kTime; milliseconds.
  int64_t offset = 0;  // Milliseconds.

  std::string Text() const {
    std::string text = name;
    if (at == At::kTime) absl::StrAppendFormat(&text, " @ %.3f", time / 1000.0);
    if (at == At::kStart) text += " @ start()";
    if (at == At::kEnd) text += " @ end()";
    if (offset != 0) absl::StrAppend(&text, " offset ", offset, "ms");
    return text;
  }
};

// Samples by name and labels. Answers as Prometheus does, to the byte: at each
// step the last sample of the five minutes before, whatever has been written
// till then.
class ModelStore {
 public:
  // `labels`: JSON, sorting as the labels do. A value that begins with '{' is a
  // histogram.
  void Write(const std::string& name, const std::string& labels, int64_t time,
             std::string value) {
    samples_[name][labels][time] = std::move(value);
  }

  std::string Answer(const ModelQuery& query, int64_t start, int64_t end,
                     int64_t step) const {
    std::string out =
        R"({"status":"success","data":{"resultType":"matrix","result":[)";
    bool any = false;
    const auto found = samples_.find(query.name);
    if (found != samples_.end()) {
      for (const auto& [labels, samples] : found->second) {
        const std::string points = Points(query, samples, start, end, step);
        if (points.empty()) continue;
        absl::StrAppend(&out, any ? "," : "", "{\"metric\":", labels, points,
                        "}");
        any = true;
      }
    }
    return out + "]}}";
  }

 private:
  using Samples = std::map<int64_t, std::string>;
  static constexpr int64_t kLookback = 300'000;

  // As Prometheus writes times.
  static std::string Seconds(int64_t millis) {
    std::string text = absl::StrCat(millis / 1000);
    if (millis % 1000 != 0)
      absl::StrAppendFormat(&text, ".%03d", millis % 1000);
    return text;
  }

  static std::string Points(const ModelQuery& query, const Samples& samples,
                            int64_t start, int64_t end, int64_t step) {
    std::string values;
    std::string histograms;
    for (int64_t t = start; t <= end; t += step) {
      int64_t at = t;
      if (query.at == ModelQuery::At::kTime) at = query.time;
      if (query.at == ModelQuery::At::kStart) at = start;
      if (query.at == ModelQuery::At::kEnd) at = end;
      at -= query.offset;
      auto sample = samples.upper_bound(at);
      if (sample == samples.begin()) continue;
      --sample;
      if (sample->first <= at - kLookback) continue;
      const std::string& value = sample->second;
      std::string& out = value[0] == '{' ? histograms : values;
      absl::StrAppend(&out, out.empty() ? "" : ",", "[", Seconds(t), ",",
                      value[0] == '{' ? value : absl::StrCat("\"", value, "\""),
                      "]");
    }
    std::string points;
    if (!values.empty()) absl::StrAppend(&points, ",\"values\":[", values, "]");
    if (!histograms.empty()) {
      absl::StrAppend(&points, ",\"histograms\":[", histograms, "]");
    }
    return points;
  }

  std::map<std::string, std::map<std::string, Samples>> samples_;
};

}  // namespace insula::range_cache
