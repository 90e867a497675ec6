// An OpenSSL context that follows the files it is made of. For libs/http alone.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>

#include "absl/status/statusor.h"
#include "libs/http/tls.h"
#include "libs/metrics/metrics.h"
#include "libs/tls/followed_files.h"

namespace insula::http {

// Connections keep the context that they began with. When contexts change, what
// is shown of that, and what a look costs: libs/tls/followed_files.h.
// Thread-safe.
class TlsSource {
 public:
  using Context = std::shared_ptr<boost::asio::ssl::context>;

  // Nothing is read until Get(). `metrics` must outlive it. Instances of the
  // same files share their metrics.
  TlsSource(const ServerTls& tls, metrics::Registry* metrics);
  TlsSource(const ClientTls& tls, metrics::Registry* metrics);

  // The present context, or why there has never been one: INVALID_ARGUMENT
  // names the file.
  absl::StatusOr<Context> Get() { return files_.Get(); }

 private:
  tls::FollowedFiles<boost::asio::ssl::context> files_;
};

}  // namespace insula::http
