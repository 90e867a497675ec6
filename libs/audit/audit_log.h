// Who was refused, and who changed what, as lines of JSON for other programs.
//
//   {"time":"2026-11-21T10:00:00.000Z","service":"ingest-gateway",
//    "event":"request","decision":"refused","code":"PERMISSION_DENIED",
//    "method":"POST /api/v1/write","principal":"binding/agents",
//    "tenant":"blue","listener":"write","peer":"192.0.2.7",
//    "request_id":"7f3a"}
//
// Members that are not known are left out. Whatever bytes a value holds, the
// line is one line of ASCII, and JSON.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/audit/audit_config.h"
#include "libs/limits/token_bucket.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"
#include "libs/time/clock.h"

namespace insula::audit {

// What happened. Values longer than 256 bytes are cut. Never put a credential
// here, nor what a request claims and nothing has proven: of a tenant that a
// request only names, that it exists must be known.
struct Event {
  std::string event;      // "request", "change"
  std::string decision;   // "refused", "allowed"
  std::string code;       // "UNAUTHENTICATED"
  std::string reason;     // A constant: "foreign_series".
  std::string method;     // "POST /api/v1/write", "Apply"
  std::string principal;  // As proven: "binding/agents".
  std::string tenant;
  std::string object;  // "Tenant/blue"
  std::string source;  // Of a change: "api", "file:PATH".
  std::string listener;
  std::string peer;
  std::string request_id;
  int64_t revision = 0;  // Of a change.
};

// `event` as a line, with its line feed. `dropped` lines were left out before
// it.
std::string FormatEvent(absl::Time time, absl::string_view service,
                        const Event& event, int64_t dropped);

// Thread-safe. Lines are written by a thread of its own: Write() does not
// block. At most 1024 wait; those that find no room are dropped. A file that is
// moved away or deleted is opened anew within a second, so that others may
// rotate it.
//
// Metrics: insula_audit_lines_total{result="written|rate_limited|queue_full|
// failed"}. The next line that is written says how many were dropped before it,
// in member "dropped".
class AuditLog {
 public:
  // Null if `config`, which is valid, wants none. UNAVAILABLE names the file
  // that can't be opened. `clock` and `metrics` outlive the result.
  static absl::StatusOr<std::unique_ptr<AuditLog>> Open(
      const AuditConfig& config, std::string service, const Clock* clock,
      metrics::Registry* metrics);
  // Writes what waits.
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Somebody was refused. Of these only so many a second are written, ten
  // seconds' worth at once: whoever is refused may come again as often as he
  // likes.
  void WriteRefusal(const Event& event) ABSL_LOCKS_EXCLUDED(mutex_);
  // Something was changed, which only those can do who may.
  void WriteChange(const Event& event) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Results {
    metrics::Counter* written;
    metrics::Counter* rate_limited;
    metrics::Counter* queue_full;
    metrics::Counter* failed;
  };
  AuditLog(const AuditConfig& config, std::string service, int descriptor,
           const Clock* clock, metrics::Registry* metrics);

  void Enqueue(const Event& event) ABSL_LOCKS_EXCLUDED(mutex_);
  void NoteDropped(metrics::Counter* why) ABSL_LOCKS_EXCLUDED(mutex_);
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  // On the thread.
  void WriteLine(const std::string& line);
  void ReopenIfMoved();

  const std::string file_;
  const std::string service_;
  const Clock& clock_;
  Results results_;
  limits::TokenBucket refusals_;

  int descriptor_;            // Of the thread.
  bool within_line_ = false;  // The last line was cut off.
  absl::Time looked_at_;      // When the file was last looked for.

  sync::Mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mutex_);
  int64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // Last: begins when all is there.
};

}  // namespace insula::audit
