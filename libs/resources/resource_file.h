// Objects out of a resource file.
//
//   kind: Tenant
//   id: acme
//   spec:
//     enforced_labels: {namespace: acme}
//     upstream_id: store
//   ---
//   kind: Binding
//   ...
//
// `spec` is the message of the kind, fields by their proto or JSON names, enums
// by name with or without prefix (READ, ROLE_READ), bytes as hex (of 32 bytes)
// or base64, durations as 30s, times as RFC 3339.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/resources/object_key.h"

namespace insula::resources {

struct Resource {
  v1::Object object;  // Valid by itself; of its meta, kind and id are set.
  std::string where;  // "acme.yaml:12"
};

struct ResourceFile {
  std::vector<Resource> resources;

  // One a refused document:
  // "acme.yaml:12: Tenant/acme: spec.enforced_labels: what, cure".
  std::vector<std::string> errors;

  // All objects that the file names, those of refused documents included.
  std::set<ObjectKey> named;

  // False: of some document it is unknown which object it is, so it can't be
  // told which ones are no longer there.
  bool complete = true;
};

// INVALID_ARGUMENT: the file as a whole can't be read.
absl::StatusOr<ResourceFile> ParseResourceFile(absl::string_view text,
                                               absl::string_view name);

}  // namespace insula::resources
