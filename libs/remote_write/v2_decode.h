// Reads remote write 2.0 requests as remote write 1.0.
//
//   V2Decoder decoder(bounds);
//   ASSIGN_OR_RETURN(const V2Request decoded, decoder.Decode(request));
//   splitter.Split(decoded.body, plan);
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/remote_write/loose_exemplars.h"
#include "libs/remote_write/reason.h"
#include "libs/remote_write/splitter.h"
#include "libs/remote_write/wire.h"

namespace insula::remote_write {

// What a 2.0 request is in terms of 1.0.
struct V2Request {
  absl::string_view body;        // A WriteRequest; good until the next call.
  std::vector<Refused> refused;  // Without destinations. Not in `body`.
  // Exemplars that came without samples and went to the series of their labels.
  int64_t joined_exemplars = 0;
  // Fields that remote write 2.0 does not have. They go nowhere.
  int64_t dropped_fields = 0;
};

// What the two protocols share is copied byte for byte: samples with the bits
// of their values, histograms, and in both of them the start timestamps. These
// keep their 2.0 field numbers, which 1.0 does not use: a store that knows only
// 1.0 skips them, and EncodeV2() finds them again.
//
// Refused, with the rest kept:
//  - series whose labels_refs are not pairs of numbers of symbols, series
//    without samples and histograms, or with both, or with a histogram that
//    FindHistogramFault() finds a fault with
//  - exemplars with such labels_refs, metadata with such refs; the series is
//    kept
// Names, values and their order are for the splitter to check.
//
// An entry that has exemplars only is joined to the series of the same labels
// in the request, and refused if there is none. Metadata of the series becomes
// one entry for each metric family: the first one's. The family of a histogram
// is its name without `_bucket`, `_sum` and `_count`, that of a summary without
// the latter two.
//
// Keeps its memory from request to request. Not thread-safe.
class V2Decoder {
 public:
  // More symbols than this are RESOURCE_EXHAUSTED.
  static constexpr size_t kMaxSymbols = 1'000'000;

  explicit V2Decoder(Bounds bounds) : bounds_(bounds) {}

  // Reads a decompressed Request message, which must stay as long as the result
  // is used. INVALID_ARGUMENT if it is malformed, or its first symbol is not
  // the empty one; RESOURCE_EXHAUSTED if it is too large, also once it is
  // written as 1.0. Nothing of it may be used then.
  absl::StatusOr<V2Request> Decode(absl::string_view request);

  // Gives memory back if there is more of it than ordinary requests need.
  void Shrink();

 private:
  // One TimeSeries, as it was found.
  struct Entry {
    std::vector<uint64_t> refs;
    std::vector<absl::string_view> samples;     // Whole fields.
    std::vector<absl::string_view> histograms;  // Messages.
    std::vector<absl::string_view> exemplars;   // Messages.
    bool has_metadata = false;
    uint64_t type = 0;
    uint64_t help_ref = 0;
    uint64_t unit_ref = 0;
    int64_t unknown_fields = 0;
    absl::string_view metric = {};  // Its name; empty if there is none.

    void Clear();
    Counts counts() const;
  };

  absl::Status ReadSymbols(absl::string_view request);
  absl::Status ReadSeries(absl::string_view message);
  absl::Status ReadSeriesField(const WireField& field);
  absl::Status Count(const Counts& counts);
  absl::Status Place();
  // Whether `refs` are pairs of numbers of symbols.
  bool AreRefsOk(const std::vector<uint64_t>& refs) const;
  absl::Status AppendLabels(uint32_t number, const std::vector<uint64_t>& refs,
                            std::string* out) const;
  absl::Status AppendExemplars(std::string* out, int64_t* kept);
  absl::Status AppendMetadata();
  absl::Status AddLoose();
  void JoinLoose();
  absl::Status CheckOutput(size_t more) const;
  absl::string_view MetricName() const;
  void Refuse(Reason reason, absl::string_view example, const Counts& counts);

  const Bounds bounds_;
  absl::string_view request_;
  std::vector<absl::string_view> symbols_;
  Entry entry_;
  std::string series_;    // The one that is being written.
  std::string exemplar_;  // Likewise.
  std::string body_;
  std::string metadata_;  // Fields that end the body.
  absl::flat_hash_set<absl::string_view> families_;
  LooseExemplars loose_;
  Counts received_;
  int64_t labels_ = 0;
  V2Request result_;
};

}  // namespace insula::remote_write
