// Finds series that come twice in one exposition.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/sample.h"

namespace insula::exposition {

// Stands before another sink and refuses a second sample of the same series
// with the same timestamp (or both without): INVALID_ARGUMENT. The order of
// labels makes no difference, nor do labels with the empty value. Of each
// sample it keeps 128 bits of a hash with a secret of its own.
//
//   DuplicateCheck unique(/*max_samples=*/1'000'000, &sink);
//   TextParser parser(options, &unique);
class DuplicateCheck : public Sink {
 public:
  // RESOURCE_EXHAUSTED beyond `max_samples`. `next` outlives this.
  DuplicateCheck(size_t max_samples, Sink* next);

  absl::Status OnSample(const Sample& sample) override;
  absl::Status OnType(absl::string_view name, MetricType type) override;
  absl::Status OnHelp(absl::string_view name, absl::string_view help) override;
  absl::Status OnUnit(absl::string_view name, absl::string_view unit) override;

 private:
  absl::uint128 Hash(const Sample& sample);

  const size_t max_samples_;
  Sink* const next_;
  std::string secret_;
  absl::flat_hash_set<absl::uint128> seen_;
  std::vector<Label> sorted_;  // Scratch, as is text_.
  std::string text_;
};

}  // namespace insula::exposition
