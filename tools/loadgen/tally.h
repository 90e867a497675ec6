// What became of the requests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/sync/mutex.h"
#include "tools/loadgen/latencies.h"

namespace insula::loadgen {

// Of one request.
struct Outcome {
  bool accepted = false;
  std::string answer;   // "204", or the code of what went wrong: "UNAVAILABLE".
  std::string failure;  // If it was not accepted: what was said.
  int samples = 0;
  size_t bytes = 0;  // Of the body.
  absl::Duration took;
};

// Of many.
struct Totals {
  int64_t requests = 0;
  int64_t failed = 0;
  int64_t samples = 0;  // Accepted.
  int64_t bytes = 0;
  std::map<std::string, int64_t> answers;
  std::string first_failure;
  Latencies latencies;  // Of all requests, failed ones too.
};

// A line for people about what happened in `took`, without a newline.
std::string ProgressLine(const Totals& totals, absl::Duration took);

// The same of a whole run as a JSON object, without a newline.
std::string Summary(const Totals& totals, absl::Duration took);

// Adds outcomes up. Thread-safe.
class Tally {
 public:
  void Add(const Outcome& outcome) ABSL_LOCKS_EXCLUDED(mutex_);

  Totals All() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Those since the last call.
  Totals TakeRecent() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable sync::Mutex mutex_;
  Totals all_ ABSL_GUARDED_BY(mutex_);
  Totals recent_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::loadgen
