#include "tools/insulactl/convert/settings.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/config/config.h"
#include "libs/labels/validity.h"
#include "libs/resources/resource_printer.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/tenant_id.h"
#include "libs/tenancy/url_check.h"

namespace insula::insulactl {
namespace {

using resources::Printable;
using resources::ResourceDocument;
using resources::ResourceNode;
using Kind = ResourceNode::Kind;

constexpr size_t kMaxValues = 100'000;
constexpr size_t kMaxErrors = 20;
constexpr size_t kMaxArgumentBytes = 1 << 20;
constexpr size_t kMaxShownBytes = 100;

std::string Shown(absl::string_view text) {
  return absl::StrCat(Printable(text.substr(0, kMaxShownBytes)),
                      text.size() > kMaxShownBytes ? "..." : "");
}

// NAME of NAME=value, if it can be that of a variable.
absl::string_view VariableName(absl::string_view word) {
  const size_t end = word.find('=');
  if (end == absl::string_view::npos || end == 0) return "";
  const absl::string_view name = word.substr(0, end);
  const bool is_name = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isupper(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '_';
  });
  return is_name ? name : "";
}

// "--port", "-v"; of a variable its name.
std::string ShownFlag(absl::string_view name) {
  if (!name.empty() &&
      absl::ascii_isupper(static_cast<unsigned char>(name[0]))) {
    return std::string(name);
  }
  return absl::StrCat(name.size() == 1 ? "-" : "--", Shown(name));
}

const Known* FindKnown(absl::Span<const Known> table, absl::string_view name) {
  const auto it =
      std::find_if(table.begin(), table.end(),
                   [name](const Known& known) { return known.name == name; });
  return it == table.end() ? nullptr : &*it;
}

}  // namespace

Settings::Settings(absl::string_view system, absl::Span<const Known> keys,
                   absl::Span<const Known> flags)
    : system_(system), keys_(keys), flags_(flags) {}

bool Settings::IsGroup(absl::string_view name) const {
  const std::string prefix = absl::StrCat(name, ".");
  return std::any_of(keys_.begin(), keys_.end(), [&prefix](const Known& known) {
    return absl::StartsWith(known.name, prefix);
  });
}

// Below a group with something secret in it, a name that is not known may be
// one in the wrong place.
bool Settings::IsSecret(absl::string_view prefix) const {
  return !prefix.empty() &&
         std::any_of(keys_.begin(), keys_.end(), [prefix](const Known& known) {
           return known.secret && absl::StartsWith(known.name, prefix);
         });
}

std::string Settings::NamesBelow(const std::string& prefix) const {
  std::vector<std::string> names;
  for (const Known& known : keys_) {
    absl::string_view name = known.name;
    if (!absl::ConsumePrefix(&name, prefix)) continue;
    const std::string first(name.substr(0, name.find('.')));
    if (std::find(names.begin(), names.end(), first) == names.end()) {
      names.push_back(first);
    }
  }
  return absl::StrJoin(names, ", ");
}

void Settings::Wrong(absl::string_view where, absl::string_view what) {
  if (!TooMany()) errors_.push_back(absl::StrCat(where, ": ", what));
}

bool Settings::TooMany() const { return errors_.size() >= kMaxErrors; }

absl::Status Settings::Errors() const {
  if (errors_.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(errors_, "\n"));
}

const Setting* Settings::Find(absl::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

void Settings::Add(const Known& known, absl::string_view shown, Value value) {
  if (++values_ > kMaxValues) {
    if (values_ == kMaxValues + 1) {
      Wrong(value.where, absl::StrCat("more than ", kMaxValues,
                                      " values; convert them in parts"));
    }
    return;
  }
  Setting*& setting = by_name_[known.name];
  if (setting == nullptr) {
    setting = &settings_.emplace_back();
    setting->known = &known;
    setting->name = std::string(shown);
    setting->where = value.where;
  } else if (known.shape == Shape::kText || known.shape == Shape::kSwitch) {
    return Wrong(value.where,
                 absl::StrCat(shown, ": is given at ", setting->where,
                              " already; keep one"));
  }
  setting->values.push_back(std::move(value));
}

absl::Status Settings::ReadYaml(const InputFile& file) {
  file_ = Shown(file.name);
  ASSIGN_OR_RETURN(documents_, resources::ParseResourceTrees(file.text, file_));
  if (documents_.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(file_, ":", documents_[1].root.line,
                     ": only one document is allowed; convert each alone"));
  }
  if (documents_.empty()) return absl::OkStatus();
  const ResourceDocument& document = documents_.front();
  if (!document.error.empty()) {
    const bool hide =
        absl::StrContains(document.error, "twice") &&
        std::any_of(keys_.begin(), keys_.end(), [](const Known& known) {
          return known.secret && known.shape == Shape::kMap;
        });
    return absl::InvalidArgumentError(
        absl::StrCat(file_, ":", document.error_line, ": ",
                     hide ? "a key is there twice; keep one" : document.error));
  }
  if (document.root.kind != Kind::kMap) {
    return absl::InvalidArgumentError(absl::StrCat(
        file_, ":", document.root.line, ": is no configuration of ", system_,
        ": it must be a map"));
  }
  ReadNode(document.root, "");
  return Errors();
}

