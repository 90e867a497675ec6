// How a tenant goes whose time is over, and what refers to it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "insula/registry/v1/registry.pb.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// An object without its references to a tenant; nullopt if nothing is left of
// it. Of a claim rule, values and selections of that tenant stay and give their
// series to nobody, and a rule that named no other tenant goes, as does one
// whose labels might name only that tenant: a series must rather be refused
// than find another tenant.
std::optional<v1::Object> WithoutTenant(const v1::Object& object,
                                        const std::string& tenant_id);

// The operations of one Apply on the way to be rid of a tenant, at most
// `limit`: objects that refer to it lose it or go, claim rules together with
// the bindings that use them. `finished`: the tenant itself goes with them.
// Each operation is for the object as it is now. `referrers_of` lists the
// objects that refer to one.
struct RemovalStep {
  std::vector<v1::Operation> operations;
  bool finished = false;
};
RemovalStep NextRemovalStep(
    const ObjectPtr& tenant,
    const std::function<std::vector<ObjectPtr>(const ObjectKey&)>& referrers_of,
    size_t limit);

}  // namespace insula::tenant_registry
