#include "tools/insulactl/convert/convert.h"

#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/resources/resource_printer.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/url_check.h"
#include "tools/insulactl/convert/systems.h"

namespace insula::insulactl {
namespace {

using resources::Printable;

constexpr size_t kMaxTenants = 100'000;

constexpr std::array<std::pair<System, absl::string_view>, 6> kSystems = {{
    {System::kCortexTenant, "cortex-tenant"},
    {System::kOpenMetricsProxy, "open-metrics-proxy"},
    {System::kAdobeProxy, "adobe-proxy"},
    {System::kPromLabelProxy, "prom-label-proxy"},
    {System::kTelemeter, "telemeter"},
    {System::kCortexOverrides, "cortex-overrides"},
}};

// Text in a cell of a table of Markdown.
std::string Cell(absl::string_view text) {
  std::string cell;
  for (const char c : Printable(text)) {
    if (c == '|') cell.push_back('\\');
    cell.push_back(c);
  }
  return cell;
}

// Notes of a kind as a table; those that say the same share a row.
void AppendTable(const Conversion& conversion, Note::Kind kind,
                 absl::string_view title, absl::string_view column,
                 std::string& out) {
  std::vector<std::pair<std::string, std::vector<std::string>>> rows;
  for (const Note& note : conversion.notes) {
    if (note.kind != kind) continue;
    if (rows.empty() || rows.back().first != note.text) {
      rows.push_back({note.text, {}});
    }
    rows.back().second.push_back(
        absl::StrCat("`", note.key, "` (", note.where, ")"));
  }
  if (rows.empty()) return;
  absl::StrAppend(&out, "\n## ", title, "\n\n| setting | ", column,
                  " |\n| --- | --- |\n");
  for (const auto& [text, settings] : rows) {
    absl::StrAppend(&out, "| ", Cell(absl::StrJoin(settings, ", ")), " | ",
                    Cell(text), " |\n");
  }
}

std::string Notes(const Conversion& conversion) {
  std::string out = absl::StrCat("# What became of the configuration of ",
                                 SystemName(conversion.system), "\n");
  bool first = true;
  for (const Note& note : conversion.notes) {
    if (note.kind != Note::Kind::kToDo) continue;
    absl::StrAppend(&out, first ? "\n## To do and to know\n\n" : "", "- ",
                    Printable(note.text), "\n");
    first = false;
  }
  AppendTable(conversion, Note::Kind::kNone, "Has no counterpart",
              "what to do instead", out);
  AppendTable(conversion, Note::Kind::kChanged, "Means something else here",
              "became", out);
  AppendTable(conversion, Note::Kind::kUsed, "Means the same here", "became",
              out);
  return out;
}

// `--flag value` as two words, quotes around a value taken away.
void AddLine(absl::string_view line, const std::string& where,
             std::vector<Argument>& arguments) {
  auto unquote = [](absl::string_view text) {
    if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
        text.back() == text.front()) {
      text = text.substr(1, text.size() - 2);
    }
    return std::string(text);
  };
  const size_t equals = line.find('=');
  const size_t blank = line.find_first_of(" \t");
  if (blank < equals && line[0] == '-') {
    arguments.push_back({std::string(line.substr(0, blank)), where});
    arguments.push_back(
        {unquote(absl::StripLeadingAsciiWhitespace(line.substr(blank))),
         where});
  } else if (equals != absl::string_view::npos) {
    arguments.push_back({absl::StrCat(line.substr(0, equals + 1),
                                      unquote(line.substr(equals + 1))),
                         where});
  } else {
    arguments.push_back({unquote(line), where});
  }
}

absl::Status CheckInput(System system, const ConvertInput& input) {
  const bool flags_only = system == System::kOpenMetricsProxy ||
                          system == System::kPromLabelProxy ||
                          system == System::kTelemeter;
  if (flags_only && input.file.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(SystemName(system),
                     " has no configuration file: give "
                     "its flags after --, or a file with "
                     "one on each line"));
  }
  if (!input.flags.empty() && !flags_only && system != System::kAdobeProxy) {
    return absl::InvalidArgumentError(absl::StrCat(
        SystemName(system), " has a configuration file and no flags"));
  }
  if (system != System::kTelemeter &&
      (input.tokens.has_value() || input.whitelist.has_value() ||
       input.matches.has_value())) {
    return absl::InvalidArgumentError(
        "files of tokens and of selectors are telemeter's only");
  }
  if (input.tenants.size() > kMaxTenants) {
    return absl::InvalidArgumentError(
        absl::StrCat("more than ", kMaxTenants, " tenants given"));
  }
  for (const auto* file :
       {&input.file, &input.tokens, &input.whitelist, &input.matches}) {
    if (file->has_value() && (*file)->text.size() > kMaxInputFileBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat((*file)->name, ": has ", (*file)->text.size(),
                       " bytes, may have ", kMaxInputFileBytes));
    }
  }
  if (input.upstream_url.empty()) return absl::OkStatus();
  return Annotate(tenancy::CheckUrl(input.upstream_url), "the upstream URL");
}

}  // namespace

