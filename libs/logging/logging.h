// Structured log lines on stderr, in logfmt or JSON.
//
//   logging::Info("listening", {{"name", "admin"}, {"address", address}});
//
// prints  ts=2026-11-21T10:00:00.000Z level=info service=ingest-gateway
// msg=listening name=admin address=127.0.0.1:9802  on one line. `msg` is a
// constant; what varies goes into fields. Thread-safe.
//
// Values may hold anything: control characters, quotes and bytes that are not
// UTF-8 are escaped, so a value never forges a line, and a value above 8 KiB is
// cut with a note of how much is missing.
#pragma once

#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::logging {

// `error`: somebody must act. `warn`: the service coped. `info`: a change of
// state. `debug`: per request.
enum class Level { kDebug, kInfo, kWarn, kError };
enum class Format { kLogfmt, kJson };

// `debug`, `info`, `warn`, `error`; `logfmt`, `json`.
absl::StatusOr<Level> ParseLevel(absl::string_view text);
absl::StatusOr<Format> ParseFormat(absl::string_view text);

// A key and its value as text. Keys are [a-z_]+.
struct Field {
  Field(absl::string_view key, absl::string_view value);
  Field(absl::string_view key, const char* value);
  Field(absl::string_view key, const std::string& value);
  Field(absl::string_view key, const absl::Status& value);
  Field(absl::string_view key, absl::Duration value);
  Field(absl::string_view key, bool value);
  Field(absl::string_view key, int value);
  Field(absl::string_view key, unsigned value);
  Field(absl::string_view key, long value);                // NOLINT
  Field(absl::string_view key, unsigned long value);       // NOLINT
  Field(absl::string_view key, long long value);           // NOLINT
  Field(absl::string_view key, unsigned long long value);  // NOLINT
  Field(absl::string_view key, double value);

  absl::string_view key;
  std::string value;
};
using Fields = std::initializer_list<Field>;

// Sets level, format and the `service` field of all lines. Called once, by
// runtime::Main; before that lines are logfmt, at info, without `service`.
void Configure(absl::string_view service, Level level, Format format);

bool Enabled(Level level);
void Log(Level level, absl::string_view msg, Fields fields = {});

// As Log(), for what comes with each request: a system call for each line would
// be dear. Written within 100 ms, before the next line of Log(), and at the end
// of the process; one that crashes or is killed takes the last ones with it.
void LogSoon(Level level, absl::string_view msg, Fields fields = {});
// Writes what LogSoon() still holds.
void Flush();

inline void Debug(absl::string_view msg, Fields fields = {}) {
  if (Enabled(Level::kDebug)) Log(Level::kDebug, msg, fields);
}
inline void Info(absl::string_view msg, Fields fields = {}) {
  Log(Level::kInfo, msg, fields);
}
inline void Warn(absl::string_view msg, Fields fields = {}) {
  Log(Level::kWarn, msg, fields);
}
inline void Error(absl::string_view msg, Fields fields = {}) {
  Log(Level::kError, msg, fields);
}

}  // namespace insula::logging
