// How fast expositions are parsed and printed. The text is what /federate
// answers: 12 labels a sample, a timestamp, in pieces as a body comes in. CPU
// time of this process, the best of five rounds. Prints
//   {"name":"exposition.parse_mb_per_s","value":...,"unit":"MB/s"}

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/exposition/sample.h"
#include "libs/exposition/text_parser.h"
#include "libs/exposition/text_printer.h"
#include "tests/bench/harness.h"

namespace insula::bench {
namespace {

using exposition::Format;

constexpr int kSamples = 100'000;
constexpr size_t kPiece = 16 << 10;
constexpr int kRounds = 5;

absl::Duration CpuTimeOfProcess() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return absl::DurationFromTimespec(now);
}

// Looks at everything, so that nothing is optimized away.
class Sum : public exposition::Sink {
 public:
  absl::Status OnSample(const exposition::Sample& sample) override {
    bytes_ += sample.name.size();
    for (const exposition::Label& label : sample.labels) {
      bytes_ += label.name.size() + label.value.size();
    }
    value_ += sample.value;
    ++samples_;
    return absl::OkStatus();
  }
  int samples() const { return samples_; }

 private:
  size_t bytes_ = 0;
  double value_ = 0;
  int samples_ = 0;
};

std::string Text(Format format) {
  std::string text;
  exposition::TextPrinter printer({.format = format}, &text);
  for (int i = 0; i < kSamples; ++i) {
    const std::string instance = absl::StrCat("10.0.", i % 250, ".7:9100");
    const std::string path = absl::StrCat("/api/v1/items/", i % 97);
    const exposition::Label labels[] = {{"cluster", "eu-west-1a"},
                                        {"code", "200"},
                                        {"container", "frontend"},
                                        {"endpoint", "metrics"},
                                        {"instance", instance},
                                        {"job", "kubernetes-pods"},
                                        {"le", "0.25"},
                                        {"method", "GET"},
                                        {"namespace", "team-red"},
                                        {"path", path},
                                        {"pod", "frontend-0"},
                                        {"prometheus", "monitoring/k8s"}};
    const absl::Status status =
        printer.OnSample({.name = "http_request_duration_seconds_bucket",
                          .labels = labels,
                          .value = i % 3 == 0 ? i / 7.0 : i,
                          .timestamp_ms = 1760003000123 + i});
    if (!status.ok()) Die(status.ToString());
  }
  printer.Finish();
  return text;
}

void Parse(absl::string_view text, Format format, exposition::Sink* sink) {
  exposition::TextParser parser({.format = format}, sink);
  absl::Status status;
  for (size_t at = 0; status.ok() && at < text.size(); at += kPiece) {
    status = parser.Feed(text.substr(at, kPiece));
  }
  if (status.ok()) status = parser.Finish();
  if (!status.ok()) Die(status.ToString());
}

void Print(absl::string_view name, size_t bytes, absl::Duration best) {
  std::printf("{\"name\":\"%s\",\"value\":%.1f,\"unit\":\"MB/s\"}\n",
              std::string(name).c_str(),
              static_cast<double>(bytes) / 1e6 / absl::ToDoubleSeconds(best));
}

void MeasureParsing(absl::string_view name, Format format) {
  const std::string text = Text(format);
  absl::Duration best = absl::InfiniteDuration();
  for (int round = 0; round < kRounds; ++round) {
    Sum sum;
    const absl::Duration before = CpuTimeOfProcess();
    Parse(text, format, &sum);
    best = std::min(best, CpuTimeOfProcess() - before);
    if (sum.samples() != kSamples) Die("not every sample was parsed");
  }
  Print(name, text.size(), best);
}

void MeasurePrinting() {
  const std::string text = Text(Format::kPrometheus);
  absl::Duration best = absl::InfiniteDuration();
  for (int round = 0; round < kRounds; ++round) {
    const absl::Duration before = CpuTimeOfProcess();
    const std::string again = Text(Format::kPrometheus);
    best = std::min(best, CpuTimeOfProcess() - before);
    if (again != text) Die("the printer is not stable");
  }
  Print("exposition.print_mb_per_s", text.size(), best);
}

}  // namespace
}  // namespace insula::bench

int main() {
  using insula::exposition::Format;
  insula::bench::MeasureParsing("exposition.parse_mb_per_s",
                                Format::kPrometheus);
  insula::bench::MeasureParsing("exposition.parse_openmetrics_mb_per_s",
                                Format::kOpenMetrics);
  insula::bench::MeasurePrinting();
  return 0;
}
