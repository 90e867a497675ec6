// Telemeter: its client, its server, and the metrics-collector made of the
// client.
#include "tools/insulactl/convert/telemeter.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/status/status_macros.h"
#include "tools/insulactl/convert/systems.h"

namespace insula::insulactl {
namespace telemeter {

absl::StatusOr<std::pair<std::string, std::string>> LabelOf(
    const Setting& setting, const Value& value) {
  const size_t equals = value.text.find('=');
  if (equals == std::string::npos || equals + 1 == value.text.size()) {
    return WrongValue(setting, value, "is no NAME=VALUE");
  }
  ASSIGN_OR_RETURN(
      std::string name,
      AsLabelName(setting, {"", value.text.substr(0, equals), value.where}));
  return std::make_pair(std::move(name), value.text.substr(equals + 1));
}

absl::StatusOr<std::vector<std::string>> SelectorsOf(const Setting& setting) {
  std::vector<std::string> selectors;
  for (const Value& value : setting.values) {
    if (const absl::Status status = CheckSelector(value.text); !status.ok()) {
      return WrongValue(setting, value, status.message());
    }
    selectors.push_back(value.text);
  }
  return selectors;
}

absl::Status LogLevel(const Settings& settings, absl::string_view service,
                      Draft& draft) {
  for (const char* name : {"v", "verbose"}) {
    const Setting* setting = draft.Given(settings, name);
    if (setting == nullptr) continue;
    ASSIGN_OR_RETURN(const bool on, AsBool(*setting));
    if (on) draft.config(service).Set("log_level", "debug");
    draft.Used(*setting, absl::StrCat(service, " log_level"));
  }
  const Setting* setting = draft.Given(settings, "log-level");
  if (setting == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string level, AsLogLevel(*setting));
  draft.config(service).Set("log_level", level);
  draft.Used(*setting, absl::StrCat(service, " log_level"));
  return absl::OkStatus();
}

}  // namespace telemeter

namespace {

// Only the client has a source.
bool IsFrom(const Argument& argument) {
  absl::string_view word = argument.text;
  return absl::StartsWith(word, "--from") || absl::StartsWith(word, "-from");
}

}  // namespace

std::vector<std::string> TelemeterSettings() {
  std::vector<std::string> names = NamesOf({}, telemeter::ClientFlags());
  for (std::string& name : NamesOf({}, telemeter::ServerFlags())) {
    names.push_back(std::move(name));
  }
  return names;
}

absl::StatusOr<Conversion> ConvertTelemeter(const ConvertInput& input) {
  const bool client =
      std::any_of(input.flags.begin(), input.flags.end(), IsFrom);
  Settings settings(
      client ? "telemeter-client" : "telemeter-server", {},
      client ? telemeter::ClientFlags() : telemeter::ServerFlags());
  RETURN_IF_ERROR(settings.ReadFlags(input.flags));
  return client ? telemeter::ConvertClient(input, settings)
                : telemeter::ConvertServer(input, settings);
}

}  // namespace insula::insulactl
