#include "libs/auth/basic.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/auth/bcrypt.h"
#include "libs/auth/digest.h"
#include "libs/auth/digest_cache.h"
#include "libs/auth/single_flight.h"
#include "libs/auth/verifier_metrics.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;

struct Login {
  std::string user;
  Secret password;
};

absl::Status Malformed() {
  return absl::UnauthenticatedError(
      "the credential must be 'Basic ' and base64 of USER:PASSWORD");
}

absl::Status WrongLogin() {
  return absl::UnauthenticatedError("user or password is wrong");
}

absl::StatusOr<Login> ReadLogin(const Credential& credential) {
  if (credential.scheme != "basic") return Malformed();
  std::string text;
  if (!absl::Base64Unescape(credential.text, &text)) return Malformed();
  const size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0) {
    WipeString(&text);
    return Malformed();
  }
  Login login;
  login.user = text.substr(0, colon);
  login.password = Secret(text.substr(colon + 1));
  WipeString(&text);
  return login;
}

absl::Status CheckFailures(absl::string_view field,
                           const FailureLimiter::Options& options) {
  if (options.per_second > 0 && options.burst >= 1 && options.max_keys > 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(field,
                   ": per_second must be above 0, burst and max_keys at "
                   "least 1"));
}

}  // namespace

absl::Status BasicOptions::Validate() const {
  if (passwords.file.empty()) {
    return absl::InvalidArgumentError(
        "file: must name the file of users and hashes, as htpasswd -B makes "
        "it");
  }
  if (passwords.min_cost < 4 || passwords.max_cost > 16 ||
      passwords.min_cost > passwords.max_cost) {
    return absl::InvalidArgumentError(
        "min_cost and max_cost: must be from 4 to 16, in that order");
  }
  if (!std::all_of(realm.begin(), realm.end(), [](unsigned char c) {
        return absl::ascii_isprint(c) && c != '"' && c != '\\';
      })) {
    return absl::InvalidArgumentError(
        "realm: must be printable ASCII without '\"' and '\\'");
  }
  if (success_ttl < absl::ZeroDuration() || success_ttl > absl::Minutes(10) ||
      timeout <= absl::ZeroDuration() || max_checks == 0) {
    return absl::InvalidArgumentError(
        "success_ttl: must be at most 10m; timeout and max_checks: more than "
        "nothing");
  }
  RETURN_IF_ERROR(CheckFailures("user_failures", user_failures));
  return CheckFailures("source_failures", source_failures);
}

class BasicVerifier::State {
 public:
  using Flights = SingleFlight<Principal>;

  State(BasicOptions options, Environment environment)
      : options_(std::move(options)),
        environment_(std::move(environment)),
        key_(RandomKey()),
        passwords_(options_.passwords),
        successes_(options_.max_successes),
        by_user_(options_.user_failures),
        by_source_(options_.source_failures),
        flights_(std::make_shared<Flights>(environment_.executor,
                                           options_.max_checks)),
        metrics_(environment_.metrics, "basic") {}

  absl::Status Load() { return passwords_.Refresh(absl::Now()); }
  const BasicOptions& options() const { return options_; }

  static asio::awaitable<absl::StatusOr<Principal>> Verify(
      std::shared_ptr<State> self, Credential credential) {
    absl::StatusOr<Login> login = ReadLogin(credential);
    if (!login.ok()) {
      self->metrics_.Count(login.status());
      co_return login.status();
    }
    if (self->WasRight(*login)) {
      self->metrics_.Cached();
      co_return self->PrincipalOf(*login);
    }
    // Of one source: what another one tries is its own attempt.
    const Digest key = KeyedDigest(self->key_)
                           .Add(credential.peer_address)
                           .Add(login->user)
                           .Add(login->password.Reveal())
                           .Finish();
    Flights::Work work = [self, login = *login,
                          source = credential.peer_address] {
      return Check(self, login, source);
    };
    const absl::Time deadline =
        std::min(credential.deadline, absl::Now() + self->options_.timeout);
    absl::StatusOr<Principal> result =
        co_await Flights::Run(self->flights_, key, std::move(work), deadline);
    self->metrics_.Count(result.status());
    co_return result;
  }

  std::optional<absl::StatusOr<Principal>> Known(const Credential& credential) {
    const absl::StatusOr<Login> login = ReadLogin(credential);
    if (!login.ok() || !WasRight(*login)) return std::nullopt;
    metrics_.Cached();
    return absl::StatusOr<Principal>(PrincipalOf(*login));
  }

