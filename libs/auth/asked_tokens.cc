#include "libs/auth/asked_tokens.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace insula::auth {

namespace asio = boost::asio;

AskedTokens::AskedTokens(Options options, Environment environment)
    : options_(std::move(options)),
      environment_(std::move(environment)),
      good_(options_.max_tokens),
      wrong_(options_.max_tokens),
      by_source_(options_.source_failures),
      flights_(std::make_shared<Flights>(environment_.executor,
                                         options_.max_checks)),
      metrics_(environment_.metrics, options_.method) {}

asio::awaitable<absl::StatusOr<Principal>> AskedTokens::Verify(
    std::shared_ptr<AskedTokens> self, Credential credential, Ask ask) {
  const Digest key = Sha256Of(credential.text);
  if (auto known = self->Find(key)) {
    self->metrics_.Cached();
    co_return *std::move(known);
  }
  const Secret token(std::move(credential.text));
  Flights::Work work = [self, key, token, source = credential.peer_address,
                        ask = std::move(ask)] {
    return Check(self, key, token, source, ask);
  };
  const absl::Time deadline =
      std::min(credential.deadline, absl::Now() + self->options_.timeout);
  absl::StatusOr<Principal> result =
      co_await Flights::Run(self->flights_, key, std::move(work), deadline);
  self->metrics_.Count(result.status());
  co_return result;
}

std::optional<absl::StatusOr<Principal>> AskedTokens::Known(
    const Credential& credential) {
  auto known = Find(Sha256Of(credential.text));
  if (known.has_value()) metrics_.Cached();
  return known;
}

absl::Status AskedTokens::Refuse(absl::string_view cure) {
  absl::Status status = absl::UnauthenticatedError(cure);
  metrics_.Count(status);
  return status;
}

std::optional<absl::StatusOr<Principal>> AskedTokens::Find(const Digest& key) {
  const absl::Time now = environment_.steady->Now();
  if (std::optional<absl::StatusOr<Principal>> found = good_.Find(key, now)) {
    if (!found->ok() || environment_.clock == nullptr ||
        environment_.clock->Now() < (*found)->expires) {
      return found;
    }
    good_.Erase(key);
    return std::nullopt;
  }
  if (const std::optional<absl::Status> wrong = wrong_.Find(key, now)) {
    return absl::StatusOr<Principal>(*wrong);
  }
  return std::nullopt;
}

void AskedTokens::Keep(const Digest& key,
                       const absl::StatusOr<Principal>& result) {
  const absl::Time now = environment_.steady->Now();
  if (result.ok() || absl::IsPermissionDenied(result.status())) {
    good_.Put(key, result, now + options_.good_ttl, now);
    wrong_.Erase(key);
  } else if (absl::IsUnauthenticated(result.status())) {
    wrong_.Put(key, result.status(), now + options_.wrong_ttl, now);
    good_.Erase(key);
  }
}

asio::awaitable<absl::StatusOr<Principal>> AskedTokens::Check(
    std::shared_ptr<AskedTokens> self, Digest key, Secret token,
    std::string source, Ask ask) {
  // By a check that ended when this one began.
  if (auto known = self->Find(key)) co_return *std::move(known);
  const std::optional<absl::Duration> wait =
      self->by_source_.Begin(source, self->environment_.steady->Now());
  if (wait.has_value()) {
    co_return absl::ResourceExhaustedError(absl::StrCat(
        "too many wrong tokens from this address, try again in ",
        absl::FormatDuration(absl::Ceil(*wait, absl::Seconds(1)))));
  }
  absl::StatusOr<Principal> result = co_await ask(std::move(token));
  if (!absl::IsUnauthenticated(result.status())) {
    self->by_source_.Succeed(source);
  }
  self->Keep(key, result);
  co_return result;
}

}  // namespace insula::auth