void Settings::ReadNode(const ResourceNode& node, const std::string& prefix) {
  for (const ResourceNode& child : node.children) {
    if (TooMany() || values_ > kMaxValues) return;
    const std::string name = absl::StrCat(prefix, child.key);
    const std::string where = absl::StrCat(file_, ":", child.line);
    if (const Known* known = FindKnown(keys_, name); known != nullptr) {
      ReadSetting(child, *known);
    } else if (!IsGroup(name)) {
      Wrong(where,
            absl::StrCat(IsSecret(prefix) ? absl::StrCat("a key of ", prefix)
                                          : Shown(name),
                         ": ", system_, " has no such key; known here are ",
                         NamesBelow(prefix)));
    } else if (child.kind == Kind::kMap) {
      ReadNode(child, name + ".");
    } else if (child.kind != Kind::kNull) {
      Wrong(where,
            absl::StrCat(name, ": must be a map of ", NamesBelow(name + ".")));
    }
  }
}

void Settings::ReadSetting(const ResourceNode& node, const Known& known) {
  const std::string where = absl::StrCat(file_, ":", node.line);
  auto add = [&](absl::string_view key, absl::string_view text, int line) {
    Add(known, known.name,
        {std::string(key), std::string(text), absl::StrCat(file_, ":", line)});
  };
  auto must = [&](absl::string_view what) {
    Wrong(where, absl::StrCat(known.name, ": must be ", what));
  };
  switch (known.shape) {
    case Shape::kText:
    case Shape::kSwitch:
      if (node.kind == Kind::kList || node.kind == Kind::kMap) {
        return must("a single value");
      }
      return add("", node.scalar, node.line);
    case Shape::kTexts:
      // A single one stands for a list of it. An empty list was given, too.
      if (node.kind == Kind::kMap) return must("a list");
      add("", node.kind == Kind::kScalar ? node.scalar : "", node.line);
      for (const ResourceNode& child : node.children) {
        if (child.kind != Kind::kScalar) return must("a list of single values");
        add("", child.scalar, child.line);
      }
      break;
    case Shape::kMap:
      if (node.kind != Kind::kMap && node.kind != Kind::kNull) {
        return must("a map");
      }
      add("", "", node.line);
      for (const ResourceNode& child : node.children) {
        if (child.kind != Kind::kScalar) return must("a map of single values");
        add(child.key, child.scalar, child.line);
      }
      break;
    case Shape::kTree:
      add("", "", node.line);
      break;
  }
  const auto it = by_name_.find(known.name);
  if (it == by_name_.end()) return;
  it->second->tree = &node;
  // What was added only so that the setting is there.
  std::vector<Value>& values = it->second->values;
  if (known.shape == Shape::kTree || known.shape == Shape::kMap ||
      (known.shape == Shape::kTexts && values.front().text.empty())) {
    values.erase(values.begin());
  }
}

absl::Status Settings::ReadFlags(const std::vector<Argument>& arguments) {
  size_t bytes = 0;
  for (const Argument& argument : arguments) bytes += argument.text.size();
  if (bytes > kMaxArgumentBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the flags have ", bytes, " bytes, may have ", kMaxArgumentBytes));
  }
  for (size_t i = 0; i < arguments.size() && !TooMany(); ++i) {
    AddFlag(arguments, i);
  }
  return Errors();
}

void Settings::AddFlag(const std::vector<Argument>& arguments, size_t& index) {
  const Argument& argument = arguments[index];
  absl::string_view word = argument.text;
  if (const absl::string_view name = VariableName(word); !name.empty()) {
    const Known* known = FindKnown(flags_, name);
    if (known == nullptr) {
      return Wrong(argument.where, absl::StrCat(Shown(name), ": ", system_,
                                                " has no such variable"));
    }
    return Add(*known, name,
               {"", std::string(word.substr(name.size() + 1)), argument.where});
  }
  if (!absl::ConsumePrefix(&word, "-")) {
    // Not shown: it may be the value of a secret flag.
    return Wrong(argument.where,
                 "a word that is neither a flag, nor the value of one, nor "
                 "NAME=VALUE");
  }
  absl::ConsumePrefix(&word, "-");
  if (word.empty()) return;  // "--" alone.
  const size_t equals = word.find('=');
  const absl::string_view name = word.substr(0, equals);
  const std::string shown = ShownFlag(name);
  const Known* known = FindKnown(flags_, name);
  if (known == nullptr || known->name.find('_') != absl::string_view::npos) {
    return Wrong(argument.where,
                 absl::StrCat(shown, ": ", system_, " has no such flag"));
  }
  Value value{"", "", argument.where};
  if (equals != absl::string_view::npos) {
    value.text = std::string(word.substr(equals + 1));
  } else if (known->shape == Shape::kSwitch) {
    value.text = "true";
  } else if (index + 1 < arguments.size()) {
    value.text = arguments[++index].text;
  } else {
    return Wrong(argument.where, absl::StrCat(shown, ": has no value"));
  }
  Add(*known, shown, std::move(value));
}

