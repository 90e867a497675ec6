// What must hold between objects. What an object must be by itself,
// tenancy::CheckObject says.
#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "libs/resources/object_key.h"
#include "libs/resources/resource_file.h"

namespace insula::resources {

// The object of a key among those that there are; null if there is none.
using FindObject = absl::FunctionRef<const v1::Object*(const ObjectKey&)>;

// All that the object names is there.
// FAILED_PRECONDITION "Tenant/acme: spec.upstream_id: what, cure", as all
// below.
absl::Status CheckReferences(const v1::Object& object, FindObject find);

// A tenant in a store that tells tenants apart by labels has labels.
absl::Status CheckIsolation(const v1::Object& tenant, FindObject find);

// Whether it does; `upstream` may be null.
bool IsolatesByLabel(const v1::Object* upstream);

// Two bindings have one fact: `binding`, whose key is `key`, and another one.
absl::Status SameFact(const ObjectKey& key, const v1::Binding& binding,
                      const ObjectKey& other);

// A tenant that there was not is put as one that is being deleted.
absl::Status NothingToDelete(const ObjectKey& tenant);

// An Instance is put by somebody who is not one; `source` as in Meta.
absl::Status InstanceFrom(const ObjectKey& instance, absl::string_view source);

// Puts of an object with a lower rank come first, so that what it is named by
// finds it. Deletions the other way around.
int ReferenceRank(v1::Kind kind);

// What a registry would refuse that holds the objects of `find`, and none of
// them, to be given those of `resources` in addition: an error a resource,
// "FILE:LINE: Tenant/acme: what, cure". Of resources that are given twice, say
// in two files, all but the first are wrong.
std::vector<std::string> CheckTogether(const std::vector<Resource>& resources,
                                       FindObject find);

}  // namespace insula::resources
