#include "libs/auth/oidc_keys.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "libs/auth/strict_json.h"
#include "libs/http/client.h"
#include "libs/http/url.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/sync/mutex.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;
using Strand = asio::strand<asio::any_io_executor>;

constexpr absl::string_view kDiscoveryPath = ".well-known/openid-configuration";

bool IsLoopback(absl::string_view host) {
  return host == "127.0.0.1" || host == "::1" || host == "localhost";
}

absl::StatusOr<http::Url> CheckedUrl(absl::string_view text,
                                     bool allow_loopback_http) {
  ASSIGN_OR_RETURN(http::Url url, http::Url::Parse(text));
  if (url.scheme == "https" || (allow_loopback_http && IsLoopback(url.host))) {
    return url;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", url.ToString(), "' must be an https URL"));
}

http::ClientOptions ToClientOptions(const OidcKeysOptions& options) {
  http::ClientOptions client;
  client.name = "oidc";
  client.max_response_bytes = JwkSet::kMaxBytes;
  client.max_connections_per_host = 2;
  client.tls = options.tls;
  client.proxy = options.proxy;
  return client;
}

}  // namespace

absl::Status OidcKeysOptions::Validate() const {
  const absl::StatusOr<http::Url> url = CheckedUrl(issuer, allow_loopback_http);
  if (!url.ok()) return Annotate(url.status(), "issuer");
  if (absl::StrContains(url->target, '?')) {
    return absl::InvalidArgumentError("issuer: must have no query");
  }
  if (!jwks_url.empty()) {
    RETURN_IF_ERROR(Annotate(CheckedUrl(jwks_url, allow_loopback_http).status(),
                             "jwks_url"));
  }
  if (refresh_interval < absl::Seconds(1) ||
      retry_interval < absl::Milliseconds(1) || max_age < refresh_interval ||
      fetch_timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        "refresh_interval must be 1 s or more and at most max_age, and "
        "retry_interval and fetch_timeout more than nothing");
  }
  return absl::OkStatus();
}

class OidcKeys::State : public std::enable_shared_from_this<State> {
 public:
  State(OidcKeysOptions options, asio::any_io_executor executor,
        const Clock* steady, metrics::Registry* metrics)
      : options_(std::move(options)),
        strand_(asio::make_strand(executor)),
        steady_(*steady),
        client_(ToClientOptions(options_), executor, metrics),
        next_fetch_(strand_),
        fetched_(strand_, asio::steady_timer::time_point::max()),
        good_fetches_(Fetches(metrics, "ok")),
        failed_fetches_(Fetches(metrics, "failed")),
        key_count_(metrics->AddGauge("insula_auth_keys",
                                     "Keys of the issuer that are in use.",
                                     {{"issuer", options_.issuer}})),
        fetched_timestamp_(
            metrics->AddGauge("insula_auth_keys_fetched_timestamp_seconds",
                              "When the keys of the issuer were last fetched.",
                              {{"issuer", options_.issuer}})) {}

  void Start() {
    asio::co_spawn(strand_, Run(shared_from_this()), asio::detached);
  }
  void Stop() {
    asio::post(strand_, [self = shared_from_this()] {
      self->stopping_ = true;
      self->next_fetch_.cancel();
      self->fetched_.cancel();
    });
  }

  static asio::awaitable<absl::StatusOr<std::shared_ptr<const Jwk>>> Find(
      std::shared_ptr<State> self, std::optional<std::string> kid,
      JwtAlgorithm algorithm) {
    if (std::shared_ptr<const Jwk> key = self->Known(kid, algorithm)) {
      co_return key;
    }
    // On the strand, and back.
    co_await asio::co_spawn(self->strand_, FetchOnce(self),
                            asio::use_awaitable);
    if (std::shared_ptr<const Jwk> key = self->Known(kid, algorithm)) {
      co_return key;
    }
    co_return self->WhyNot();
  }

 private:
  struct Fetched {
    std::shared_ptr<const JwkSet> keys;  // Null: never.
    absl::Time at;                       // Steady.
    absl::Status problem;                // Of the last fetch.
  };

  metrics::Counter& Fetches(metrics::Registry* metrics, const char* result) {
    return metrics->AddCounter(
        "insula_auth_key_fetches_total", "Fetches of an issuer's keys.",
        {{"issuer", options_.issuer}, {"result", result}});
  }

  Fetched Current() const {
    const sync::MutexLock lock(&mutex_);
    return current_;
  }

  bool IsFresh(const Fetched& current) const {
    return current.keys != nullptr &&
           steady_.Now() - current.at <= options_.max_age;
  }

  std::shared_ptr<const Jwk> Known(const std::optional<std::string>& kid,
                                   JwtAlgorithm algorithm) const {
    Fetched current = Current();
    if (!IsFresh(current)) return nullptr;
    const Jwk* key = current.keys->Find(kid, algorithm);
    if (key == nullptr) return nullptr;
    return std::shared_ptr<const Jwk>(std::move(current.keys), key);
  }

  absl::Status WhyNot() const {
    const Fetched current = Current();
    if (IsFresh(current)) {
      return absl::UnauthenticatedError(
          "the token is signed by a key that its issuer does not have");
    }
    return absl::UnavailableError(absl::StrCat(
        "the keys of issuer ", options_.issuer, " can't be had: ",
        current.problem.ok() ? "they are too old" : current.problem.message()));
  }

