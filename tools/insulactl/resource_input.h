// The resources that the command line names.
#pragma once

#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/resources/resource_file.h"
#include "tools/insulactl/command.h"
#include "tools/insulactl/exit_code.h"
#include "tools/insulactl/options.h"

namespace insula::insulactl {

struct ResourceInput {
  size_t files = 0;
  std::vector<resources::Resource> resources;
  // What of them is wrong: "red.yaml:3: Tenant/red: spec.state: what, cure".
  std::vector<std::string> errors;
};

// Option -f,--file of the commands that read resources: the paths.
void DeclareFiles(Options* options, std::vector<std::string>* paths);

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

// The same with stdin for "-", for a command that goes on only if nothing is
// wrong; otherwise it is told, and this is what the command ends with.
ExitCode ReadOrTell(const Session& session,
                    const std::vector<std::string>& paths,
                    ResourceInput* input);

}  // namespace insula::insulactl
