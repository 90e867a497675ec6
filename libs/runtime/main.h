// The main() that all services share.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/config/config.h"
#include "libs/runtime/process.h"

namespace insula::runtime {

namespace internal {

// What Main needs to know of a Config, without its type.
struct ConfigOps {
  const config::Fields* fields;
  const ProcessConfig* process;
  std::function<absl::Status()> validate;
};
int MainWith(absl::string_view name, int argc, char** argv,
             const ConfigOps& config,
             const std::function<absl::Status(Process&)>& run);

}  // namespace internal

// Handles --config FILE, --check-config, --help, --help-markdown, --version and
// a flag per setting, loads the configuration and hands it to `run`. After the
// word `health` it asks the service that runs with this configuration whether
// it is alive, or with --ready whether it is ready; see docs/architecture.md.
// `Config` has a member `process` of type ProcessConfig, Describe() and
// Validate(), which calls process.Describe() and process.Validate(). Errors of
// configuration are printed as "NAME: PLACE: KEY: what". Returns the exit code:
// 0 after a clean drain, 1 if `run` failed, 2 if the configuration is wrong; of
// `health` 0 for yes and 1 for everything else.
template <typename Config>
int Main(absl::string_view name, int argc, char** argv,
         absl::Status (*run)(const Config&, Process&)) {
  Config config;
  config::Fields fields;
  config.Describe(fields);
  const internal::ConfigOps ops{&fields, &config.process,
                                [&config] { return config.Validate(); }};
  return internal::MainWith(
      name, argc, argv, ops,
      [&config, run](Process& process) { return run(config, process); });
}

}  // namespace insula::runtime
