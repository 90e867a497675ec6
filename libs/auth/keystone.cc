#include "libs/auth/keystone.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "libs/auth/asked_tokens.h"
#include "libs/auth/digest.h"
#include "libs/auth/keystone_api.h"
#include "libs/auth/single_flight.h"
#include "libs/http/client.h"
#include "libs/http/url.h"
#include "libs/secret/secret_file.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/sync/mutex.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;

constexpr size_t kMaxAnswerBytes = 1 << 20;
constexpr size_t kMaxTokenBytes = 8192;
// A token of ours that ends so soon is replaced before it is refused.
constexpr absl::Duration kRenewBefore = absl::Minutes(2);

bool IsLoopback(absl::string_view host) {
  return host == "127.0.0.1" || host == "::1" || host == "localhost";
}

absl::StatusOr<http::Url> CheckedUrl(const KeystoneOptions& options) {
  absl::string_view text = absl::StripSuffix(options.url, "/");
  text = absl::StripSuffix(text, "/v3");
  ASSIGN_OR_RETURN(http::Url url, http::Url::Parse(text));
  if (absl::StrContains(url.target, '?')) {
    return absl::InvalidArgumentError("must have no query");
  }
  if (url.scheme == "https" ||
      (options.allow_loopback_http && IsLoopback(url.host))) {
    return url;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", url.ToString(), "' must be an https URL"));
}

http::ClientOptions ToClientOptions(const KeystoneOptions& options,
                                    const http::ProxyRules& proxy) {
  http::ClientOptions client;
  client.name = "keystone";
  client.max_response_bytes = kMaxAnswerBytes;
  client.max_connections_per_host = 16;
  client.tls = options.tls;
  client.proxy = proxy;
  return client;
}

// A header's value: what Keystone gives out as a token must not end the line.
bool IsToken(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxTokenBytes &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isgraph(c) != 0;
         });
}

bool IsOurs(const Credential& credential) {
  return (credential.scheme == "token" || credential.scheme == "bearer") &&
         IsToken(credential.text);
}

absl::Status Unavailable(absl::string_view why) {
  return absl::UnavailableError(
      absl::StrCat("tokens can't be checked at Keystone: ", why));
}

}  // namespace

absl::Status KeystoneOptions::Validate() const {
  RETURN_IF_ERROR(Annotate(CheckedUrl(*this).status(), "url"));
  if (user_name.empty() || user_domain.empty()) {
    return absl::InvalidArgumentError(
        "user_name: must name, with user_domain, a user who may validate "
        "tokens");
  }
  if (!project_name.empty() && project_domain.empty()) {
    return absl::InvalidArgumentError(
        "project_domain: must be set with project_name");
  }
  if (password_file.empty()) {
    return absl::InvalidArgumentError(
        "password_file: must name a file with the password of user_name");
  }
  // Longer would let revoked tokens in for longer than anybody expects.
  if (recheck_interval < absl::ZeroDuration() ||
      recheck_interval > absl::Minutes(5)) {
    return absl::InvalidArgumentError(
        "recheck_interval: must be at most 5m, revocation waits for it");
  }
  if (wrong_interval < absl::ZeroDuration() ||
      wrong_interval > absl::Minutes(1)) {
    return absl::InvalidArgumentError("wrong_interval: must be at most 1m");
  }
  if (timeout <= absl::ZeroDuration() || max_checks == 0 ||
      login_interval <= absl::ZeroDuration() ||
      source_failures.per_second <= 0 || source_failures.burst < 1) {
    return absl::InvalidArgumentError(
        "timeout, max_checks, login_interval and source_failures: must be more "
        "than nothing");
  }
  return absl::OkStatus();
}

class KeystoneVerifier::State {
 public:
  using Logins = SingleFlight<Secret>;

  State(KeystoneOptions options, http::Url url, Environment environment)
      : options_(std::move(options)),
        url_(std::move(url)),
        environment_(std::move(environment)),
        client_(ToClientOptions(options_, environment_.proxy),
                environment_.executor, environment_.metrics),
        password_(options_.password_file),
        tokens_(MakeTokens()),
        logins_(std::make_shared<Logins>(environment_.executor, 1)),
        good_logins_(LoginCounter("ok")),
        failed_logins_(LoginCounter("failed")) {}

  const KeystoneOptions& options() const { return options_; }

