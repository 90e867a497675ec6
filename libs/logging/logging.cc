#include "libs/logging/logging.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/logging/line.h"
#include "libs/logging/line_buffer.h"
#include "libs/sync/mutex.h"

namespace insula::logging {
namespace {

struct Settings {
  std::string service;
  Level level = Level::kInfo;
  Format format = Format::kLogfmt;
};

// Never freed: threads may log until the very end of the process.
const Settings& Defaults() {
  static const auto& defaults = *new Settings;
  return defaults;
}
std::atomic<const Settings*> g_settings = nullptr;

const Settings& Current() {
  const Settings* settings = g_settings.load(std::memory_order_acquire);
  return settings != nullptr ? *settings : Defaults();
}

// Writes lines and their end with one call, under a lock.
spdlog::logger& Stderr() {
  static spdlog::logger* logger = [] {
    auto* made = new spdlog::logger(
        "", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->set_level(spdlog::level::trace);
    return made;
  }();
  return *logger;
}

internal::LineBuffer& Lines() {
  static internal::LineBuffer* lines = [] {
    auto* made = new internal::LineBuffer([](absl::string_view text) {
      Stderr().log(spdlog::level::info,
                   spdlog::string_view_t(text.data(), text.size()));
    });
    std::atexit(Flush);
    return made;
  }();
  return *lines;
}

std::string LineOf(const Settings& settings, Level level, absl::string_view msg,
                   Fields fields) {
  return internal::FormatLine(settings.format, absl::Now(), level,
                              settings.service, msg, fields);
}

}  // namespace

absl::StatusOr<Level> ParseLevel(absl::string_view text) {
  if (text == "debug") return Level::kDebug;
  if (text == "info") return Level::kInfo;
  if (text == "warn") return Level::kWarn;
  if (text == "error") return Level::kError;
  return absl::InvalidArgumentError(
      absl::StrCat("log level '", absl::CHexEscape(text),
                   "' must be debug, info, warn or error"));
}

absl::StatusOr<Format> ParseFormat(absl::string_view text) {
  if (text == "logfmt") return Format::kLogfmt;
  if (text == "json") return Format::kJson;
  return absl::InvalidArgumentError(absl::StrCat(
      "log format '", absl::CHexEscape(text), "' must be logfmt or json"));
}

Field::Field(absl::string_view k, absl::string_view v) : key(k), value(v) {}
Field::Field(absl::string_view k, const char* v) : key(k), value(v) {}
Field::Field(absl::string_view k, const std::string& v) : key(k), value(v) {}
Field::Field(absl::string_view k, const absl::Status& v)
    : key(k), value(v.ToString()) {}
Field::Field(absl::string_view k, absl::Duration v)
    : key(k), value(absl::FormatDuration(v)) {}
Field::Field(absl::string_view k, bool v)
    : key(k), value(v ? "true" : "false") {}
Field::Field(absl::string_view k, int v) : key(k), value(absl::StrCat(v)) {}
Field::Field(absl::string_view k, unsigned v)
    : key(k), value(absl::StrCat(v)) {}
Field::Field(absl::string_view k, long v)  // NOLINT
    : key(k), value(absl::StrCat(v)) {}
Field::Field(absl::string_view k, unsigned long v)  // NOLINT
    : key(k), value(absl::StrCat(v)) {}
Field::Field(absl::string_view k, long long v)  // NOLINT
    : key(k), value(absl::StrCat(v)) {}
Field::Field(absl::string_view k, unsigned long long v)  // NOLINT
    : key(k), value(absl::StrCat(v)) {}
Field::Field(absl::string_view k, double v) : key(k), value(absl::StrCat(v)) {}

void Configure(absl::string_view service, Level level, Format format) {
  // The former ones may be in use; all stay reachable and are not leaks.
  static auto& made = *new std::deque<Settings>;
  static sync::Mutex mutex;
  sync::MutexLock lock(&mutex);
  made.push_back({std::string(service), level, format});
  g_settings.store(&made.back(), std::memory_order_release);
}

bool Enabled(Level level) { return level >= Current().level; }

void Log(Level level, absl::string_view msg, Fields fields) {
  const Settings& settings = Current();
  if (level < settings.level) return;
  Lines().Add(LineOf(settings, level, msg, fields));
}

void LogSoon(Level level, absl::string_view msg, Fields fields) {
  const Settings& settings = Current();
  if (level < settings.level) return;
  Lines().Hold(LineOf(settings, level, msg, fields));
}

void Flush() { Lines().Flush(); }

}  // namespace insula::logging
