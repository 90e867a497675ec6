#include "libs/resources/object_rules.h"

#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "libs/resources/references.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"

namespace insula::resources {
namespace {

template <typename... Parts>
absl::Status Refused(const ObjectKey& key, const Parts&... parts) {
  return absl::FailedPreconditionError(absl::StrCat(Name(key), ": ", parts...));
}

// Resources, each of which may be right or wrong beside the others.
class Together {
 public:
  explicit Together(FindObject elsewhere) : elsewhere_(elsewhere) {}

  // Refuses what is there already. To be called for all before Check().
  absl::Status Add(const Resource& resource) {
    const ObjectKey key = KeyOf(resource.object);
    const auto [it, fresh] = resources_.emplace(key, &resource);
    if (!fresh) {
      return Refused(key, "is given at ", it->second->where,
                     " already; keep one");
    }
    if (!resource.object.has_binding()) return absl::OkStatus();
    const tenancy::FactKey fact = tenancy::FactKeyOf(resource.object.binding());
    // Bindings without one have none in common.
    if (!fact.empty()) fact_holders_.emplace(fact, &resource);
    return absl::OkStatus();
  }

  absl::Status Check(const v1::Object& object) const {
    auto find = [this](const ObjectKey& key) { return Find(key); };
    RETURN_IF_ERROR(CheckReferences(object, find));
    if (object.has_instance()) return InstanceFrom(KeyOf(object), "api");
    if (object.has_binding()) return CheckFact(object);
    if (!object.has_tenant()) return absl::OkStatus();
    if (object.tenant().state() == v1::Tenant::STATE_DELETING &&
        elsewhere_(KeyOf(object)) == nullptr) {
      return NothingToDelete(KeyOf(object));
    }
    return CheckIsolation(object, find);
  }

 private:
  absl::Status CheckFact(const v1::Object& binding) const {
    const auto holder =
        fact_holders_.find(tenancy::FactKeyOf(binding.binding()));
    const bool own =
        holder == fact_holders_.end() || &holder->second->object == &binding;
    return own ? absl::OkStatus()
               : SameFact(KeyOf(binding), binding.binding(),
                          KeyOf(holder->second->object));
  }

  const v1::Object* Find(const ObjectKey& key) const {
    const auto it = resources_.find(key);
    return it != resources_.end() ? &it->second->object : elsewhere_(key);
  }

  const FindObject elsewhere_;
  absl::flat_hash_map<ObjectKey, const Resource*> resources_;
  absl::flat_hash_map<tenancy::FactKey, const Resource*> fact_holders_;
};

}  // namespace

absl::Status CheckReferences(const v1::Object& object, FindObject find) {
  absl::Status status;
  ForEachReference(object, [&](const Reference& reference) {
    if (!status.ok() || find(reference.target()) != nullptr) return;
    status = Refused(KeyOf(object), reference.field_name(), ": there is no ",
                     Name(reference.target()),
                     "; make it first, or in the same request");
  });
  return status;
}

absl::Status CheckIsolation(const v1::Object& tenant, FindObject find) {
  const ObjectKey upstream{v1::KIND_UPSTREAM, tenant.tenant().upstream_id()};
  if (upstream.id.empty() || !tenant.tenant().enforced_labels().empty() ||
      !IsolatesByLabel(find(upstream))) {
    return absl::OkStatus();
  }
  return Refused(KeyOf(tenant), "spec.enforced_labels: is empty, but ",
                 Name(upstream),
                 " tells tenants apart by labels; give at least one");
}

bool IsolatesByLabel(const v1::Object* upstream) {
  return upstream != nullptr &&
         upstream->upstream().isolation() == v1::Upstream::ISOLATION_LABEL;
}

absl::Status SameFact(const ObjectKey& key, const v1::Binding& binding,
                      const ObjectKey& other) {
  const absl::string_view what =
      binding.fact_case() == v1::Binding::kTokenSha256 ? "token" : "fact";
  return Refused(key, "spec.", tenancy::FactName(binding), ": ", Name(other),
                 " has the same ", what, "; a ", what, " is of one binding");
}

// Otherwise a file that still has a tenant which was deleted would bring it
// back again and again.
absl::Status NothingToDelete(const ObjectKey& tenant) {
  return Refused(tenant, "spec.state: there is no such tenant that could be ",
                 "deleted; leave it out");
}

absl::Status InstanceFrom(const ObjectKey& instance, absl::string_view source) {
  return Refused(instance, "instances come and go with their leases, not by ",
                 source, "; leave it out");
}

int ReferenceRank(v1::Kind kind) {
  switch (kind) {
    case v1::KIND_LIMITS:
    case v1::KIND_UPSTREAM:
    case v1::KIND_RULE_TARGET:
      return 0;
    case v1::KIND_TENANT:
      return 1;
    case v1::KIND_CLAIM_RULE:
      return 2;
    default:
      return 3;
  }
}

std::vector<std::string> CheckTogether(const std::vector<Resource>& resources,
                                       FindObject find) {
  Together together(find);
  std::vector<absl::Status> statuses;
  for (const Resource& resource : resources) {
    statuses.push_back(together.Add(resource));
  }
  std::vector<std::string> errors;
  for (size_t i = 0; i < resources.size(); ++i) {
    if (statuses[i].ok()) statuses[i] = together.Check(resources[i].object);
    if (statuses[i].ok()) continue;
    errors.push_back(
        absl::StrCat(resources[i].where, ": ", statuses[i].message()));
  }
  return errors;
}

}  // namespace insula::resources
