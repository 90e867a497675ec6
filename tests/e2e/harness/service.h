// A service of ours, as the tests and the benchmarks start it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/e2e/harness/process.h"

namespace insula::e2e {

struct Service {
  std::unique_ptr<Process> process;
  // Of its listeners, by their names. Empty if it did not get ready.
  std::map<std::string, int> ports;
};

// Starts `binary` and waits until it is ready, has ended, or kStartTimeout is
// over. Its settings are `config`, YAML, with free ports of 127.0.0.1 for gRPC,
// in plain text, unless `grpc_port` says which, and for the admin listener. In
// `dir` are its settings, its ports file and its output: NAME.yaml, .ports and
// .log. `environment` is added to its environment, "NAME=value" each.
Service StartService(const TempDir& dir, const std::string& binary,
                     absl::string_view name, absl::string_view config,
                     int grpc_port = 0,
                     const std::vector<std::string>& environment = {});

}  // namespace insula::e2e
