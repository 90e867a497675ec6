// The names of kinds, and the check of an object by itself.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/access.h"
#include "libs/tenancy/object_checks.h"
#include "libs/tenancy/snapshot.h"
#include "libs/tenancy/url_check.h"

namespace insula::tenancy {
namespace {

using internal::CheckLabelName;
using internal::CheckLabels;
using internal::CheckReference;
using internal::CheckTenantId;
using internal::CheckTenantIds;
using internal::CheckText;
using internal::Shown;
using internal::Wrong;

constexpr int kMaxNamespaces = 4096;
constexpr size_t kMaxDisplayNameBytes = 256;
constexpr size_t kMaxSourceBytes = 8 << 10;
constexpr size_t kMaxNamespaceBytes = 63;
constexpr int kMaxInheritedUids = 50;
constexpr size_t kUidDigits = 32;

constexpr std::array<std::pair<v1::Kind, absl::string_view>, 10> kKinds = {{
    {v1::KIND_TENANT, "Tenant"},
    {v1::KIND_BINDING, "Binding"},
    {v1::KIND_ACCESS, "Access"},
    {v1::KIND_UPSTREAM, "Upstream"},
    {v1::KIND_CLAIM_RULE, "ClaimRule"},
    {v1::KIND_LIMITS, "Limits"},
    {v1::KIND_POLICY, "Policy"},
    {v1::KIND_RULE_TARGET, "RuleTarget"},
    {v1::KIND_JOB, "Job"},
    {v1::KIND_INSTANCE, "Instance"},
}};

absl::Status CheckUids(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<std::string>& uids) {
  if (uids.size() > kMaxInheritedUids) {
    return Wrong(field, absl::StrCat("has ", uids.size(), " entries, may have ",
                                     kMaxInheritedUids));
  }
  std::set<absl::string_view> seen;
  for (int i = 0; i < uids.size(); ++i) {
    const std::string& uid = uids[i];
    const bool good = uid.size() == kUidDigits &&
                      std::all_of(uid.begin(), uid.end(), [](char c) {
                        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                      });
    if (!good) {
      return Wrong(absl::StrCat(field, "[", i, "]"),
                   absl::StrCat("'", Shown(uid), "' is no uid, which has ",
                                kUidDigits, " of [0-9a-f]"));
    }
    if (!seen.insert(uid).second) {
      return Wrong(absl::StrCat(field, "[", i, "]"),
                   absl::StrCat("'", uid, "' is listed twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTenant(const v1::Tenant& tenant) {
  RETURN_IF_ERROR(CheckText("spec.display_name", tenant.display_name(),
                            kMaxDisplayNameBytes));
  if (!v1::Tenant::State_IsValid(tenant.state())) {
    return Wrong("spec.state", absl::StrCat(static_cast<int>(tenant.state()),
                                            " is no state that is known"));
  }
  if (!tenant.org_id().empty()) {
    RETURN_IF_ERROR(CheckTenantId("spec.org_id", tenant.org_id()));
  }
  RETURN_IF_ERROR(
      CheckLabels("spec.enforced_labels", tenant.enforced_labels()));
  if (!v1::Tenant::ReadScope_IsValid(tenant.read_scope())) {
    return Wrong("spec.read_scope",
                 absl::StrCat(static_cast<int>(tenant.read_scope()),
                              " is no scope that is known"));
  }
  RETURN_IF_ERROR(
      CheckReference("spec.rule_target_id", tenant.rule_target_id()));
  RETURN_IF_ERROR(CheckReference("spec.limits_id", tenant.limits_id()));
  RETURN_IF_ERROR(CheckUids("spec.inherits_uids", tenant.inherits_uids()));
  return CheckReference("spec.upstream_id", tenant.upstream_id());
}

bool IsOfATenant(int role) {
  return role != v1::ROLE_OPERATOR && role != v1::ROLE_ADMIN;
}

absl::Status CheckRoles(const v1::Binding& binding) {
  if (binding.roles().empty()) {
    return Wrong("spec.roles",
                 "must have at least one role: ROLE_WRITE, ROLE_READ, ...");
  }
  uint32_t seen = 0;
  for (int i = 0; i < binding.roles_size(); ++i) {
    const int role = binding.roles(i);
    if (role == v1::ROLE_UNSPECIFIED || !v1::Role_IsValid(role)) {
      return Wrong(absl::StrCat("spec.roles[", i, "]"),
                   absl::StrCat(role, " is no role that is known"));
    }
    if ((seen >> role & 1) != 0) {
      return Wrong(
          absl::StrCat("spec.roles[", i, "]"),
          absl::StrCat(v1::Role_Name(binding.roles(i)), " is listed twice"));
    }
    seen |= 1U << role;
  }
  return absl::OkStatus();
}

absl::Status CheckBinding(const v1::Binding& binding) {
  RETURN_IF_ERROR(internal::CheckFact(binding));
  RETURN_IF_ERROR(CheckRoles(binding));
  RETURN_IF_ERROR(CheckTenantIds("spec.tenant_ids", binding.tenant_ids()));
  if (binding.every_tenant() && !binding.tenant_ids().empty()) {
    return Wrong("spec.tenant_ids",
                 "must be empty with every_tenant, remove one of them");
  }
  if (!binding.every_tenant() && binding.tenant_ids().empty() &&
      std::any_of(binding.roles().begin(), binding.roles().end(),
                  IsOfATenant)) {
    return Wrong("spec.tenant_ids",
                 "must name a tenant, or every_tenant be true, for roles other "
                 "than ROLE_OPERATOR and ROLE_ADMIN");
  }
  RETURN_IF_ERROR(
      CheckReference("spec.claim_rule_id", binding.claim_rule_id()));
  return internal::CheckTimestamp("spec.not_after", binding.not_after());
}

absl::Status CheckAccess(const v1::Access& access) {
  RETURN_IF_ERROR(CheckTenantId("spec.tenant_id", access.tenant_id()));
  RETURN_IF_ERROR(ParseAccessSelectors(access).status());
  RETURN_IF_ERROR(
      CheckLabels("spec.label_selectors", access.label_selectors()));
  if (access.every_source() != access.source_tenant_ids().empty()) {
    return Wrong(
        "spec.source_tenant_ids",
        "must name the tenants whose series are read, or be empty with "
        "every_source");
  }
  return CheckTenantIds("spec.source_tenant_ids", access.source_tenant_ids());
}

// A name of RFC 1123, as namespaces have.
bool IsNamespace(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxNamespaceBytes &&
         name.front() != '-' && name.back() != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_islower(static_cast<unsigned char>(c)) ||
                  absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
                  c == '-';
         });
}

template <typename Names>
absl::Status CheckNamespaces(absl::string_view field, const Names& names,
                             bool star) {
  if (names.size() > kMaxNamespaces) {
    return Wrong(field, absl::StrCat("has ", names.size(),
                                     " entries, may have ", kMaxNamespaces));
  }
  std::set<absl::string_view> seen;
  for (int i = 0; i < names.size(); ++i) {
    const std::string element = absl::StrCat(field, "[", i, "]");
    if (!IsNamespace(names[i]) && !(star && names[i] == "*")) {
      return Wrong(element, absl::StrCat("'", Shown(names[i]),
                                         "' is no name of a namespace",
                                         star ? ", nor \"*\"" : ""));
    }
    if (!seen.insert(names[i]).second) {
      return Wrong(element,
                   absl::StrCat("'", Shown(names[i]), "' is listed twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPolicy(const v1::Policy& policy) {
  if (policy.namespaces().empty()) {
    return Wrong("spec.namespaces",
                 "must name a namespace, or \"*\" for all others");
  }
  RETURN_IF_ERROR(
      CheckNamespaces("spec.namespaces", policy.namespaces(), true));
  if (!policy.tenant_id().empty()) {
    RETURN_IF_ERROR(CheckTenantId("spec.tenant_id", policy.tenant_id()));
  }
  RETURN_IF_ERROR(CheckTenantIds("spec.tenant_ids", policy.tenant_ids()));
  if (policy.every_tenant() && !policy.tenant_ids().empty()) {
    return Wrong("spec.tenant_ids",
                 "must be empty with every_tenant, remove one of them");
  }
  RETURN_IF_ERROR(
      CheckTenantIds("spec.source_tenant_ids", policy.source_tenant_ids()));
  if (policy.every_source() && !policy.source_tenant_ids().empty()) {
    return Wrong("spec.source_tenant_ids",
                 "must be empty with every_source, remove one of them");
  }
  RETURN_IF_ERROR(CheckNamespaces("spec.target_namespaces",
                                  policy.target_namespaces(), false));
  for (int i = 0; i < policy.target_urls_size(); ++i) {
    RETURN_IF_ERROR(Annotate(CheckUrl(policy.target_urls(i)),
                             absl::StrCat("spec.target_urls[", i, "]")));
  }
  RETURN_IF_ERROR(CheckReference("spec.upstream_id", policy.upstream_id()));
  RETURN_IF_ERROR(
      CheckReference("spec.rule_target_id", policy.rule_target_id()));
  RETURN_IF_ERROR(CheckReference("spec.limits_id", policy.limits_id()));
  if (policy.enforced_label().empty()) return absl::OkStatus();
  return CheckLabelName("spec.enforced_label", policy.enforced_label());
}

absl::Status CheckSpec(const v1::Object& object) {
  const v1::Kind kind = object.meta().kind();
  // The numbers of the oneof's fields are those of the kinds, plus nine.
  static_assert(v1::Object::kTenant == v1::KIND_TENANT + 9 &&
                v1::Object::kLimits == v1::KIND_LIMITS + 9 &&
                v1::Object::kInstance == v1::KIND_INSTANCE + 9);
  if (object.spec_case() != static_cast<int>(kind) + 9) {
    return Wrong("spec", absl::StrCat("must be that of a ", KindName(kind)));
  }
  switch (object.spec_case()) {
    case v1::Object::kTenant:
      return CheckTenant(object.tenant());
    case v1::Object::kBinding:
      return CheckBinding(object.binding());
    case v1::Object::kAccess:
      return CheckAccess(object.access());
    case v1::Object::kUpstream:
      return internal::CheckUpstream(object.upstream());
    case v1::Object::kClaimRule:
      return internal::CheckClaimRule(object.claim_rule());
    case v1::Object::kLimits:
      return internal::CheckLimits(object.limits());
    case v1::Object::kPolicy:
      return CheckPolicy(object.policy());
    case v1::Object::kRuleTarget:
      return internal::CheckRuleTarget(object.rule_target());
    case v1::Object::kJob:
      return internal::CheckJob(object.job());
    case v1::Object::kInstance:
      return internal::CheckInstance(object.instance());
    case v1::Object::SPEC_NOT_SET:
      break;
  }
  return Wrong("spec", "must be set");
}

absl::Status CheckMeta(const v1::Meta& meta) {
  if (meta.kind() == v1::KIND_TENANT) {
    RETURN_IF_ERROR(CheckTenantId("meta.id", meta.id()));
  } else {
    RETURN_IF_ERROR(Annotate(CheckObjectId(meta.id()), "meta.id"));
  }
  if (!meta.uid().empty() && meta.uid().size() != 16) {
    return Wrong("meta.uid", absl::StrCat("has ", meta.uid().size(),
                                          " bytes, must have 16 or be unset"));
  }
  RETURN_IF_ERROR(CheckText("meta.source", meta.source(), kMaxSourceBytes));
  return CheckText("meta.updated_by", meta.updated_by(), kMaxSourceBytes);
}

}  // namespace

absl::string_view KindName(v1::Kind kind) {
  for (const auto& [known, name] : kKinds) {
    if (known == kind) return name;
  }
  return "";
}

v1::Kind ParseKind(absl::string_view name) {
  for (const auto& [kind, known] : kKinds) {
    if (known == name) return kind;
  }
  return v1::KIND_UNSPECIFIED;
}

absl::Status CheckObject(const v1::Object& object) {
  const v1::Meta& meta = object.meta();
  const absl::string_view kind = KindName(meta.kind());
  const std::string name =
      absl::StrCat(kind.empty() ? "object" : kind, "/", Shown(meta.id()));
  if (kind.empty()) {
    return Annotate(
        Wrong("meta.kind", absl::StrCat(static_cast<int>(meta.kind()),
                                        " is no kind that is known")),
        name);
  }
  RETURN_IF_ERROR(Annotate(CheckMeta(meta), name));
  return Annotate(CheckSpec(object), name);
}

}  // namespace insula::tenancy
