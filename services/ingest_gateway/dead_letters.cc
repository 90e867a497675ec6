#include "services/ingest_gateway/dead_letters.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/files/write_all.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"

namespace insula::ingest_gateway {
namespace {

namespace asio = boost::asio;

constexpr uint64_t kLeastBytes = 1 << 20;

absl::Status FileError(absl::string_view file, absl::string_view what) {
  return absl::UnavailableError(absl::StrCat("dead_letters.file '", file, "' ",
                                             what, ": ", std::strerror(errno)));
}

// To append, and to see how the last line ended.
absl::StatusOr<int> OpenFile(const std::string& file) {
  const int descriptor = open(
      file.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
  if (descriptor < 0) return FileError(file, "can't be opened");
  struct stat about = {};
  if (fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode)) {
    return descriptor;
  }
  close(descriptor);
  return absl::UnavailableError(
      absl::StrCat("dead_letters.file '", file, "' is not a regular file"));
}

absl::StatusOr<uint64_t> SizeOf(const std::string& file, int descriptor) {
  struct stat about = {};
  if (fstat(descriptor, &about) != 0) return FileError(file, "can't be read");
  return static_cast<uint64_t>(about.st_size);
}

// Whoever wrote to it last may have been stopped within a line.
bool EndsWithinALine(int descriptor, uint64_t size) {
  char last = '\n';
  return size > 0 &&
         pread(descriptor, &last, 1, static_cast<off_t>(size - 1)) == 1 &&
         last != '\n';
}

metrics::Counter& Letters(metrics::Registry* registry, const char* result) {
  return registry->AddCounter(
      "ingest_gateway_dead_letters_total",
      "Parts that stores refused for good, by whether dead_letters.file has "
      "them.",
      {{"result", result}});
}

}  // namespace

void DeadLettersConfig::Describe(config::Fields& fields) {
  fields.Add("file", file,
             "Where parts are kept that stores refuse for good, a line of JSON "
             "each. Empty: nowhere.");
  fields.Add("max_bytes", max_bytes,
             "Most that it takes, with FILE.1, which it is renamed to when it "
             "has half of that.");
}

absl::Status DeadLettersConfig::Validate() const {
  if (max_bytes.value < kLeastBytes) {
    return absl::InvalidArgumentError(
        "dead_letters.max_bytes: must be at least 1MiB");
  }
  return absl::OkStatus();
}

std::string FormatDeadLetter(absl::Time time, const DeadLetter& letter) {
  nlohmann::ordered_json members;
  members["time"] =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
  members["tenant"] = std::string(letter.tenant_id);
  members["tenant_uid"] = absl::BytesToHexString(letter.tenant_uid);
  members["upstream"] = std::string(letter.upstream_id);
  members["answer"] = std::string(letter.answer);
  members["series"] = letter.counts.series;
  members["samples"] = letter.counts.samples;
  members["exemplars"] = letter.counts.exemplars;
  std::string line =
      members.dump(-1, ' ', /*ensure_ascii=*/true,
                   nlohmann::ordered_json::error_handler_t::replace);
  line.pop_back();
  absl::StrAppend(&line, ",\"body\":\"", absl::Base64Escape(letter.body),
                  "\"}\n");
  return line;
}

absl::StatusOr<std::unique_ptr<DeadLetters>> DeadLetters::Open(
    const DeadLettersConfig& config, runtime::BlockingPool* blocking,
    const Clock* clock, metrics::Registry* registry) {
  if (config.file.empty()) return std::unique_ptr<DeadLetters>();
  ASSIGN_OR_RETURN(const int descriptor, OpenFile(config.file));
  close(descriptor);
  return std::unique_ptr<DeadLetters>(
      new DeadLetters(config, blocking, clock, registry));
}

DeadLetters::DeadLetters(const DeadLettersConfig& config,
                         runtime::BlockingPool* blocking, const Clock* clock,
                         metrics::Registry* registry)
    : file_(config.file),
      max_file_bytes_(config.max_bytes.value / 2),
      blocking_(blocking),
      clock_(clock),
      written_(Letters(registry, "written")),
      failed_(Letters(registry, "failed")) {}

asio::awaitable<void> DeadLetters::Keep(const DeadLetter* letter) {
  const std::function<absl::Status()> write = [this, letter] {
    return Write(*letter);
  };
  const absl::Status status = co_await blocking_->Run(write);
  if (status.ok()) {
    written_.Increment();
  } else {
    NoteFailure(status);
  }
}

absl::Status DeadLetters::Write(const DeadLetter& letter) {
  // One at a time, so that the lines of large parts are not held side by side.
  sync::MutexLock lock(&mutex_);
  std::string line = FormatDeadLetter(clock_->Now(), letter);
  if (line.size() > max_file_bytes_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a part takes ", line.size(), " bytes of ",
                     max_file_bytes_, "; raise dead_letters.max_bytes"));
  }
  ASSIGN_OR_RETURN(int descriptor, OpenFile(file_));
  const absl::Cleanup closer = [&descriptor] { close(descriptor); };
  ASSIGN_OR_RETURN(uint64_t size, SizeOf(file_, descriptor));
  if (size + line.size() > max_file_bytes_) {
    if (std::rename(file_.c_str(), absl::StrCat(file_, ".1").c_str()) != 0) {
      return FileError(file_, "can't be renamed");
    }
    ASSIGN_OR_RETURN(const int fresh, OpenFile(file_));
    close(std::exchange(descriptor, fresh));
    size = 0;
  }
  if (EndsWithinALine(descriptor, size)) line.insert(0, "\n");
  if (files::WriteAll(descriptor, line) == line.size()) return absl::OkStatus();
  return FileError(file_, "can't be written");
}

void DeadLetters::NoteFailure(const absl::Status& why) {
  failed_.Increment();
  {
    sync::MutexLock lock(&mutex_);
    const absl::Time now = clock_->Now();
    if (now - warned_ < absl::Minutes(1) && now >= warned_) return;
    warned_ = now;
  }
  logging::Warn("a part that a store refused is not kept", {{"err", why}});
}

}  // namespace insula::ingest_gateway