absl::StatusOr<System> ParseSystem(absl::string_view name) {
  for (const auto& [system, known] : kSystems) {
    if (known == name) return system;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", Printable(name.substr(0, 100)), "' is none of ",
                   absl::StrJoin(SystemNames(), ", ")));
}

absl::string_view SystemName(System system) {
  for (const auto& [known, name] : kSystems) {
    if (known == system) return name;
  }
  return "";
}

std::vector<absl::string_view> SystemNames() {
  std::vector<absl::string_view> names;
  for (const auto& [system, name] : kSystems) names.push_back(name);
  return names;
}

std::vector<std::string> KnownSettings(System system) {
  switch (system) {
    case System::kCortexTenant:
      return CortexTenantSettings();
    case System::kOpenMetricsProxy:
      return OpenMetricsProxySettings();
    case System::kAdobeProxy:
      return AdobeProxySettings();
    case System::kPromLabelProxy:
      return PromLabelProxySettings();
    case System::kTelemeter:
      return TelemeterSettings();
    case System::kCortexOverrides:
      return CortexOverridesSettings();
  }
  return {};
}

std::vector<Argument> ReadFlags(const InputFile& file) {
  std::vector<Argument> arguments;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(file.text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    absl::ConsumeSuffix(&line, "\\");
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    AddLine(line, absl::StrCat(Printable(file.name), ":", number), arguments);
  }
  return arguments;
}

std::vector<Argument> MakeArguments(const std::vector<std::string>& words) {
  std::vector<Argument> arguments;
  for (size_t i = 0; i < words.size(); ++i) {
    arguments.push_back({words[i], absl::StrCat("word ", i + 1)});
  }
  return arguments;
}

absl::StatusOr<Conversion> Convert(System system, const ConvertInput& input) {
  RETURN_IF_ERROR(CheckInput(system, input));
  switch (system) {
    case System::kCortexTenant:
      return ConvertCortexTenant(input);
    case System::kOpenMetricsProxy:
      return ConvertOpenMetricsProxy(input);
    case System::kAdobeProxy:
      return ConvertAdobeProxy(input);
    case System::kPromLabelProxy:
      return ConvertPromLabelProxy(input);
    case System::kTelemeter:
      return ConvertTelemeter(input);
    case System::kCortexOverrides:
      return ConvertCortexOverrides(input);
  }
  return absl::InternalError("a system without a conversion");
}

std::vector<OutputFile> Render(const Conversion& conversion) {
  std::vector<OutputFile> files;
  const absl::string_view system = SystemName(conversion.system);
  std::string text = absl::StrCat(
      "# Resources of the tenant-registry, out of the "
      "configuration of ",
      system, ".\n# Read the notes before you use them.\n");
  bool first = true;
  for (const registry::v1::Object& object : conversion.objects) {
    absl::StrAppend(&text, first ? "" : "---\n", resources::ToYaml(object));
    first = false;
  }
  if (!conversion.objects.empty()) {
    files.push_back({"resources.yaml", std::move(text)});
  }
  for (const ServiceConfig& config : conversion.configs) {
    files.push_back({absl::StrCat(config.service, ".yaml"),
                     absl::StrCat("# Configuration of ", config.service,
                                  ", out of that of ", system,
                                  ".\n# What is left out has a default: "
                                  "docs/services/",
                                  config.service, ".md.\n", config.yaml)});
  }
  files.push_back({"notes.md", Notes(conversion)});
  return files;
}

}  // namespace insula::insulactl
