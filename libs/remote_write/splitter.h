// Splits a remote write 1.0 request by tenant, without building messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/limits/active_series.h"
#include "libs/remote_write/checks.h"
#include "libs/remote_write/reason.h"
#include "libs/remote_write/rewrite.h"
#include "libs/remote_write/series.h"
#include "libs/remote_write/series_memory.h"

namespace insula::remote_write {

class PartStock;

// Where series can go: a tenant, as far as the split is concerned.
struct Destination {
  std::string name;  // For messages: the tenant id.
  std::vector<Label> enforced_labels =
      {};  // Sorted by name, without duplicates.
  SeriesLimits limits = {};
  // Its active series, as they are sent on; null: they are not counted. A new
  // series is refused while max_active_series (0: no limit) are active.
  limits::ActiveSeries* active_series = nullptr;
  uint64_t max_active_series = 0;
};

// Where a series goes: to each destination, which are distinct.
struct Routes {
  std::vector<const Destination*> destinations = {};
  // Why it does not go further; the series counts once for each of them. With
  // neither a destination nor a reason it is kTenantMissing.
  std::vector<Reason> refused = {};
};

// How the series of a request find their destinations.
struct Plan {
  // Distinct names of labels whose values decide; __name__ may be one. A label
  // with an empty value counts as absent, and is left out of what is sent on. A
  // series that has one of them twice is refused.
  std::vector<std::string> deciding_labels;
  // Names of labels that are dropped, unless the destination enforces them.
  // Never __name__.
  std::vector<std::string> removed_labels;
  // values[i] is that of deciding_labels[i], empty if it is absent. Asked once
  // for each different combination in a request, or again after
  // kMaxCombinations others. Senders choose the values, so do not keep
  // something for each of them: return one of few results. Those, and their
  // destinations, live as long as the plan and the result are used.
  //
  // Metadata without a series of its family goes where find_family says, else
  // where a series without deciding labels would go.
  std::function<const Routes&(absl::Span<const absl::string_view> values)> find;
  NameScheme name_scheme = NameScheme::kLegacy;
  // Destinations that are known to have a metric family, each once, of those
  // that the sender may write to. May be null.
  std::function<std::vector<const Destination*>(absl::string_view family)>
      find_family = nullptr;

  static constexpr size_t kMaxCombinations = 4096;
};

// Bounds of one request; above them Split says RESOURCE_EXHAUSTED.
struct Bounds {
  int64_t max_series = 200'000;
  int64_t max_labels = 4'000'000;  // Of all series.
  int64_t max_samples = 500'000;   // Histograms count.
  int64_t max_metadata = 100'000;
  size_t max_output_bytes = 128 << 20;  // Of all parts.
};

struct Counts {
  int64_t series = 0;
  int64_t samples = 0;     // Histograms count.
  int64_t histograms = 0;  // Of the samples.
  int64_t exemplars = 0;
  int64_t metadata = 0;

  Counts& operator+=(const Counts& other) {
    series += other.series;
    samples += other.samples;
    histograms += other.histograms;
    exemplars += other.exemplars;
    metadata += other.metadata;
    return *this;
  }
  Counts& operator-=(const Counts& other) {
    series -= other.series;
    samples -= other.samples;
    histograms -= other.histograms;
    exemplars -= other.exemplars;
    metadata -= other.metadata;
    return *this;
  }
  friend bool operator==(const Counts&, const Counts&) = default;
};

// What goes to one destination.
struct Part {
  const Destination* destination;
  absl::string_view body;  // A WriteRequest message, not compressed.
  Counts counts;
  bool unchanged;  // The body is the request as it was received.
};

// What is refused for one reason.
struct Refused {
  const Destination* destination;  // Null if none was found.
  Reason reason;
  Counts counts;
  // Up to kMaxExamples different names or deciding values, as received: escape
  // them. Each is cut after kMaxExampleBytes.
  std::vector<std::string> examples;

  static constexpr size_t kMaxExamples = 10;
  static constexpr size_t kMaxExampleBytes = 100;
};

struct SplitResult {
  std::vector<Part> parts;
  std::vector<Refused> refused;
  Counts received;
  // Series that found a destination at least, refused there or not.
  int64_t routed_series = 0;
  // Series of which everything was known from before.
  int64_t known_series = 0;
  // Metadata without a valid name or a destination; and fields of the request
  // that remote write 1.0 does not have. They go nowhere.
  int64_t dropped_metadata = 0;
  int64_t dropped_fields = 0;
  // There is one part, and it is unchanged.
  bool unchanged = false;
};

// Series are copied byte for byte: sample values, exemplars, histograms and
// fields that nobody knows stay as they were sent. A series with a fault is
// refused, and the others are kept. Metadata goes to the destinations that have
// a series of the family in the request, else where Plan::find_family says,
// else where series without deciding labels go.
//
// Keeps its memory from request to request, and with a budget, which outlives
// it, also what it found out about series (series_memory.h); the result is the
// same. Not thread-safe.
class Splitter {
 public:
  explicit Splitter(Bounds bounds, SeriesMemoryBudget* budget = nullptr);
  ~Splitter();

  // Splits a decompressed WriteRequest. Bodies in the result are views of
  // `request` or of the splitter's memory, good until the next call.
  // INVALID_ARGUMENT if the request is malformed, RESOURCE_EXHAUSTED if it is
  // too large; nothing of it may be used then.
  absl::StatusOr<SplitResult> Split(absl::string_view request,
                                    const Plan& plan);

 private:
  class Run;
  const Bounds bounds_;
  SeriesReader series_;
  SeriesMemory memory_;
  std::unique_ptr<PartStock> stock_;
};

}  // namespace insula::remote_write
