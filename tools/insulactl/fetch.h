// Objects out of the registry.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/resources/object_key.h"

namespace insula::insulactl {

namespace v1 = ::insula::registry::v1;

// The calls that it takes, as of Client.
struct Reads {
  std::function<absl::StatusOr<v1::GetResponse>(const v1::GetRequest&)> get;
  std::function<absl::StatusOr<v1::ListResponse>(const v1::ListRequest&)> list;
};

// All objects of a kind, of one revision, in the order of their ids. Starts
// again if they change meanwhile; ABORTED if they do so again and again.
absl::StatusOr<std::vector<v1::Object>> ListAll(const Reads& reads,
                                                v1::Kind kind,
                                                const std::string& prefix);

using Objects = absl::flat_hash_map<resources::ObjectKey, v1::Object>;

// Those of the keys that there are.
absl::StatusOr<Objects> Fetch(const Reads& reads,
                              const std::vector<resources::ObjectKey>& keys);

}  // namespace insula::insulactl
