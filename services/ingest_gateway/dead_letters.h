// What stores refuse for good, in a file for whoever wants to know, or to send
// it again. A line of JSON for each part:
//
//   {"time":"2026-11-22T10:00:00.000Z","tenant":"blue","tenant_uid":"9f…",
//    "upstream":"mimir","answer":"400 out of order sample","series":2,
//    "samples":2,"exemplars":0,"body":"…"}
//
// `body` is base64 of what was to be written: a WriteRequest of remote write
// 1.0 in a snappy block. Samples of all tenants are in the file, so only its
// owner may read it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/config/config.h"
#include "libs/metrics/metrics.h"
#include "libs/remote_write/splitter.h"
#include "libs/runtime/blocking_pool.h"
#include "libs/sync/mutex.h"
#include "libs/time/clock.h"

namespace insula::ingest_gateway {

struct DeadLettersConfig {
  std::string file;  // Empty: there is none.
  config::Bytes max_bytes{100 << 20};

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// A part that a store refused.
struct DeadLetter {
  absl::string_view tenant_id;
  absl::string_view tenant_uid;  // Printed as hexadecimal digits.
  absl::string_view upstream_id;
  absl::string_view answer;
  remote_write::Counts counts;
  absl::string_view body;
};

// `letter` as a line, with its line feed.
std::string FormatDeadLetter(absl::Time time, const DeadLetter& letter);

// The file is opened for each letter, so that others may move it away. When it
// has half of `max_bytes` it is renamed to FILE.1, in place of an older one.
// Letters are not waited for to be on the disk. Thread-safe.
//
// Metrics: ingest_gateway_dead_letters_total{result="written|failed"}.
class DeadLetters {
 public:
  // Null if `config`, which is valid, wants none. UNAVAILABLE names the file
  // that can't be opened. Blocks. The rest outlives the result.
  static absl::StatusOr<std::unique_ptr<DeadLetters>> Open(
      const DeadLettersConfig& config, runtime::BlockingPool* blocking,
      const Clock* clock, metrics::Registry* registry);

  // Returns once it is written, or can't be, which is logged and counted.
  // `letter` lives until then.
  boost::asio::awaitable<void> Keep(const DeadLetter* letter);

 private:
  DeadLetters(const DeadLettersConfig& config, runtime::BlockingPool* blocking,
              const Clock* clock, metrics::Registry* registry);

  absl::Status Write(const DeadLetter& letter) ABSL_LOCKS_EXCLUDED(mutex_);
  void NoteFailure(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string file_;
  const uint64_t max_file_bytes_;
  runtime::BlockingPool* const blocking_;
  const Clock* const clock_;
  metrics::Counter& written_;
  metrics::Counter& failed_;
  sync::Mutex mutex_;  // Held while one is written.
  absl::Time warned_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace insula::ingest_gateway