 private:
  static Principal PrincipalOf(const Login& login) {
    Principal principal;
    principal.method = "basic";
    principal.name = login.user;
    return principal;
  }

  // Of the hash, too: what was right for another one is not right any more.
  Digest SuccessKey(const Login& login, absl::string_view hash) const {
    return KeyedDigest(key_)
        .Add(login.user)
        .Add(login.password.Reveal())
        .Add(hash)
        .Finish();
  }

  bool WasRight(const Login& login) {
    const std::shared_ptr<const PasswordTable> table = passwords_.table();
    if (table == nullptr) return false;
    const std::string* hash = table->Find(login.user);
    return hash != nullptr &&
           successes_.Find(SuccessKey(login, *hash), environment_.steady->Now())
               .has_value();
  }

  // An error that says how long to wait, if there were too many failures.
  absl::Status Begin(const Login& login, const std::string& source) {
    const absl::Time now = environment_.steady->Now();
    std::optional<absl::Duration> wait = by_source_.Begin(source, now);
    if (!wait.has_value()) {
      wait = by_user_.Begin(login.user, now);
      if (wait.has_value()) by_source_.Succeed(source);
    }
    if (!wait.has_value()) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat(
        "too many wrong passwords for this user or from this address, try "
        "again in ",
        absl::FormatDuration(absl::Ceil(*wait, absl::Seconds(1)))));
  }

  static asio::awaitable<absl::StatusOr<Principal>> Check(
      std::shared_ptr<State> self, Login login, std::string source) {
    // By a check that ended when this one began.
    if (self->WasRight(login)) co_return PrincipalOf(login);
    CO_RETURN_IF_ERROR(self->Begin(login, source));
    bool right = false;
    const std::function<absl::Status()> hash = [&] {
      return self->Hash(login, &right);
    };
    const absl::Status done = co_await self->environment_.run_blocking(hash);
    if (done.ok() && !right) co_return WrongLogin();
    self->by_source_.Succeed(source);
    self->by_user_.Succeed(login.user);
    if (!done.ok()) {
      co_return absl::UnavailableError(
          absl::StrCat("passwords can't be checked: ", done.message()));
    }
    co_return PrincipalOf(login);
  }

  // Blocks. An error: it can't be said.
  absl::Status Hash(const Login& login, bool* right) {
    RETURN_IF_ERROR(passwords_.Refresh(absl::Now()));
    const std::shared_ptr<const PasswordTable> table = passwords_.table();
    const std::string* hash = table->Find(login.user);
    if (hash == nullptr) {
      const Digest mark = KeyedDigest(key_).Add(login.user).Finish();
      uint64_t number = 0;
      std::memcpy(&number, mark.data(), sizeof(number));
      BcryptMatches(login.password, table->Decoy(number));
      return absl::OkStatus();
    }
    *right = BcryptMatches(login.password, *hash);
    if (*right) {
      const absl::Time now = environment_.steady->Now();
      successes_.Put(SuccessKey(login, *hash), true, now + options_.success_ttl,
                     now);
    }
    return absl::OkStatus();
  }

  const BasicOptions options_;
  const Environment environment_;
  const Secret key_;  // Of this process alone.
  PasswordFile passwords_;
  DigestCache<bool> successes_;
  FailureLimiter by_user_;
  FailureLimiter by_source_;
  const std::shared_ptr<Flights> flights_;
  VerifierMetrics metrics_;
};

BasicVerifier::BasicVerifier(std::shared_ptr<State> state)
    : state_(std::move(state)) {}
BasicVerifier::~BasicVerifier() = default;

absl::StatusOr<std::unique_ptr<BasicVerifier>> BasicVerifier::Make(
    BasicOptions options, Environment environment) {
  RETURN_IF_ERROR(options.Validate());
  auto state =
      std::make_shared<State>(std::move(options), std::move(environment));
  const absl::Status loaded = state->Load();
  // One that is just being written is read at the first check.
  if (!loaded.ok() && !absl::IsUnavailable(loaded)) return loaded;
  return std::unique_ptr<BasicVerifier>(new BasicVerifier(std::move(state)));
}

asio::awaitable<absl::StatusOr<Principal>> BasicVerifier::Verify(
    Credential credential) {
  return State::Verify(state_, std::move(credential));
}

std::optional<absl::StatusOr<Principal>> BasicVerifier::Known(
    const Credential& credential) {
  return state_->Known(credential);
}

std::string BasicVerifier::Challenge() const {
  return absl::StrCat("Basic realm=\"", state_->options().realm,
                      "\", charset=\"UTF-8\"");
}

}  // namespace insula::auth
