// Access tokens of OAuth 2.0, by client credentials.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/auth/single_flight.h"
#include "libs/http/client.h"
#include "libs/metrics/metrics.h"
#include "libs/outbound/credential_config.h"
#include "libs/outbound/watched_secret.h"
#include "libs/secret/secret.h"
#include "libs/sync/mutex.h"
#include "libs/time/backoff.h"
#include "libs/time/clock.h"

namespace insula::outbound {

// What a token endpoint gave.
struct AccessToken {
  Secret token;
  absl::Duration lifetime;
};

// Reads the answer of a token endpoint. UNAVAILABLE says what is wrong with it,
// and shows no more of it than the error's code, if that is one.
absl::StatusOr<AccessToken> ReadTokenAnswer(const http::Response& answer);

// Asks for a token when one is wanted, and again shortly before it ends; all
// who want one meanwhile wait for the same answer. An endpoint that fails is
// left alone for a while, 1 s to 30 s, and those who want a token hear why.
// Thread-safe. Owned by a shared_ptr, which a request under way keeps.
//
// Metrics: insula_outbound_token_requests_total{result="ok|failed"}.
class TokenSource : public std::enable_shared_from_this<TokenSource> {
 public:
  // A refused token is given back for another at most so often.
  static constexpr absl::Duration kRenewInterval = absl::Seconds(10);
  // Longest wait for the endpoint.
  static constexpr absl::Duration kTimeout = absl::Seconds(10);
  // Of a token that does not say how long it lasts.
  static constexpr absl::Duration kUsualLifetime = absl::Minutes(5);

  struct Context {
    boost::asio::any_io_executor executor;
    RunBlocking run_blocking;
    const Clock* clock;          // Of files. Outlives the result.
    const Clock* steady;         // Of tokens. Outlives the result.
    metrics::Registry* metrics;  // Outlives the result.
    // Refused networks and proxy of the endpoint are those of this.
    http::ClientOptions client;
  };

  // `config` is enabled and valid.
  TokenSource(const OAuth2Config& config, Context context);

  // A token that is valid for a while. UNAVAILABLE names the endpoint.
  boost::asio::awaitable<absl::StatusOr<Secret>> Get(absl::Time deadline);

  // A host has refused `token`. Whether Get() may give another one.
  bool Renew(const Secret& token);

 private:
  using Flight = auth::SingleFlight<Secret>;

  static boost::asio::awaitable<absl::StatusOr<Secret>> Fetch(
      std::shared_ptr<TokenSource> self);
  boost::asio::awaitable<absl::StatusOr<AccessToken>> Ask();
  absl::StatusOr<Secret> Note(absl::StatusOr<AccessToken> token);

  const OAuth2Config config_;
  const http::Url url_;
  const http::Params params_;
  const Clock& steady_;
  metrics::Counter& good_requests_;
  metrics::Counter& failed_requests_;
  WatchedSecret client_secret_;
  http::Client client_;
  const std::shared_ptr<Flight> flights_;

  sync::Mutex mutex_;
  Secret token_ ABSL_GUARDED_BY(mutex_);
  absl::Time refresh_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time ends_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time renewed_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time quiet_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  Backoff backoff_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::outbound
