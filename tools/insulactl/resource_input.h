// The resources that the command line names.
#pragma once

#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/resources/resource_file.h"

namespace insula::insulactl {

struct ResourceInput {
  size_t files = 0;
  std::vector<resources::Resource> resources;
  // What of them is wrong: "red.yaml:3: Tenant/red: spec.state: what, cure".
  std::vector<std::string> errors;
};

// Each path is a file, a directory, of which the files *.yaml, *.yml and *.json
// are read in the order of their names, or "-" for `in`. Each file is at most
// resources::kMaxResourceFileBytes long. INVALID_ARGUMENT: a path can't be
// read.
absl::StatusOr<ResourceInput> ReadResources(
    const std::vector<std::string>& paths, std::istream* in);

// The same, and what is wrong among them, taking for granted that whatever they
// name and do not have themselves is at the registry.
absl::StatusOr<ResourceInput> ReadResourcesToApply(
    const std::vector<std::string>& paths, std::istream* in);

}  // namespace insula::insulactl
