// Makes remote write requests out of the text of a scrape.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/exposition/sample.h"
#include "libs/remote_write/block.h"

namespace insula::federation_pusher {

// A remote write 1.0 request.
struct Batch {
  std::string body;     // A WriteRequest in a snappy block.
  int64_t samples = 0;  // Each in a series of its own.
};

struct ConvertOptions {
  // Set on every series in place of its own of the same name. Few; no name
  // twice, no value empty.
  std::vector<std::pair<std::string, std::string>> labels;
  absl::Time scraped_at;            // Of samples without a timestamp.
  size_t max_series = 10'000;       // Of a batch.
  size_t max_body_bytes = 8 << 20;  // A batch that has reached it is closed.
  int64_t max_samples = 500'000;    // Of the text.
  size_t max_line_bytes = 256 << 10;
};

struct Converted {
  std::vector<Batch> batches;  // In the order of the text.
  int64_t samples = 0;
};

// Parses `text`, which is in the Prometheus text format, and converts all of
// it, or returns a Failure() of run.h: kSourceMalformed, kSourceTruncated,
// kSourceTooLarge, or kSourceDuplicate for a series that comes twice. Labels
// are sorted, and those with an empty value are left out: they mean the same as
// none. The bits of values stay as the parser gives them. `options` outlives
// the call, which lets others run in between.
boost::asio::awaitable<absl::StatusOr<Converted>> Convert(
    std::string text, const ConvertOptions* options);

// Its sink of samples.
class Converter final : public exposition::Sink {
 public:
  // `options` outlives this.
  explicit Converter(const ConvertOptions* options);

  absl::Status OnSample(const exposition::Sample& sample) override;

  // What OnSample returned last.
  const absl::Status& status() const { return status_; }

  // After the last sample. The converter is used up.
  Converted Finish() &&;

 private:
  using Label = std::pair<absl::string_view, absl::string_view>;

  absl::Status Add(const exposition::Sample& sample);
  void CollectLabels(const exposition::Sample& sample);
  // The series of labels_, for a message.
  std::string Series() const;
  void CloseBatch();

  const ConvertOptions* const options_;
  const int64_t scraped_at_ms_;
  absl::Status status_;
  std::vector<Label> labels_;  // Of the present series.
  std::string series_;         // It, encoded.
  // 128-bit hashes of the labels of all series.
  absl::flat_hash_set<std::pair<uint64_t, uint64_t>> seen_;
  std::string request_;  // The batch that is open.
  int64_t in_request_ = 0;
  remote_write::Arena scratch_;
  Converted converted_;
};

}  // namespace insula::federation_pusher
