#include "tools/loadgen/tally.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_format.h"

namespace insula::loadgen {
namespace {

void AddTo(const Outcome& outcome, Totals* totals) {
  ++totals->requests;
  totals->bytes += static_cast<int64_t>(outcome.bytes);
  totals->latencies.Add(outcome.took);
  ++totals->answers[outcome.answer];
  if (outcome.accepted) {
    totals->samples += outcome.samples;
    return;
  }
  if (++totals->failed == 1) totals->first_failure = outcome.failure;
}

double PerSecond(int64_t count, absl::Duration took) {
  return static_cast<double>(count) /
         std::max(absl::ToDoubleSeconds(took), 1e-9);
}

double Milliseconds(const Totals& totals, double share) {
  return absl::ToDoubleMilliseconds(totals.latencies.Quantile(share));
}

}  // namespace

std::string ProgressLine(const Totals& totals, absl::Duration took) {
  std::string line = absl::StrFormat(
      "%.1f requests/s, %.0f samples/s, %d errors, p50 %.1f ms, p99 %.1f ms",
      PerSecond(totals.requests, took), PerSecond(totals.samples, took),
      totals.failed, Milliseconds(totals, 0.5), Milliseconds(totals, 0.99));
  if (totals.failed > 0)
    absl::StrAppendFormat(&line, "; %s", totals.first_failure);
  return line;
}

std::string Summary(const Totals& totals, absl::Duration took) {
  nlohmann::ordered_json summary;
  summary["seconds"] = absl::ToDoubleSeconds(took);
  summary["requests"] = totals.requests;
  summary["failed"] = totals.failed;
  summary["samples"] = totals.samples;
  summary["bytes"] = totals.bytes;
  summary["requests_per_second"] = PerSecond(totals.requests, took);
  summary["samples_per_second"] = PerSecond(totals.samples, took);
  summary["p50_ms"] = Milliseconds(totals, 0.5);
  summary["p99_ms"] = Milliseconds(totals, 0.99);
  summary["max_ms"] = absl::ToDoubleMilliseconds(totals.latencies.max());
  summary["answers"] = totals.answers;
  if (totals.failed > 0) summary["first_failure"] = totals.first_failure;
  return summary.dump(-1, ' ', false,
                      nlohmann::ordered_json::error_handler_t::replace);
}

void Tally::Add(const Outcome& outcome) {
  const sync::MutexLock lock(&mutex_);
  AddTo(outcome, &all_);
  AddTo(outcome, &recent_);
}

Totals Tally::All() const {
  const sync::MutexLock lock(&mutex_);
  return all_;
}

Totals Tally::TakeRecent() {
  const sync::MutexLock lock(&mutex_);
  return std::exchange(recent_, Totals());
}

}  // namespace insula::loadgen
