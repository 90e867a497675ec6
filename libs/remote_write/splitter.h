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
#include "libs/remote_write/checks.h"
#include "libs/remote_write/reason.h"
#include "libs/remote_write/rewrite.h"
#include "libs/remote_write/series.h"

namespace insula::remote_write {

// Where series can go: a tenant, as far as the split is concerned.
struct Destination {
  std::string name;  // For messages: the tenant id.
  std::vector<Label> enforced_labels =
      {};  // Sorted by name, without duplicates.
  SeriesLimits limits = {};
};

// A destination, or why there is none.
struct Route {
  const Destination* destination = nullptr;
  Reason reason = Reason::kTenantMissing;  // Without a destination.
};

// How the series of a request find their destinations.
struct Plan {
  // The label whose value decides. Empty: every series takes `otherwise`. An
  // empty value is no value.
  std::string claim_label;
  // Drop that label, unless the destination enforces it.
  bool remove_claim_label = false;
  // Of series without the claim label.
  Route otherwise;
  // By the value of the claim label; asked once for each value. Destinations
  // live as long as the result is used.
  std::function<Route(absl::string_view value)> find;
  NameScheme name_scheme = NameScheme::kLegacy;
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
  int64_t samples = 0;  // Histograms count.
  int64_t exemplars = 0;
  int64_t metadata = 0;

  Counts& operator+=(const Counts& other);
  friend bool operator==(const Counts&, const Counts&) = default;
};

// What goes to one destination.
struct Part {
  const Destination* destination;
  absl::string_view body;  // A WriteRequest message, not compressed.
  Counts counts;
};

// What is refused for one reason.
struct Refused {
  const Destination* destination;  // Null if none was found.
  Reason reason;
  Counts counts;
  // Up to kMaxExamples different names or claim values, as received: escape
  // them. Each is cut after kMaxExampleBytes.
  std::vector<std::string> examples;

  static constexpr size_t kMaxExamples = 10;
  static constexpr size_t kMaxExampleBytes = 100;
};

struct SplitResult {
  std::vector<Part> parts;
  std::vector<Refused> refused;
  Counts received;
  // Series that found a destination, refused there or not.
  int64_t routed_series = 0;
  // Metadata without a valid name or a destination; and fields of the request
  // that remote write 1.0 does not have. They go nowhere.
  int64_t dropped_metadata = 0;
  int64_t dropped_fields = 0;
  // There is one part, and its body is the request as it was received.
  bool unchanged = false;
};

// Series are copied byte for byte: sample values, exemplars, histograms and
// fields that nobody knows stay as they were sent. A series with a fault is
// refused, and the others are kept. Metadata goes to the destinations that have
// a series of the family in the request, else to `otherwise`.
//
// Keeps its memory from request to request. Not thread-safe.
class Splitter {
 public:
  explicit Splitter(Bounds bounds);
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
  std::vector<std::string> buffers_;  // Empty, with capacity.
  std::vector<std::string> bodies_;   // Those that the last result shows.
};

}  // namespace insula::remote_write
