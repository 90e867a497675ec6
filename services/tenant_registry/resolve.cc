#include "services/tenant_registry/resolve.h"

#include <algorithm>
#include <string>

#include "libs/resources/references.h"
#include "libs/tenancy/fact.h"

namespace insula::tenant_registry {
namespace {

ObjectPtr FindBinding(const State& state, const v1::ResolveRequest& request) {
  if (request.subject_case() == v1::ResolveRequest::kBindingId) {
    return state.Find({v1::KIND_BINDING, request.binding_id()});
  }
  const v1::Object* const holder =
      state.index().FactHolder(tenancy::TokenKey(request.token_sha256()));
  return holder == nullptr ? nullptr : state.Find(KeyOf(*holder));
}

// The tenants of a binding in the order in which they are told.
std::vector<std::string> FirstTenants(const v1::Binding& binding, size_t most) {
  std::vector<std::string> ids(binding.tenant_ids().begin(),
                               binding.tenant_ids().end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  if (ids.size() > most) ids.resize(most);
  return ids;
}

}  // namespace

ResolveObjects CollectForResolve(const State& state,
                                 const v1::ResolveRequest& request,
                                 size_t max_tenants, size_t max_objects) {
  ResolveObjects found;
  found.revision = state.revision();
  const auto add = [&](ObjectPtr object) {
    if (object != nullptr) found.objects.push_back(std::move(object));
  };
  const auto add_with_references = [&](const ObjectPtr& object) {
    if (object == nullptr) return;
    add(object);
    resources::ForEachReference(*object,
                                [&](const resources::Reference& reference) {
                                  add(state.Find(reference.target()));
                                });
  };
  std::vector<std::string> tenants;
  if (request.subject_case() == v1::ResolveRequest::kTenantId) {
    tenants.push_back(request.tenant_id());
  } else if (const ObjectPtr binding = FindBinding(state, request)) {
    add(binding);
    add(state.Find({v1::KIND_CLAIM_RULE, binding->binding().claim_rule_id()}));
    tenants = FirstTenants(binding->binding(), max_tenants);
  }
  for (const std::string& id : tenants) {
    if (found.tenants > 0 && found.objects.size() > max_objects) break;
    add_with_references(state.Find({v1::KIND_TENANT, id}));
    if (const State::Objects* const accesses = state.AccessesOf(id)) {
      for (const auto& [access_id, access] : *accesses) {
        add_with_references(access);
      }
    }
    ++found.tenants;
  }
  return found;
}

}  // namespace insula::tenant_registry