std::vector<std::string> NamesOf(absl::Span<const Known> keys,
                                 absl::Span<const Known> flags) {
  std::vector<std::string> names;
  for (const Known& key : keys) names.emplace_back(key.name);
  for (const Known& flag : flags) names.push_back(ShownFlag(flag.name));
  return names;
}

absl::Status WrongSetting(const Setting& setting, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(setting.where, ": ", setting.name, ": ", what));
}

absl::Status WrongValue(const Setting& setting, const Value& value,
                        absl::string_view what) {
  const std::string shown =
      setting.known->secret ? "" : absl::StrCat("'", Shown(value.text), "' ");
  return absl::InvalidArgumentError(
      absl::StrCat(value.where, ": ", setting.name, ": ", shown, what));
}

absl::StatusOr<bool> AsBool(const Setting& setting) {
  bool value = false;
  if (!absl::SimpleAtob(setting.text(), &value)) {
    return WrongValue(setting, setting.values[0], "is neither true nor false");
  }
  return value;
}

absl::StatusOr<int64_t> AsInteger(const Setting& setting, int64_t least,
                                  int64_t most) {
  int64_t value = 0;
  if (!absl::SimpleAtoi(setting.text(), &value) || value < least ||
      value > most) {
    return WrongValue(
        setting, setting.values[0],
        absl::StrCat("is no whole number from ", least, " to ", most));
  }
  return value;
}

absl::StatusOr<absl::Duration> AsDuration(const Setting& setting,
                                          absl::Duration least,
                                          absl::Duration most) {
  absl::Duration value;
  if (!absl::ParseDuration(setting.text(), &value)) {
    return WrongValue(setting, setting.values[0],
                      "is no duration with a unit, such as 30s");
  }
  if (value < least || value > most) {
    return WrongValue(setting, setting.values[0],
                      absl::StrCat("must be from ", absl::FormatDuration(least),
                                   " to ", absl::FormatDuration(most)));
  }
  return value;
}

absl::StatusOr<std::string> AsAddress(const Setting& setting) {
  absl::string_view text = setting.text();
  std::string address(text);
  if (absl::StartsWith(text, ":")) address = absl::StrCat("0.0.0.0", text);
  if (absl::ConsumePrefix(&text, "localhost:")) {
    address = absl::StrCat("127.0.0.1:", text);
  }
  if (const absl::Status status = config::CheckAddress(address); !status.ok()) {
    return WrongValue(setting, setting.values[0],
                      "is no HOST:PORT such as 127.0.0.1:8080");
  }
  return address;
}

absl::StatusOr<std::string> AsUrl(const Setting& setting) {
  if (const absl::Status status = tenancy::CheckUrl(setting.text());
      !status.ok()) {
    // Not shown: it may have a password in it.
    return WrongSetting(setting, status.message());
  }
  return setting.text();
}

absl::StatusOr<std::string> AsLogLevel(const Setting& setting) {
  static const auto* const levels = new std::map<std::string, std::string>{
      {"trace", "debug"}, {"debug", "debug"},  {"info", "info"},
      {"warn", "warn"},   {"warning", "warn"}, {"error", "error"},
      {"fatal", "error"}, {"panic", "error"},  {"all", "debug"},
      {"none", "error"}};
  const auto it = levels->find(absl::AsciiStrToLower(setting.text()));
  if (it == levels->end()) {
    return WrongValue(setting, setting.values[0],
                      "is none of debug, info, warn, error");
  }
  return it->second;
}

absl::StatusOr<std::string> AsLabelName(const Setting& setting,
                                        const Value& value) {
  constexpr size_t kMaxBytes = 200;
  if (value.text.size() > kMaxBytes || value.text == "__name__" ||
      !labels::IsLegacyLabelName(value.text)) {
    return WrongValue(setting, value, "is no name of a label");
  }
  return value.text;
}

absl::StatusOr<std::string> AsTenantId(const Setting& setting,
                                       const Value& value) {
  const absl::Status status = tenancy::TenantId::Parse(value.text).status();
  if (status.ok()) return value.text;
  return absl::InvalidArgumentError(absl::StrCat(
      value.where, ": ", setting.name, ": ",
      setting.known->secret ? "is no tenant id" : status.message()));
}

std::vector<Value> SplitAtCommas(const Setting& setting) {
  std::vector<Value> parts;
  for (const Value& value : setting.values) {
    for (const absl::string_view part : absl::StrSplit(value.text, ',')) {
      const absl::string_view stripped = absl::StripAsciiWhitespace(part);
      if (stripped.empty()) continue;
      parts.push_back({value.key, std::string(stripped), value.where});
    }
  }
  return parts;
}

}  // namespace insula::insulactl
