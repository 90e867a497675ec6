#include "libs/audit/audit_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/files/write_all.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"

namespace insula::audit {
namespace {

constexpr size_t kMaxValue = 256;
constexpr size_t kMaxLines = 1024;
constexpr absl::Duration kLookInterval = absl::Seconds(1);

absl::StatusOr<int> OpenFile(const std::string& file) {
  const int descriptor =
      file == "-"
          ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
          : open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (descriptor >= 0) return descriptor;
  return absl::UnavailableError(absl::StrCat(
      "audit.file '", file, "' can't be opened: ", std::strerror(errno)));
}

// Whether `file` is what `descriptor` writes to.
bool IsSameFile(const std::string& file, int descriptor) {
  struct stat named = {};
  struct stat opened = {};
  return stat(file.c_str(), &named) == 0 && fstat(descriptor, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

metrics::Counter* Lines(metrics::Registry* metrics, const char* result) {
  return &metrics->AddCounter("insula_audit_lines_total",
                              "Lines of the audit, by what became of them.",
                              {{"result", result}});
}

}  // namespace

std::string FormatEvent(absl::Time time, absl::string_view service,
                        const Event& event, int64_t dropped) {
  nlohmann::ordered_json line;
  line["time"] =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
  const auto add = [&line](const char* key, absl::string_view value) {
    if (value.empty()) return;
    line[key] = std::string(value.substr(0, kMaxValue));
  };
  add("service", service);
  add("event", event.event);
  add("decision", event.decision);
  add("code", event.code);
  add("reason", event.reason);
  add("method", event.method);
  add("principal", event.principal);
  add("tenant", event.tenant);
  add("object", event.object);
  add("source", event.source);
  add("listener", event.listener);
  add("peer", event.peer);
  add("request_id", event.request_id);
  if (event.revision != 0) line["revision"] = event.revision;
  if (dropped > 0) line["dropped"] = dropped;
  return line.dump(-1, ' ', /*ensure_ascii=*/true,
                   nlohmann::ordered_json::error_handler_t::replace) +
         "\n";
}

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Open(
    const AuditConfig& config, std::string service, const Clock* clock,
    metrics::Registry* metrics) {
  if (config.file.empty()) return std::unique_ptr<AuditLog>();
  ASSIGN_OR_RETURN(const int descriptor, OpenFile(config.file));
  return std::unique_ptr<AuditLog>(
      new AuditLog(config, std::move(service), descriptor, clock, metrics));
}

AuditLog::AuditLog(const AuditConfig& config, std::string service,
                   int descriptor, const Clock* clock,
                   metrics::Registry* metrics)
    : file_(config.file),
      service_(std::move(service)),
      clock_(*clock),
      results_{Lines(metrics, "written"), Lines(metrics, "rate_limited"),
               Lines(metrics, "queue_full"), Lines(metrics, "failed")},
      refusals_({.rate = static_cast<double>(config.max_lines_per_second),
                 .burst = 10.0 * config.max_lines_per_second},
                clock->Now()),
      descriptor_(descriptor),
      looked_at_(clock->Now()),
      thread_([this] { Run(); }) {}

AuditLog::~AuditLog() {
  {
    const sync::MutexLock lock(&mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
  if (descriptor_ >= 0) close(descriptor_);
}

void AuditLog::WriteRefusal(const Event& event) {
  if (refusals_.Take(1, clock_.Now()).has_value()) {
    NoteDropped(results_.rate_limited);
    return;
  }
  Enqueue(event);
}

void AuditLog::WriteChange(const Event& event) { Enqueue(event); }

void AuditLog::NoteDropped(metrics::Counter* why) {
  why->Increment();
  const sync::MutexLock lock(&mutex_);
  ++dropped_;
}

void AuditLog::Enqueue(const Event& event) {
  bool full = false;
  {
    const sync::MutexLock lock(&mutex_);
    full = lines_.size() >= kMaxLines;
    if (!full) {
      lines_.push_back(FormatEvent(clock_.Now(), service_, event,
                                   std::exchange(dropped_, 0)));
    }
  }
  if (full) {
    NoteDropped(results_.queue_full);
  } else {
    wake_.notify_one();
  }
}

void AuditLog::Run() {
  while (true) {
    std::deque<std::string> lines;
    {
      sync::MutexLock lock(&mutex_);
      while (lines_.empty() && !stop_) wake_.wait(mutex_);
      if (lines_.empty()) return;
      lines.swap(lines_);
    }
    ReopenIfMoved();
    for (const std::string& line : lines) WriteLine(line);
  }
}

void AuditLog::ReopenIfMoved() {
  const absl::Time now = clock_.Now();
  const bool recent = now - looked_at_ < kLookInterval && now >= looked_at_;
  if (file_ == "-" || (recent && descriptor_ >= 0)) return;
  looked_at_ = now;
  if (descriptor_ >= 0 && IsSameFile(file_, descriptor_)) return;
  const absl::StatusOr<int> opened = OpenFile(file_);
  if (!opened.ok()) {
    logging::Error("the audit can't be written", {{"err", opened.status()}});
    return;  // Where it is now is better than nowhere.
  }
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = *opened;
  within_line_ = false;
}

void AuditLog::WriteLine(const std::string& line) {
  // What was begun is ended, so that this line can be read.
  const std::string text = within_line_ ? "\n" + line : line;
  const size_t done = files::WriteAll(descriptor_, text);
  if (done == text.size()) {
    within_line_ = false;
    results_.written->Increment();
    return;
  }
  within_line_ = within_line_ || done > 0;
  logging::Error("the audit can't be written",
                 {{"file", file_}, {"err", std::strerror(errno)}});
  NoteDropped(results_.failed);
}

}  // namespace insula::audit