  static asio::awaitable<void> Run(std::shared_ptr<State> self) {
    while (!self->stopping_) {
      co_await FetchOnce(self);
      if (self->stopping_) break;
      const bool good = self->Current().problem.ok();
      self->next_fetch_.expires_after(
          absl::ToChronoNanoseconds(good ? self->options_.refresh_interval
                                         : self->options_.retry_interval));
      co_await self->next_fetch_.async_wait(
          asio::as_tuple(asio::use_awaitable));
    }
  }

  // Fetches, or waits for the fetch under way, or does nothing if the last one
  // was just now.
  static asio::awaitable<void> FetchOnce(std::shared_ptr<State> self) {
    if (self->fetching_) {
      co_await self->fetched_.async_wait(asio::as_tuple(asio::use_awaitable));
      co_return;
    }
    const absl::Time now = self->steady_.Now();
    if (self->stopping_ ||
        now - self->last_start_ < self->options_.retry_interval) {
      co_return;
    }
    self->last_start_ = now;
    self->fetching_ = true;
    absl::StatusOr<JwkSet> keys = co_await self->Fetch();
    self->Take(std::move(keys));
    self->fetching_ = false;
    self->fetched_.cancel();  // Wakes all who wait.
  }

  void Take(absl::StatusOr<JwkSet> keys) {
    if (keys.ok() && keys->size() == 0) {
      keys = absl::UnavailableError(
          absl::StrCat("none of its ", keys->skipped(), " keys is usable"));
    }
    (keys.ok() ? good_fetches_ : failed_fetches_).Increment();
    if (keys.ok()) {
      key_count_.Set(static_cast<double>(keys->size()));
      fetched_timestamp_.Set(
          absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
    }
    const sync::MutexLock lock(&mutex_);
    current_.problem = keys.status();
    if (!keys.ok()) return;
    current_.keys = std::make_shared<const JwkSet>(*std::move(keys));
    current_.at = steady_.Now();
  }

  asio::awaitable<absl::StatusOr<JwkSet>> Fetch() {
    const absl::Time deadline = absl::Now() + options_.fetch_timeout;
    std::string url = options_.jwks_url;
    if (url.empty()) {
      absl::StatusOr<std::string> discovered = co_await Discover(deadline);
      if (!discovered.ok()) co_return discovered.status();
      url = *std::move(discovered);
    }
    const absl::StatusOr<std::string> body =
        co_await Get(std::move(url), deadline);
    if (!body.ok()) co_return body.status();
    co_return JwkSet::Parse(*body);
  }

  asio::awaitable<absl::StatusOr<std::string>> Discover(absl::Time deadline) {
    std::string url = absl::StrCat(absl::StripSuffix(options_.issuer, "/"), "/",
                                   kDiscoveryPath);
    const absl::StatusOr<std::string> body =
        co_await Get(std::move(url), deadline);
    if (!body.ok()) co_return body.status();
    const absl::StatusOr<nlohmann::json> document = ParseStrictObject(*body);
    if (!document.ok()) {
      co_return Annotate(document.status(), "its discovery document");
    }
    const auto issuer = document->find("issuer");
    if (issuer == document->end() || *issuer != options_.issuer) {
      co_return absl::FailedPreconditionError(
          "its discovery document is that of another issuer");
    }
    const auto jwks = document->find("jwks_uri");
    if (jwks == document->end() || !jwks->is_string()) {
      co_return absl::FailedPreconditionError(
          "its discovery document has no jwks_uri");
    }
    co_return jwks->get<std::string>();
  }

  asio::awaitable<absl::StatusOr<std::string>> Get(std::string text,
                                                   absl::Time deadline) {
    absl::StatusOr<http::Url> url =
        CheckedUrl(text, options_.allow_loopback_http);
    if (!url.ok()) co_return url.status();
    http::ClientRequest request;
    request.url = *std::move(url);
    request.headers.Add("Accept", "application/json");
    absl::StatusOr<http::Response> response =
        co_await client_.Send(std::move(request), deadline);
    if (!response.ok()) co_return Annotate(response.status(), text);
    if (response->status != 200) {
      co_return absl::UnavailableError(
          absl::StrCat(text, " answers ", response->status));
    }
    co_return std::move(response->body);
  }

  const OidcKeysOptions options_;
  const Strand strand_;
  const Clock& steady_;
  http::Client client_;

  // On the strand.
  asio::steady_timer next_fetch_;
  asio::steady_timer fetched_;  // Cancelled at the end of each fetch.
  absl::Time last_start_ = absl::InfinitePast();
  bool fetching_ = false;
  bool stopping_ = false;

  mutable sync::Mutex mutex_;
  Fetched current_ ABSL_GUARDED_BY(mutex_);

  metrics::Counter& good_fetches_;
  metrics::Counter& failed_fetches_;
  metrics::Gauge& key_count_;
  metrics::Gauge& fetched_timestamp_;
};

OidcKeys::OidcKeys(OidcKeysOptions options, asio::any_io_executor executor,
                   const Clock* steady, metrics::Registry* metrics)
    : state_(std::make_shared<State>(std::move(options), std::move(executor),
                                     steady, metrics)) {
  state_->Start();
}

OidcKeys::~OidcKeys() { state_->Stop(); }

asio::awaitable<absl::StatusOr<std::shared_ptr<const Jwk>>> OidcKeys::Find(
    std::optional<std::string> kid, JwtAlgorithm algorithm) {
  return State::Find(state_, std::move(kid), algorithm);
}

}  // namespace insula::auth
