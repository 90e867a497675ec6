#include "libs/tls/followed_files.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"

namespace insula::tls::internal {
namespace {

// Who writes several files needs a moment from the one to the other.
constexpr absl::Duration kRest = absl::Milliseconds(100);

std::vector<std::string> NotEmpty(std::vector<std::string> files) {
  files.erase(std::remove(files.begin(), files.end(), ""), files.end());
  return files;
}

}  // namespace

FileFollower::FileFollower(FollowedFilesOptions options,
                           std::function<absl::StatusOr<Made>()> make,
                           metrics::Registry* metrics)
    : make_(std::move(make)),
      files_(NotEmpty(std::move(options.files))),
      cert_file_(std::move(options.cert_file)),
      crl_file_(std::move(options.crl_file)),
      registry_(*metrics) {
  if (files_.empty()) return;
  const std::string& file = files_[0];
  auto reloads = [metrics, &file](const char* result) {
    return &metrics->AddCounter(
        "insula_tls_reloads_total",
        "Times that changed certificate files were read.",
        {{"file", file}, {"result", result}});
  };
  metrics_.good_reloads = reloads("ok");
  metrics_.failed_reloads = reloads("failed");
  metrics_.failing = &metrics->AddGauge(
      "insula_tls_reload_failing",
      "1 while the files can't be used and those before serve on.",
      {{"file", file}});
  collect_ = metrics->OnCollect([this] {
    const sync::MutexLock lock(&mutex_);
    if (asked_for_) LookIfDue();
  });
}

std::vector<FileFollower::Stamp> FileFollower::StampsOfFiles() const {
  std::vector<Stamp> stamps;
  for (const std::string& file : files_) {
    struct stat info = {};
    Stamp& stamp = stamps.emplace_back();
    if (stat(file.c_str(), &info) != 0) continue;
    stamp.device = info.st_dev;
    stamp.inode = info.st_ino;
    stamp.size = info.st_size;
    stamp.modified = absl::TimeFromTimespec(info.st_mtim);
    stamp.changed = absl::TimeFromTimespec(info.st_ctim);
  }
  return stamps;
}

absl::StatusOr<FileFollower::Made> FileFollower::MakeChecked() const {
  ASSIGN_OR_RETURN(Made made, make_());
  RETURN_IF_ERROR(CheckChain(made.chain));
  RETURN_IF_ERROR(CheckDates(made.crls));
  return made;
}

void FileFollower::ShowEnds(const Made& made) {
  const absl::Time end = EndOf(made.chain);
  if (!cert_file_.empty() && end != absl::InfiniteFuture()) {
    registry_
        .AddGauge("insula_tls_certificate_expiry_timestamp_seconds",
                  "When the certificate ends, in seconds since 1970.",
                  {{"file", cert_file_}})
        .Set(static_cast<double>(absl::ToUnixSeconds(end)));
  }
  const absl::Time crl_end = EndOf(made.crls);
  if (!crl_file_.empty() && crl_end != absl::InfiniteFuture()) {
    registry_
        .AddGauge("insula_tls_crl_expiry_timestamp_seconds",
                  "When the first CRL of the file ends, in seconds since 1970.",
                  {{"file", crl_file_}})
        .Set(static_cast<double>(absl::ToUnixSeconds(crl_end)));
  }
}

void FileFollower::Look() {
  const bool first = !value_.ok();
  std::vector<Stamp> stamps = StampsOfFiles();
  if (!first && stamps == stamps_) return;
  const absl::Time now = absl::Now();
  const bool at_rest =
      std::all_of(stamps.begin(), stamps.end(), [now](const Stamp& stamp) {
        return stamp.changed <= now - kRest || stamp.changed > now;
      });
  if (!first && !at_rest) return;

  // What a service is started with is the operator's: it may have ended, and
  // then peers say so.
  absl::StatusOr<Made> made = first ? make_() : MakeChecked();
  if (!first && StampsOfFiles() != stamps)
    return;  // Changed while it was read.
  stamps_ = std::move(stamps);
  if (made.ok()) {
    value_ = std::move(made->value);
    ShowEnds(*made);
  } else if (first) {
    value_ = made.status();
    return;
  } else {
    logging::Warn("TLS files can't be used, those before serve on",
                  {{"file", files_[0]}, {"error", made.status().message()}});
  }
  if (first || files_.empty()) return;
  (made.ok() ? metrics_.good_reloads : metrics_.failed_reloads)->Increment();
  metrics_.failing->Set(made.ok() ? 0 : 1);
}

void FileFollower::LookIfDue() {
  const absl::Time now = absl::Now();
  // A clock that was set back does not stop the looks.
  if (now < next_look_ && next_look_ <= now + kLookInterval) return;
  next_look_ = now + kLookInterval;
  Look();
}

absl::StatusOr<std::shared_ptr<void>> FileFollower::Get() {
  const sync::MutexLock lock(&mutex_);
  asked_for_ = true;
  LookIfDue();
  return value_;
}

}  // namespace insula::tls::internal
