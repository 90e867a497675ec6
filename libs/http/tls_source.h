// An OpenSSL context that follows the files it is made of. For libs/http alone.
#pragma once

#include <sys/stat.h>

#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/tls.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"

namespace insula::http {

// Looks at the files when a context is asked for or metrics are collected, at
// most once in kLookInterval. When they have changed and come to rest it makes
// a new one, which serves from then on if the certificate belongs to the key,
// each certificate of the chain is signed by the next, and all are valid now;
// otherwise the old one serves on, and that is logged and shown. Connections
// keep the context that they began with. Thread-safe.
//
// A look costs a stat() of each file, and a change some milliseconds, on the
// thread that asks: keep the files on a local file system.
//
// Metrics, of those with files, `file` being the certificate's, or the CA's if
// there is none: insula_tls_reloads_total{file,result="ok|failed"},
// insula_tls_reload_failing{file},
// insula_tls_certificate_expiry_timestamp_seconds{file}.
class TlsSource {
 public:
  using Context = std::shared_ptr<boost::asio::ssl::context>;
  static constexpr absl::Duration kLookInterval = absl::Seconds(1);

  // Nothing is read until Get(). `metrics` must outlive it. Instances of the
  // same files share their metrics.
  TlsSource(const ServerTls& tls, metrics::Registry* metrics);
  TlsSource(const ClientTls& tls, metrics::Registry* metrics);

  // The present context, or why there has never been one: INVALID_ARGUMENT
  // names the file.
  absl::StatusOr<Context> Get() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Stamp;
  struct Metrics {
    metrics::Counter* good_reloads;
    metrics::Counter* failed_reloads;
    metrics::Gauge* failing;
  };

  TlsSource(std::function<absl::StatusOr<Context>()> make,
            std::vector<std::string> files, std::string cert_file,
            metrics::Registry* metrics);

  std::vector<Stamp> StampsOfFiles() const;
  void LookIfDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Look() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Context> MakeChecked() const;

  const std::function<absl::StatusOr<Context>()> make_;
  const std::vector<std::string> files_;
  const std::string cert_file_;  // Empty: no own certificate.
  metrics::Registry& registry_;
  Metrics metrics_ = {};

  sync::Mutex mutex_;
  absl::StatusOr<Context> context_ ABSL_GUARDED_BY(mutex_) =
      absl::UnknownError("not loaded");
  // Of the files as they were last read, whether they could be used or not.
  std::vector<Stamp> stamps_ ABSL_GUARDED_BY(mutex_);
  absl::Time next_look_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool asked_for_ ABSL_GUARDED_BY(mutex_) = false;
  metrics::CollectHook collect_;  // Ends first.
};

// A file as stat() shows it. All zero: it can't be seen.
struct TlsSource::Stamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  absl::Time modified;
  absl::Time changed;
  friend bool operator==(const Stamp&, const Stamp&) = default;
};

}  // namespace insula::http
