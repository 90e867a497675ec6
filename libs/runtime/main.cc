#include "libs/runtime/main.h"

#include <openssl/crypto.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "libs/logging/logging.h"
#include "libs/runtime/health.h"
#include "libs/runtime/version.h"
#include "libs/status/status_macros.h"

namespace insula::runtime::internal {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongConfiguration = 2;

// A container's health check may not take longer, by convention.
constexpr absl::Duration kHealthTimeout = absl::Seconds(5);

constexpr absl::string_view kUsage = R"(
  health
      Do not serve, but ask the service that runs with the same settings
      whether it is alive. Exit code 0: yes, 1: no, and stderr says why.
  --ready
      With `health`: ask whether it is ready.
  --config FILE
      Settings as YAML.
  --check-config
      Check the settings, say what is wrong with them, and end.
  --help, --help-markdown
      Show this text, or the settings as a table.
  --version
      Show the version.

Settings. A.B in the file is `B:` below `A:`, in the environment )";

constexpr size_t kMaxFileBytes = 1 << 20;

// What the command line asks for.
struct Arguments {
  bool ready = false;
  bool help = false;
  bool help_markdown = false;
  bool version = false;
  bool check_config = false;
  std::string config_file;  // Empty for none.
  std::vector<std::pair<std::string, std::string>> flags;
};

bool IsBool(const config::Fields& fields, absl::string_view flag) {
  const std::string key = absl::StrReplaceAll(flag, {{"-", "_"}});
  for (const config::Field& field : fields.fields()) {
    if (field.key == key) return field.type == "bool";
  }
  return false;
}

// The switches that take no value; null if `name` is none.
bool* FindSwitch(absl::string_view name, Arguments* arguments) {
  if (name == "help") return &arguments->help;
  if (name == "help-markdown") return &arguments->help_markdown;
  if (name == "version") return &arguments->version;
  if (name == "check-config") return &arguments->check_config;
  if (name == "ready") return &arguments->ready;
  return nullptr;
}

// `words` are those after the program's name and, if it is there, `health`.
absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& words,
                                         bool health,
                                         const config::Fields& fields) {
  Arguments arguments;
  for (size_t i = 0; i < words.size(); ++i) {
    absl::string_view name = words[i];
    if (name == "-h") name = "--help";
    if (!absl::ConsumePrefix(&name, "--") || name.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", words[i],
                       "' is not understood; settings are "
                       "given as --KEY VALUE, see --help"));
    }
    const size_t equals = name.find('=');
    const bool has_value = equals != absl::string_view::npos;
    std::string value;
    if (has_value) value = std::string(name.substr(equals + 1));
    name = name.substr(0, equals);

    if (bool* on =
            FindSwitch(absl::StrReplaceAll(name, {{"_", "-"}}), &arguments)) {
      if (has_value) {
        return absl::InvalidArgumentError(
            absl::StrCat("flag --", name, ": takes no value"));
      }
      *on = true;
      continue;
    }
    const bool more = i + 1 < words.size();
    if (!has_value && IsBool(fields, name)) {
      // `--verbose` alone means true.
      const bool said =
          more && (words[i + 1] == "true" || words[i + 1] == "false");
      value = said ? words[++i] : "true";
    } else if (!has_value) {
      if (!more || absl::StartsWith(words[i + 1], "--")) {
        return absl::InvalidArgumentError(
            absl::StrCat("flag --", name,
                         ": needs a value; one that starts "
                         "with -- is given as --",
                         name, "=VALUE"));
      }
      value = words[++i];
    }
    if (name == "config") {
      if (value.empty() || !arguments.config_file.empty()) {
        return absl::InvalidArgumentError("flag --config: must name one file");
      }
      arguments.config_file = std::move(value);
    } else {
      arguments.flags.emplace_back(std::string(name), std::move(value));
    }
  }
  if (arguments.ready && !health) {
    return absl::InvalidArgumentError(
        "flag --ready: goes with the word health in front");
  }
  return arguments;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const auto failed = [&path] {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": can't be read: ", strerror(errno)));
  };
  std::ifstream file(path, std::ios::binary);
  if (!file) return failed();
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return failed();
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is larger than 1 MiB"));
  }
  return text;
}

absl::Status LoadConfig(absl::string_view name, Arguments arguments,
                        const ConfigOps& config) {
  config::Sources sources;
  sources.service = std::string(name);
  if (!arguments.config_file.empty()) {
    ASSIGN_OR_RETURN(sources.yaml, ReadFile(arguments.config_file));
    sources.yaml_name = std::move(arguments.config_file);
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    sources.env.emplace_back(*entry);
  }
  sources.flags = std::move(arguments.flags);
  return config::Apply(sources, *config.fields, config.validate);
}

int Run(absl::string_view name, const ConfigOps& config,
        const std::function<absl::Status(Process&)>& run) {
  absl::StatusOr<std::unique_ptr<Process>> process =
      Process::Start(name, *config.process, config::Dump(*config.fields));
  absl::Status status = process.status();
  if (status.ok()) status = run(**process);
  if (!status.ok()) {
    logging::Error("failed", {{"err", status}});
    return kFailed;
  }
  process->reset();
  logging::Info("stopped");
  return 0;
}

absl::Status CheckHealth(absl::string_view name, Arguments arguments,
                         const ConfigOps& config) {
  const absl::string_view path = arguments.ready ? "/readyz" : "/livez";
  RETURN_IF_ERROR(LoadConfig(name, std::move(arguments), config));
  return AskHealth(*config.process, path, kHealthTimeout);
}

}  // namespace

int MainWith(absl::string_view name, int argc, char** argv,
             const ConfigOps& config,
             const std::function<absl::Status(Process&)>& run) {
  // gRPC's threads may be amid a handshake when the process exits: OpenSSL must
  // not take from them what it has by then.
  OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
  const bool health = argc > 1 && absl::string_view(argv[1]) == "health";
  const auto wrong = [name, health](const absl::Status& status) {
    std::cerr << name << ": " << status.message() << std::endl;
    return health ? kFailed : kWrongConfiguration;
  };
  absl::StatusOr<Arguments> arguments =
      ParseArguments(std::vector<std::string>(
                         argv + std::min(argc, health ? 2 : 1), argv + argc),
                     health, *config.fields);
  if (!arguments.ok()) return wrong(arguments.status());
  if (arguments->help) {
    std::cout << "usage: " << name
              << " [health [--ready]] [--config FILE] [--KEY VALUE]...\n"
              << kUsage
              << absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{"-", "_"}}))
              << "_A_B.\n\n"
              << config::Help(*config.fields);
    return 0;
  }
  if (arguments->help_markdown) {
    std::cout << config::HelpMarkdown(*config.fields);
    return 0;
  }
  if (arguments->version) {
    std::cout << name << " " << Version() << "\n";
    return 0;
  }
  if (health) {
    const absl::Status well = CheckHealth(name, *std::move(arguments), config);
    return well.ok() ? 0 : wrong(well);
  }
  const bool check_only = arguments->check_config;
  const absl::Status loaded = LoadConfig(name, *std::move(arguments), config);
  if (!loaded.ok()) return wrong(loaded);
  const auto level = logging::ParseLevel(config.process->log_level);
  const auto format = logging::ParseFormat(config.process->log_format);
  if (!level.ok()) return wrong(level.status());
  if (!format.ok()) return wrong(format.status());
  if (check_only) {
    std::cout << name << ": the configuration is valid\n";
    return 0;
  }
  logging::Configure(name, *level, *format);
  logging::Info("starting", {{"version", Version()}});
  return Run(name, config, run);
}

}  // namespace insula::runtime::internal