  static asio::awaitable<absl::StatusOr<Principal>> Verify(
      std::shared_ptr<State> self, Credential credential) {
    if (!IsOurs(credential)) {
      co_return self->tokens_->Refuse(
          "send a token of Keystone in header X-Auth-Token");
    }
    AskedTokens::Ask ask = [self](Secret token) {
      return Ask(self, std::move(token));
    };
    co_return co_await AskedTokens::Verify(self->tokens_, std::move(credential),
                                           std::move(ask));
  }

  std::optional<absl::StatusOr<Principal>> Known(const Credential& credential) {
    return tokens_->Known(credential);
  }

 private:
  using Answer = absl::StatusOr<http::Response>;
  struct OwnToken {
    Secret token;
    absl::Time renew_at = absl::InfinitePast();  // Wall-clock.
  };

  metrics::Counter& LoginCounter(const char* result) {
    return environment_.metrics->AddCounter(
        "insula_auth_keystone_logins_total",
        "Tokens that were asked of Keystone for the service itself.",
        {{"result", result}});
  }

  std::shared_ptr<AskedTokens> MakeTokens() const {
    AskedTokens::Options options;
    options.method = "keystone";
    options.good_ttl = options_.recheck_interval;
    options.wrong_ttl = options_.wrong_interval;
    options.max_tokens = options_.max_tokens;
    options.source_failures = options_.source_failures;
    options.timeout = options_.timeout;
    options.max_checks = options_.max_checks;
    AskedTokens::Environment environment;
    environment.executor = environment_.executor;
    environment.clock = environment_.clock;
    environment.steady = environment_.steady;
    environment.metrics = environment_.metrics;
    return std::make_shared<AskedTokens>(std::move(options),
                                         std::move(environment));
  }

  static asio::awaitable<absl::StatusOr<Principal>> Ask(
      std::shared_ptr<State> self, Secret token) {
    const absl::Time deadline = absl::Now() + self->options_.timeout;
    for (int attempt = 0;; ++attempt) {
      absl::StatusOr<Secret> own = co_await Own(self, deadline);
      if (!own.ok()) co_return Unavailable(own.status().message());
      http::ClientRequest request;
      request.url = self->url_.Join("v3/auth/tokens", "nocatalog");
      request.headers.Add("Accept", "application/json");
      request.headers.Add("X-Auth-Token", own->Reveal());
      request.headers.Add("X-Subject-Token", token.Reveal());
      const Answer answer =
          co_await self->client_.Send(std::move(request), deadline);
      if (!answer.ok()) co_return Unavailable(answer.status().message());
      // Of our own token. It may have been revoked; a new one shows that.
      if (answer->status == 401 && attempt == 0) {
        self->Forget(*own);
        continue;
      }
      co_return self->Judge(*answer);
    }
  }

  absl::StatusOr<Principal> Judge(const http::Response& answer) const {
    if (answer.status == 404) {
      return absl::UnauthenticatedError(
          "Keystone does not know the token: it is wrong, expired or revoked");
    }
    if (answer.status == 401 || answer.status == 403) {
      return Unavailable(absl::StrCat(
          "it answers ", answer.status, ", user '", options_.user_name,
          "' needs a role that may validate tokens, such as service"));
    }
    if (answer.status != 200) {
      return Unavailable(absl::StrCat("it answers ", answer.status));
    }
    absl::StatusOr<Principal> principal =
        ReadKeystoneToken(answer.body, options_.url, options_.accepted_roles,
                          environment_.clock->Now());
    if (absl::IsInvalidArgument(principal.status())) {
      return Unavailable(principal.status().message());
    }
    return principal;
  }

  // The token that we show Keystone ourselves.
  static asio::awaitable<absl::StatusOr<Secret>> Own(
      std::shared_ptr<State> self, absl::Time deadline) {
    {
      const sync::MutexLock lock(&self->mutex_);
      if (!self->own_.token.empty() &&
          self->environment_.clock->Now() < self->own_.renew_at) {
        co_return self->own_.token;
      }
      const absl::Time now = self->environment_.steady->Now();
      if (now < self->next_login_) co_return self->login_problem_;
    }
    Logins::Work work = [self] { return LogIn(self); };
    const Digest only = {};  // There is one such token.
    co_return co_await Logins::Run(self->logins_, only, std::move(work),
                                   deadline);
  }

  // Unless there is a newer one already.
  void Forget(const Secret& token) {
    const sync::MutexLock lock(&mutex_);
    if (own_.token == token) own_ = OwnToken();
  }

