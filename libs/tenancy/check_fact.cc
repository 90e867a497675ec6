// The check of the fact of a binding.
#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"
#include "libs/tenancy/object_checks.h"

namespace insula::tenancy::internal {
namespace {

namespace v1 = ::insula::registry::v1;

constexpr size_t kMaxFactBytes = 1024;
constexpr int kMaxRequiredClaims = 8;

// Text that a credential is compared with.
absl::Status CheckFactText(absl::string_view field, absl::string_view text) {
  if (text.empty()) return Wrong(field, "must be set");
  return CheckText(field, text, kMaxFactBytes);
}

absl::Status CheckDigest(absl::string_view field, absl::string_view digest) {
  if (digest.size() == 32) return absl::OkStatus();
  return Wrong(field, absl::StrCat("has ", digest.size(),
                                   " bytes, must be the 32 of a SHA-256"));
}

// Exactly one of two.
absl::Status CheckEither(absl::string_view field, absl::string_view one,
                         absl::string_view other_field,
                         absl::string_view other) {
  if (one.empty() == other.empty()) {
    return Wrong(
        field, absl::StrCat("must be set, or ", other_field, ", and not both"));
  }
  return one.empty() ? CheckText(other_field, other, kMaxFactBytes)
                     : CheckText(field, one, kMaxFactBytes);
}

absl::Status CheckJwt(const v1::JwtFact& fact) {
  RETURN_IF_ERROR(CheckFactText("spec.jwt.issuer", fact.issuer()));
  RETURN_IF_ERROR(CheckFactText("spec.jwt.claim", fact.claim()));
  RETURN_IF_ERROR(CheckFactText("spec.jwt.value", fact.value()));
  if (fact.required_claims_size() > kMaxRequiredClaims) {
    return Wrong("spec.jwt.required_claims",
                 absl::StrCat("has ", fact.required_claims_size(),
                              " claims, may have ", kMaxRequiredClaims));
  }
  for (const auto& [claim, value] : fact.required_claims()) {
    RETURN_IF_ERROR(CheckFactText("spec.jwt.required_claims", claim));
    RETURN_IF_ERROR(CheckFactText(
        absl::StrCat("spec.jwt.required_claims[", Shown(claim), "]"), value));
  }
  return absl::OkStatus();
}

absl::Status CheckKeystone(const v1::KeystoneFact& fact) {
  RETURN_IF_ERROR(CheckFactText("spec.keystone.auth_url", fact.auth_url()));
  RETURN_IF_ERROR(CheckEither("spec.keystone.project_id", fact.project_id(),
                              "spec.keystone.project_name",
                              fact.project_name()));
  if (fact.project_name().empty() != fact.project_domain_id().empty()) {
    return Wrong("spec.keystone.project_domain_id",
                 "must be set with project_name, and only then: names of "
                 "projects are of a domain, ids are not");
  }
  RETURN_IF_ERROR(CheckText("spec.keystone.project_domain_id",
                            fact.project_domain_id(), kMaxFactBytes));
  return CheckText("spec.keystone.role", fact.role(), kMaxFactBytes);
}

absl::Status CheckKubernetes(const v1::KubernetesFact& fact) {
  RETURN_IF_ERROR(
      CheckText("spec.kubernetes.cluster", fact.cluster(), kMaxFactBytes));
  RETURN_IF_ERROR(CheckEither("spec.kubernetes.user", fact.user(),
                              "spec.kubernetes.group", fact.group()));
  if (!fact.has_access()) return absl::OkStatus();
  RETURN_IF_ERROR(
      CheckFactText("spec.kubernetes.access.verb", fact.access().verb()));
  RETURN_IF_ERROR(CheckFactText("spec.kubernetes.access.resource",
                                fact.access().resource()));
  RETURN_IF_ERROR(CheckText("spec.kubernetes.access.group",
                            fact.access().group(), kMaxFactBytes));
  return CheckText("spec.kubernetes.access.subresource",
                   fact.access().subresource(), kMaxFactBytes);
}

absl::Status CheckCertificate(const v1::CertificateFact& fact) {
  RETURN_IF_ERROR(CheckEither("spec.certificate.uri", fact.uri(),
                              "spec.certificate.dns", fact.dns()));
  if (absl::StrContains(fact.dns(), '*')) {
    return Wrong("spec.certificate.dns",
                 "must be one name, a wildcard stands for many callers");
  }
  return absl::OkStatus();
}

absl::Status CheckBasic(const v1::BasicFact& fact) {
  RETURN_IF_ERROR(CheckFactText("spec.basic.user", fact.user()));
  if (absl::StrContains(fact.user(), ':')) {
    return Wrong("spec.basic.user", "must be without ':', which ends it");
  }
  // It may be a password, sent by mistake: not a byte of it is told.
  if (!fact.bcrypt_hash().empty()) {
    return Wrong("spec.basic.bcrypt_hash",
                 "must be empty: hashes are in the file that "
                 "basic.password_file of the listener names");
  }
  return absl::OkStatus();
}

absl::Status CheckHeader(const v1::HeaderFact& fact) {
  RETURN_IF_ERROR(CheckFactText("spec.header.header", fact.header()));
  if (!std::all_of(fact.header().begin(), fact.header().end(),
                   [](unsigned char c) {
                     return absl::ascii_isalnum(c) != 0 || c == '-';
                   })) {
    return Wrong("spec.header.header",
                 absl::StrCat("'", Shown(fact.header()),
                              "' must be a header name of [A-Za-z0-9-]"));
  }
  return CheckFactText("spec.header.value", fact.value());
}

}  // namespace

absl::Status CheckFact(const v1::Binding& binding) {
  switch (binding.fact_case()) {
    case v1::Binding::kTokenSha256:
      return CheckDigest("spec.token_sha256", binding.token_sha256());
    case v1::Binding::kApiKeySha256:
      return CheckDigest("spec.api_key_sha256", binding.api_key_sha256());
    case v1::Binding::kJwt:
      return CheckJwt(binding.jwt());
    case v1::Binding::kKeystone:
      return CheckKeystone(binding.keystone());
    case v1::Binding::kKubernetes:
      return CheckKubernetes(binding.kubernetes());
    case v1::Binding::kCertificate:
      return CheckCertificate(binding.certificate());
    case v1::Binding::kBasic:
      return CheckBasic(binding.basic());
    case v1::Binding::kHeader:
      return CheckHeader(binding.header());
    case v1::Binding::FACT_NOT_SET:
      break;
  }
  return Wrong("spec.token_sha256",
               "must be set: SHA-256 of the token, 32 bytes; or another fact: "
               "api_key_sha256, jwt, keystone, kubernetes, certificate, basic, "
               "header");
}

}  // namespace insula::tenancy::internal
