#include "libs/auth/principal_facts.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

namespace v1 = ::insula::registry::v1;
using tenancy::Binding;
using tenancy::FactKey;

constexpr size_t kMaxShown = 200;

std::string Shown(absl::string_view text) {
  return absl::CHexEscape(text.substr(0, kMaxShown));
}

const std::vector<std::string>& ValuesOf(const Principal& principal,
                                         absl::string_view attribute) {
  static const std::vector<std::string>& none = *new std::vector<std::string>();
  const std::vector<std::string>* const values = principal.Find(attribute);
  return values == nullptr ? none : *values;
}

// The one value of an attribute; empty if there is none.
absl::string_view ValueOf(const Principal& principal,
                          absl::string_view attribute) {
  const std::vector<std::string>& values = ValuesOf(principal, attribute);
  return values.size() == 1 ? absl::string_view(values[0])
                            : absl::string_view();
}

void AddKeystoneKeys(const Principal& principal, std::vector<FactKey>* keys) {
  const absl::string_view id = ValueOf(principal, "project_id");
  // A token without a project stands for no tenant.
  if (id.empty()) return;
  const absl::string_view name = ValueOf(principal, "project_name");
  const absl::string_view domain = ValueOf(principal, "project_domain_id");
  const auto add = [&](absl::string_view role) {
    keys->push_back(tenancy::KeystoneIdKey(principal.issuer, id, role));
    if (name.empty() || domain.empty()) return;
    keys->push_back(
        tenancy::KeystoneNameKey(principal.issuer, domain, name, role));
  };
  add("");
  for (const std::string& role : ValuesOf(principal, "roles")) {
    if (!role.empty()) add(role);
  }
}

// The fact of a binding that its key does not hold.
v1::Binding FactOf(const Binding& binding) {
  v1::Binding fact;
  binding.WriteFact(&fact);
  return fact;
}

bool HasRequiredClaims(const Principal& principal, const Binding& binding) {
  if (binding.fact_key.fact_case() != v1::Binding::kJwt) return true;
  const v1::Binding fact = FactOf(binding);
  const auto& required = fact.jwt().required_claims();
  return std::all_of(required.begin(), required.end(), [&](const auto& claim) {
    const std::vector<std::string>& values = ValuesOf(principal, claim.first);
    return std::find(values.begin(), values.end(), claim.second) !=
           values.end();
  });
}

}  // namespace

absl::StatusOr<std::vector<FactKey>> FactKeysOf(const Principal& principal) {
  size_t values = 0;
  for (const auto& attribute : principal.attributes) {
    values += attribute.second.size();
  }
  if (values > kMaxFacts) {
    return absl::PermissionDeniedError(absl::StrCat(
        "the ", principal.method, " principal '", Shown(principal.name),
        "' has ", values, " groups, roles or values, may have ", kMaxFacts));
  }
  std::vector<FactKey> keys;
  if (principal.method == "jwt") {
    for (const auto& [claim, of_claim] : principal.attributes) {
      for (const std::string& value : of_claim) {
        keys.push_back(tenancy::JwtKey(principal.issuer, claim, value));
      }
    }
  } else if (principal.method == "keystone") {
    AddKeystoneKeys(principal, &keys);
  } else if (principal.method == "kubernetes") {
    keys.push_back(
        tenancy::KubernetesUserKey(principal.issuer, principal.name));
    for (const std::string& group : ValuesOf(principal, "groups")) {
      keys.push_back(tenancy::KubernetesGroupKey(principal.issuer, group));
    }
  } else if (principal.method == "certificate") {
    for (const std::string& uri : ValuesOf(principal, "uri")) {
      keys.push_back(tenancy::CertificateUriKey(uri));
    }
    for (const std::string& dns : ValuesOf(principal, "dns")) {
      keys.push_back(tenancy::CertificateDnsKey(dns));
    }
  } else if (principal.method == "basic") {
    keys.push_back(tenancy::BasicKey(principal.name));
  }
  return keys;
}

absl::StatusOr<std::vector<const Binding*>> BindingsOf(
    const tenancy::Snapshot& snapshot, const Principal& principal) {
  ASSIGN_OR_RETURN(const std::vector<FactKey> keys, FactKeysOf(principal));
  std::vector<std::pair<bool, const Binding*>> found;
  bool lacks_claims = false;
  for (const FactKey& key : keys) {
    const Binding* const binding = snapshot.FindBindingByFact(key);
    if (binding == nullptr) continue;
    if (HasRequiredClaims(principal, *binding)) {
      found.emplace_back(AccessReviewOf(*binding).has_value(), binding);
    } else {
      lacks_claims = true;
    }
  }
  if (found.empty()) {
    return absl::PermissionDeniedError(absl::StrCat(
        "no binding ", lacks_claims ? "whose required claims it has " : "",
        "names the ", principal.method, " principal '", Shown(principal.name),
        "'", principal.issuer.empty() ? "" : " of ", Shown(principal.issuer),
        ": bind it to a tenant in the registry"));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? b.first : a.second->id < b.second->id;
  });
  std::vector<const Binding*> bindings;
  for (const auto& [reviewed, binding] : found) {
    // A source may give a value twice.
    if (bindings.empty() || bindings.back() != binding) {
      bindings.push_back(binding);
    }
  }
  return bindings;
}

std::optional<v1::KubernetesAccess> AccessReviewOf(const Binding& binding) {
  if (binding.fact_key.fact_case() != v1::Binding::kKubernetes) {
    return std::nullopt;
  }
  const v1::Binding fact = FactOf(binding);
  if (!fact.kubernetes().has_access()) return std::nullopt;
  return fact.kubernetes().access();
}

}  // namespace insula::auth