  static asio::awaitable<absl::StatusOr<Secret>> LogIn(
      std::shared_ptr<State> self) {
    absl::StatusOr<OwnToken> own = co_await AskForToken(self);
    (own.ok() ? self->good_logins_ : self->failed_logins_).Increment();
    const sync::MutexLock lock(&self->mutex_);
    if (!own.ok()) {
      self->login_problem_ = own.status();
      self->next_login_ =
          self->environment_.steady->Now() + self->options_.login_interval;
      co_return own.status();
    }
    self->own_ = *own;
    co_return self->own_.token;
  }

  static asio::awaitable<absl::StatusOr<OwnToken>> AskForToken(
      std::shared_ptr<State> self) {
    absl::StatusOr<Secret> password = absl::UnavailableError("not read");
    const std::function<absl::Status()> read = [&] {
      password = self->password_.Get(absl::Now());
      return absl::OkStatus();
    };
    if (self->environment_.run_blocking != nullptr) {
      CO_RETURN_IF_ERROR(co_await self->environment_.run_blocking(read));
    } else {
      CO_RETURN_IF_ERROR(read());
    }
    if (!password.ok()) co_return password.status();
    KeystoneLogin login;
    login.user_name = self->options_.user_name;
    login.user_domain = self->options_.user_domain;
    login.project_name = self->options_.project_name;
    login.project_domain = self->options_.project_domain;
    http::ClientRequest request;
    request.method = "POST";
    request.url = self->url_.Join("v3/auth/tokens", "nocatalog");
    request.headers.Add("Accept", "application/json");
    request.headers.Add("Content-Type", "application/json");
    request.body = KeystoneLoginBody(login, *password);
    const absl::Time deadline = absl::Now() + self->options_.timeout;
    const Answer answer =
        co_await self->client_.Send(std::move(request), deadline);
    if (!answer.ok()) co_return answer.status();
    co_return self->ReadOwnToken(*answer);
  }

  absl::StatusOr<OwnToken> ReadOwnToken(const http::Response& answer) const {
    if (answer.status == 401) {
      return absl::UnavailableError(
          absl::StrCat("it refuses the password of user '", options_.user_name,
                       "' in ", options_.password_file));
    }
    if (answer.status != 201) {
      return absl::UnavailableError(
          absl::StrCat("it answers ", answer.status, " when user '",
                       options_.user_name, "' logs in"));
    }
    const std::optional<absl::string_view> token =
        answer.headers.Get("X-Subject-Token");
    if (!token.has_value() || !IsToken(*token)) {
      return absl::UnavailableError("it gives no token out");
    }
    ASSIGN_OR_RETURN(const absl::Time expires, KeystoneExpiry(answer.body));
    OwnToken own;
    own.token = Secret(std::string(*token));
    const absl::Time now = environment_.clock->Now();
    // Of a token with a short life, the last half.
    own.renew_at = std::max(expires - kRenewBefore, now + (expires - now) / 2);
    return own;
  }

  const KeystoneOptions options_;
  const http::Url url_;
  const Environment environment_;
  http::Client client_;
  SecretFile password_;
  const std::shared_ptr<AskedTokens> tokens_;
  const std::shared_ptr<Logins> logins_;

  sync::Mutex mutex_;
  OwnToken own_ ABSL_GUARDED_BY(mutex_);
  absl::Status login_problem_ ABSL_GUARDED_BY(mutex_);
  absl::Time next_login_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();

  metrics::Counter& good_logins_;
  metrics::Counter& failed_logins_;
};

KeystoneVerifier::KeystoneVerifier(std::shared_ptr<State> state)
    : state_(std::move(state)) {}
KeystoneVerifier::~KeystoneVerifier() = default;

absl::StatusOr<std::unique_ptr<KeystoneVerifier>> KeystoneVerifier::Make(
    KeystoneOptions options, Environment environment) {
  RETURN_IF_ERROR(options.Validate());
  ASSIGN_OR_RETURN(http::Url url, CheckedUrl(options));
  return std::unique_ptr<KeystoneVerifier>(
      new KeystoneVerifier(std::make_shared<State>(
          std::move(options), std::move(url), std::move(environment))));
}

asio::awaitable<absl::StatusOr<Principal>> KeystoneVerifier::Verify(
    Credential credential) {
  return State::Verify(state_, std::move(credential));
}

std::optional<absl::StatusOr<Principal>> KeystoneVerifier::Known(
    const Credential& credential) {
  if (!IsOurs(credential)) return std::nullopt;
  return state_->Known(credential);
}

std::string KeystoneVerifier::Challenge() const {
  return absl::StrCat("Keystone uri=\"", state_->options().url, "\"");
}

}  // namespace insula::auth
