// Follows certificate files: what is made of them is made anew when they have
// changed, if it would serve.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"
#include "libs/tls/chain.h"
#include "libs/tls/crl.h"

namespace insula::tls {

// How often files are looked at.
inline constexpr absl::Duration kLookInterval = absl::Seconds(1);

struct FollowedFilesOptions {
  // Empty names are left out. The first names them all in metrics and logs.
  std::vector<std::string> files;
  std::string cert_file;  // Of the own certificate. Empty: there is none.
  // Of peers that are revoked. Empty: there is none.
  std::string crl_file = {};
};

namespace internal {

// FollowedFiles without the type of what is made.
class FileFollower {
 public:
  struct Made {
    std::shared_ptr<void> value;
    Chain chain;
    Crls crls;
  };

  FileFollower(FollowedFilesOptions options,
               std::function<absl::StatusOr<Made>()> make,
               metrics::Registry* metrics);

  absl::StatusOr<std::shared_ptr<void>> Get() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // A file as stat() shows it. All zero: it can't be seen.
  struct Stamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    absl::Time modified;
    absl::Time changed;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  struct Metrics {
    metrics::Counter* good_reloads;
    metrics::Counter* failed_reloads;
    metrics::Gauge* failing;
  };

  std::vector<Stamp> StampsOfFiles() const;
  absl::StatusOr<Made> MakeChecked() const;
  void ShowEnds(const Made& made);
  void LookIfDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Look() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::function<absl::StatusOr<Made>()> make_;
  const std::vector<std::string> files_;
  const std::string cert_file_;
  const std::string crl_file_;
  metrics::Registry& registry_;
  Metrics metrics_ = {};

  sync::Mutex mutex_;
  absl::StatusOr<std::shared_ptr<void>> value_ ABSL_GUARDED_BY(mutex_) =
      absl::UnknownError("not loaded");
  // Of the files as they were last read, whether they could be used or not.
  std::vector<Stamp> stamps_ ABSL_GUARDED_BY(mutex_);
  absl::Time next_look_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool asked_for_ ABSL_GUARDED_BY(mutex_) = false;
  metrics::CollectHook collect_;  // Ends first.
};

}  // namespace internal

// Looks at the files when the value is asked for or metrics are collected, at
// most once in kLookInterval. When they have changed and come to rest it makes
// a new value, which serves from then on if it can be made, each certificate of
// its chain is signed by the next, and all are valid now, CRLs as well;
// otherwise the old one serves on, and that is logged and shown. Who holds a
// value keeps it. Thread-safe.
//
// A look costs a stat() of each file, and a change some milliseconds, on the
// thread that asks: keep the files on a local file system.
//
// Metrics, `file` being the first: insula_tls_reloads_total{file,result=
// "ok|failed"}, insula_tls_reload_failing{file}, of the own certificate
// insula_tls_certificate_expiry_timestamp_seconds{file}, and of the CRLs
// insula_tls_crl_expiry_timestamp_seconds{file}.
template <typename T>
class FollowedFiles {
 public:
  struct Made {
    std::shared_ptr<T> value;
    Chain chain;  // With the own certificate, whose end is shown.
    Crls crls;    // The end of the first is shown.
  };
  // Reads the files, and checks that they belong together. What it makes first
  // serves even if a certificate of it has ended: peers say so. With a CRL that
  // has ended nobody gets in.
  using MakeFunction = std::function<absl::StatusOr<Made>()>;

  // Nothing is read until Get(). `metrics` must outlive it. Instances of the
  // same files share their metrics.
  FollowedFiles(FollowedFilesOptions options, MakeFunction make,
                metrics::Registry* metrics)
      : follower_(
            std::move(options),
            [make = std::move(
                 make)]() -> absl::StatusOr<internal::FileFollower::Made> {
              absl::StatusOr<Made> made = make();
              if (!made.ok()) return made.status();
              return internal::FileFollower::Made{std::move(made->value),
                                                  std::move(made->chain),
                                                  std::move(made->crls)};
            },
            metrics) {}

  // The present value, or why there has never been one.
  absl::StatusOr<std::shared_ptr<T>> Get() {
    absl::StatusOr<std::shared_ptr<void>> value = follower_.Get();
    if (!value.ok()) return value.status();
    return std::static_pointer_cast<T>(*std::move(value));
  }

 private:
  internal::FileFollower follower_;
};

}  // namespace insula::tls
