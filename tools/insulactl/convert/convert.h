// Turns the configuration of another system into resources of the
// tenant-registry and configuration of the services.
//
//   ConvertInput input;
//   input.file = InputFile{"cortex-tenant.yml", text};
//   ASSIGN_OR_RETURN(const Conversion conversion,
//                    Convert(System::kCortexTenant, input));
//   for (const OutputFile& file : Render(conversion)) Write(file);
//
// Every key and every flag of the input is in one of the notes, which says what
// it became, or that it has no counterpart and what to do instead. Those that
// the other system does not have are errors. Tokens and passwords are in
// nothing that comes out: of a token its SHA-256 is.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"

namespace insula::insulactl {

enum class System {
  kCortexTenant,      // A YAML file.
  kOpenMetricsProxy,  // Flags, of the proxy or of the informer.
  kAdobeProxy,        // A YAML file; flags too.
  kPromLabelProxy,    // Flags.
  kTelemeter,  // Flags of the client, of a metrics-collector or of the server;
               // files of tokens, of selectors.
  kCortexOverrides,  // A YAML file.
};

// "cortex-tenant", "open-metrics-proxy", "adobe-proxy", "prom-label-proxy",
// "telemeter", "cortex-overrides".
absl::StatusOr<System> ParseSystem(absl::string_view name);
absl::string_view SystemName(System system);
std::vector<absl::string_view> SystemNames();

// All keys, flags and variables of a system as notes name them: "tenant.label",
// "--port", "overrides.*.ingestion_rate".
std::vector<std::string> KnownSettings(System system);

struct InputFile {
  std::string name;  // For messages.
  std::string text;
};

// A word of a command line.
struct Argument {
  std::string text;
  std::string where;  // "flags:3"
};

// The words of a file with a flag, or a variable NAME=VALUE, on each line.
// Empty lines, those that begin with '#', a backslash at the end of a line and
// quotes around a whole value are taken away; "--flag value" is two words.
std::vector<Argument> ReadFlags(const InputFile& file);
// Those after "--".
std::vector<Argument> MakeArguments(const std::vector<std::string>& words);

// The most that a file of the input may have.
inline constexpr size_t kMaxInputFileBytes = 8 << 20;

// At most 100,000 settings and 32 levels; anchors and aliases of YAML
// are refused.
struct ConvertInput {
  std::optional<InputFile> file;
  std::vector<Argument> flags;

  // Of kTelemeter: tokens as JSON [{"token": "..."}]; selectors, one a line.
  std::optional<InputFile> tokens;
  std::optional<InputFile> whitelist;
  std::optional<InputFile> matches;

  // What the other system leaves to its senders, or to nobody. Tenants that
  // there are:
  std::vector<std::string> tenants;
  // The token that senders or readers will show. Empty: there is no binding.
  std::string token;
  // The store, where the other system finds it by itself: a URL.
  std::string upstream_url;
};

// What became of a setting, or what else is to be known.
struct Note {
  enum class Kind {
    kUsed,     // It means the same here.
    kChanged,  // It means something else here: look at it.
    kNone,     // It has no counterpart.
    kToDo,     // About no setting in particular.
  };
  Kind kind = Kind::kToDo;
  std::string key;    // "tenant.label", "--port"
  std::string where;  // "cortex-tenant.yml:12"
  std::string text;
};

struct ServiceConfig {
  std::string service;  // "ingest-gateway"
  std::string yaml;     // What its --config takes.
};

struct Conversion {
  System system = System::kCortexTenant;
  // Each of them valid, and all of them together in an empty registry.
  std::vector<registry::v1::Object> objects;
  std::vector<ServiceConfig> configs;
  std::vector<Note> notes;
};

// INVALID_ARGUMENT: what is wrong in the input, a line each, at most 20:
// "FILE:LINE: KEY: what, cure".
absl::StatusOr<Conversion> Convert(System system, const ConvertInput& input);

struct OutputFile {
  std::string name;  // "resources.yaml", "ingest-gateway.yaml", "notes.md"
  std::string text;
};

// The files to write. notes.md comes last.
std::vector<OutputFile> Render(const Conversion& conversion);

}  // namespace insula::insulactl
