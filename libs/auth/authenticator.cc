#include "libs/auth/authenticator.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "libs/auth/credentials.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::registry::v1;
using tenancy::Snapshot;

std::vector<std::string> ChallengesOf(const ListenerAuth& config,
                                      const Methods& methods) {
  std::vector<std::string> challenges;
  const auto add = [&challenges](std::string challenge) {
    for (const std::string& other : challenges) {
      if (other == challenge) return;
    }
    challenges.push_back(std::move(challenge));
  };
  if (config.bearer) add("Bearer");
  for (const auto& verifier : {methods.bearer, methods.basic, methods.token}) {
    if (verifier != nullptr) add(verifier->Challenge());
  }
  if (!config.api_key_header.empty()) {
    add(absl::StrCat("ApiKey header=\"", config.api_key_header, "\""));
  }
  // RFC 9110 demands one, also where a proxy or TLS does the work.
  if (challenges.empty()) add("Bearer");
  return challenges;
}

// Nothing is left to ask about a caller that is refused anyway.
absl::StatusOr<std::optional<AccessQuestion>> QuestionIfAny(
    const absl::StatusOr<Caller>& caller) {
  if (!caller.ok()) return std::nullopt;
  return QuestionAbout(*caller);
}

// Whether `why` says that the caller is not let in, not that it can't be said.
bool IsRefusal(const absl::Status& why) {
  return absl::IsUnauthenticated(why) || absl::IsPermissionDenied(why);
}

}  // namespace

Authenticator::Authenticator(ListenerAuth config, Methods methods)
    : config_(std::move(config)),
      methods_(std::move(methods)),
      challenges_(ChallengesOf(config_, methods_)) {}

Verifier* Authenticator::VerifierFor(const Credential& credential) const {
  if (credential.scheme == "bearer") return methods_.bearer.get();
  if (credential.scheme == "basic") return methods_.basic.get();
  if (credential.scheme == "token") return methods_.token.get();
  return nullptr;
}

absl::StatusOr<Caller> Authenticator::CallerFrom(
    const http::Request& request, const absl::StatusOr<Principal>& principal,
    std::shared_ptr<const Snapshot> snapshot, v1::Role role,
    absl::Time now) const {
  RETURN_IF_ERROR(principal.status());
  const std::string& header = config_.TenantHeader();
  std::optional<tenancy::TenantId> named;
  ASSIGN_OR_RETURN(named, ReadTenantHeader(request.headers, header));
  return CallerWithPrincipal(std::move(snapshot), *principal, named, header,
                             role, now);
}

void Authenticator::Note(const http::Request& request, const Snapshot* snapshot,
                         const absl::Status& why,
                         absl::string_view reason) const {
  if (on_refusal_ == nullptr || !IsRefusal(why)) return;
  Refusal refusal{why, IdentityIn(why), "", std::string(reason)};
  const auto named = ReadTenantHeader(request.headers, config_.TenantHeader());
  if (named.ok() && named->has_value() && snapshot != nullptr &&
      snapshot->FindTenant((*named)->value()) != nullptr) {
    refusal.tenant = (*named)->value();
  }
  on_refusal_(request, refusal);
}

void Authenticator::NoteRefusal(const http::Request& request,
                                const Caller& caller, const absl::Status& why,
                                absl::string_view reason) const {
  Note(request, caller.snapshot.get(), WithIdentity(why, caller.identity),
       reason);
}

std::optional<absl::StatusOr<Caller>> Authenticator::TryNow(
    const http::Request& request, std::shared_ptr<const Snapshot> snapshot,
    v1::Role role, absl::Time now) const {
  auto caller = DecideNow(request, snapshot, role, now);
  if (caller.has_value()) Note(request, snapshot.get(), caller->status());
  return caller;
}

asio::awaitable<absl::StatusOr<Caller>> Authenticator::Authenticate(
    const http::Request* request, std::shared_ptr<const Snapshot> snapshot,
    v1::Role role, absl::Time now) const {
  absl::StatusOr<Caller> caller = co_await Decide(request, snapshot, role, now);
  Note(*request, snapshot.get(), caller.status());
  co_return caller;
}

std::optional<absl::StatusOr<Caller>> Authenticator::DecideNow(
    const http::Request& request, std::shared_ptr<const Snapshot> snapshot,
    v1::Role role, absl::Time now) const {
  auto decided = AuthenticateNow(request, config_, snapshot, role, now);
  if (auto* caller = std::get_if<absl::StatusOr<Caller>>(&decided)) {
    return std::move(*caller);
  }
  const Credential& credential = std::get<Credential>(decided);
  Verifier* const verifier = VerifierFor(credential);
  if (verifier == nullptr) return std::nullopt;
  const std::optional<absl::StatusOr<Principal>> principal =
      verifier->Known(credential);
  if (!principal.has_value()) return std::nullopt;
  absl::StatusOr<Caller> caller =
      CallerFrom(request, *principal, std::move(snapshot), role, now);
  const auto question = QuestionIfAny(caller);
  if (!question.ok()) {
    return WithIdentity(question.status(), caller->identity);
  }
  if (question->has_value()) return std::nullopt;
  return caller;
}

asio::awaitable<absl::StatusOr<Caller>> Authenticator::Decide(
    const http::Request* request, std::shared_ptr<const Snapshot> snapshot,
    v1::Role role, absl::Time now) const {
  auto decided = AuthenticateNow(*request, config_, snapshot, role, now);
  if (auto* caller = std::get_if<absl::StatusOr<Caller>>(&decided)) {
    co_return std::move(*caller);
  }
  const Credential credential = std::get<Credential>(std::move(decided));
  Verifier* const verifier = VerifierFor(credential);
  if (verifier == nullptr) {
    co_return absl::UnavailableError(
        "this listener has no verifier for the credential, restart it");
  }
  const absl::StatusOr<Principal> principal =
      co_await verifier->Verify(credential);
  absl::StatusOr<Caller> caller =
      CallerFrom(*request, principal, std::move(snapshot), role, now);
  const auto asked = QuestionIfAny(caller);
  if (!asked.ok()) co_return WithIdentity(asked.status(), caller->identity);
  if (!asked->has_value()) co_return caller;
  if (methods_.reviewer == nullptr) {
    const absl::Status lacking = absl::PermissionDeniedError(absl::StrCat(
        "binding '", caller->binding->id,
        "' needs an access review, which this listener can't ask for: set "
        "kubernetes.api_url"));
    co_return WithIdentity(lacking, caller->identity);
  }
  AccessQuestion question = **asked;
  question.deadline = request->deadline;
  const absl::Status allowed =
      co_await methods_.reviewer->Review(*principal, question);
  if (!allowed.ok()) co_return WithIdentity(allowed, caller->identity);
  co_return caller;
}

}  // namespace insula::auth
