// Puts the configured credentials on a client's requests.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/authorizer.h"
#include "libs/http/client.h"
#include "libs/metrics/metrics.h"
#include "libs/outbound/credential_config.h"
#include "libs/outbound/watched_secret.h"
#include "libs/runtime/process.h"
#include "libs/time/clock.h"

namespace insula::outbound {

// What an Outfit needs.
struct Context {
  boost::asio::any_io_executor executor;
  RunBlocking run_blocking;
  const Clock* clock;          // Wall-clock time. Outlives the client.
  const Clock* steady;         // Never jumps. Outlives the client.
  metrics::Registry* metrics;  // Outlives the client.
};

// That of a process, which outlives the client.
Context ContextOf(runtime::Process* process);

// `options` with what goes with requests to the outside: `credentials`, all of
// them valid, with the TLS settings of their hosts, and the proxies that the
// environment names. INVALID_ARGUMENT names a variable of it that makes no
// sense.
//
// A request whose URL has a credential is never sent without: if the credential
// can't be had, or a header that it sets is there already, the request fails
// with UNAVAILABLE, and the message names the file or the token endpoint. After
// a 401 files are read again, and a token is asked for again; if that changes
// what is shown, the request is sent once more.
//
// Metrics: insula_outbound_credential_failures_total{client}, and those of
// TokenSource.
absl::StatusOr<http::ClientOptions> Outfit(
    http::ClientOptions options,
    const std::vector<CredentialConfig>& credentials, Context context);

// The part of Outfit() that puts on headers. `options` is the client's, for
// requests for tokens.
std::shared_ptr<http::Authorizer> MakeAuthorizer(
    const std::vector<CredentialConfig>& credentials,
    const http::ClientOptions& options, Context context);

}  // namespace insula::outbound
