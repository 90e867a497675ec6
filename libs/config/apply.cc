#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "libs/config/config.h"
#include "libs/config/yaml_tree.h"

namespace insula::config {
namespace {

using internal::YamlNode;

// Longest list of structs: each element costs far more than its text.
constexpr size_t kMaxElements = 1000;

// Letters to change, add or remove to get from `a` to `b`.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row[b.size()];
}

// "; did you mean NAME?" with the nearest of `names`, else what there is.
std::string Suggest(absl::string_view name, const std::set<std::string>& names,
                    absl::string_view before) {
  constexpr size_t kLongest = 100;  // Of a name worth comparing.
  const std::string* nearest = nullptr;
  size_t least = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : names) {
    if (name.size() > kLongest) break;
    const size_t distance = EditDistance(name, candidate);
    if (distance < least) {
      least = distance;
      nearest = &candidate;
    }
  }
  if (nearest != nullptr) {
    return absl::StrCat("; did you mean ", before, *nearest, "?");
  }
  if (names.size() > 20) return "; --help lists all";
  return absl::StrCat("; there are ", absl::StrJoin(names, ", "));
}

std::string ShownKey(absl::string_view key) {
  constexpr size_t kShown = 100;
  return absl::StrCat(absl::CHexEscape(key.substr(0, kShown)),
                      key.size() > kShown ? "..." : "");
}

const Field* Find(const Fields& fields, absl::string_view key) {
  for (const Field& field : fields.fields()) {
    if (field.key == key) return &field;
  }
  return nullptr;
}

bool IsGroup(const Fields& fields, absl::string_view key) {
  const std::string prefix = absl::StrCat(key, ".");
  return std::any_of(
      fields.fields().begin(), fields.fields().end(),
      [&](const Field& field) { return absl::StartsWith(field.key, prefix); });
}

// The names that may stand below `prefix`, which is "" or ends with a dot.
std::set<std::string> NamesBelow(const Fields& fields,
                                 absl::string_view prefix) {
  std::set<std::string> names;
  for (const Field& field : fields.fields()) {
    absl::string_view key = field.key;
    if (!absl::ConsumePrefix(&key, prefix)) continue;
    names.emplace(key.substr(0, key.find('.')));
  }
  return names;
}

class Applier {
 public:
  explicit Applier(const Sources& sources) : sources_(sources) {}

  absl::Status Yaml(const Fields& fields);
  absl::Status Environment(const Fields& fields);
  absl::Status Flags(const Fields& fields);

  // Adds to an error of a Validate() where the key was set that its message
  // starts with. `base` is the path of what `fields` describe: "" or
  // "listeners[0]"; `place` is where that is.
  absl::Status Locate(const absl::Status& status, const Fields& fields,
                      absl::string_view base, absl::string_view place) const;

 private:
  std::string At(const YamlNode& node) const {
    return absl::StrCat(sources_.yaml_name, ":", node.line);
  }
  static absl::Status Error(absl::string_view place, absl::string_view path,
                            absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat(place, ": ", path, path.empty() ? "" : ": ", what));
  }

  // `group` is the path within `fields`, "" or "tls."; `base` is the path of
  // the fields themselves, "" or "listeners[0].".
  absl::Status Map(const YamlNode& map, const Fields& fields,
                   const std::string& group, const std::string& base);
  absl::Status Value(const YamlNode& node, const Field& field,
                     const std::string& path);
  absl::Status Strings(const YamlNode& node, const Field& field,
                       const std::string& path);
  absl::Status List(const YamlNode& node, const ListField& list,
                    const std::string& path);
  // Sets a value from the environment or a flag.
  absl::Status Set(const Field& field, absl::string_view text,
                   const std::string& place);

  const Sources& sources_;
  std::map<std::string, std::string> places_;  // By path.
};

absl::Status Applier::Yaml(const Fields& fields) {
  const absl::StatusOr<YamlNode> root =
      internal::ParseYaml(sources_.yaml, sources_.yaml_name);
  if (!root.ok()) return root.status();
  if (root->kind == YamlNode::Kind::kNull) return absl::OkStatus();
  if (root->kind != YamlNode::Kind::kMap) {
    return Error(At(*root), "", "must hold settings as `key: value` lines");
  }
  return Map(*root, fields, "", "");
}

absl::Status Applier::Map(const YamlNode& map, const Fields& fields,
                          const std::string& group, const std::string& base) {
  for (const YamlNode& node : map.children) {
    const std::string key = absl::StrCat(group, node.key);
    const std::string path = absl::StrCat(base, ShownKey(key));
    places_[path] = At(node);
    absl::Status status;
    // Written flat, a path would slip past the check for repeated keys.
    const bool flat = absl::StrContains(node.key, '.');
    const Field* field = flat ? nullptr : Find(fields, key);
    if (field != nullptr) {
      if (field->list != nullptr) {
        status = List(node, *field->list, path);
      } else if (field->strings != nullptr) {
        status = Strings(node, *field, path);
      } else {
        status = Value(node, *field, path);
      }
    } else if (!flat && IsGroup(fields, key)) {
      const std::string inner = key + ".";
      if (node.kind == YamlNode::Kind::kMap) {
        status = Map(node, fields, inner, base);
      } else if (node.kind != YamlNode::Kind::kNull) {
        status =
            Error(At(node), path,
                  absl::StrCat("must hold settings: ",
                               absl::StrJoin(NamesBelow(fields, inner), ", ")));
      }
    } else {
      status =
          Error(At(node), path,
                absl::StrCat("is unknown",
                             Suggest(node.key, NamesBelow(fields, group), "")));
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Applier::Value(const YamlNode& node, const Field& field,
                            const std::string& path) {
  if (node.kind == YamlNode::Kind::kNull) {
    return Error(At(node), path,
                 "has no value; give it one (\"\" for empty text), or remove "
                 "the line");
  }
  if (node.kind != YamlNode::Kind::kScalar) {
    return Error(At(node), path,
                 absl::StrCat("must be one value, of type ", field.type));
  }
  const absl::Status status = field.set(node.scalar);
  return status.ok() ? status : Error(At(node), path, status.message());
}

absl::Status Applier::Strings(const YamlNode& node, const Field& field,
                              const std::string& path) {
  std::vector<std::string> strings;
  if (node.kind != YamlNode::Kind::kList &&
      node.kind != YamlNode::Kind::kNull) {
    return Error(At(node), path, "must be a list, `[a, b]`");
  }
  for (const YamlNode& element : node.children) {
    if (element.kind != YamlNode::Kind::kScalar ||
        absl::StrContains(element.scalar, '\0')) {
      return Error(At(element), absl::StrCat(path, "[", strings.size(), "]"),
                   "must be text");
    }
    strings.push_back(element.scalar);
  }
  *field.strings = std::move(strings);
  return absl::OkStatus();
}

absl::Status Applier::List(const YamlNode& node, const ListField& list,
                           const std::string& path) {
  if (node.kind != YamlNode::Kind::kList &&
      node.kind != YamlNode::Kind::kNull) {
    return Error(At(node), path,
                 "must be a list; start each element with `- `");
  }
  if (node.children.size() > kMaxElements) {
    return Error(
        At(node), path,
        absl::StrCat("has ", node.children.size(), " elements, at most ",
                     kMaxElements, " are allowed"));
  }
  list.reset(node.children.size());
  for (size_t i = 0; i < node.children.size(); ++i) {
    const YamlNode& element = node.children[i];
    const std::string base = absl::StrCat(path, "[", i, "]");
    Fields fields;
    list.describe(i, fields);
    if (element.kind != YamlNode::Kind::kMap) {
      return Error(At(element), base,
                   absl::StrCat("must hold settings: ",
                                absl::StrJoin(NamesBelow(fields, ""), ", ")));
    }
    absl::Status status = Map(element, fields, "", base + ".");
    if (!status.ok()) return status;
    status = Locate(list.validate(i), fields, base, At(element));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Applier::Set(const Field& field, absl::string_view text,
                          const std::string& place) {
  if (!field.set) {
    return Error(place, field.key,
                 "is a list; set it in the configuration file");
  }
  if (field.type == kSecretType) {
    return Error(place, field.key,
                 "is a secret; set it in the configuration file, others can "
                 "read a command line and an environment");
  }
  const absl::Status status = field.set(text);
  if (!status.ok()) return Error(place, field.key, status.message());
  places_[field.key] = place;
  return absl::OkStatus();
}

absl::Status Applier::Environment(const Fields& fields) {
  std::map<absl::string_view, absl::string_view> variables;
  for (absl::string_view entry : sources_.env) {
    const size_t equals = entry.find('=');
    if (equals == absl::string_view::npos) continue;
    variables.emplace(entry.substr(0, equals), entry.substr(equals + 1));
  }
  for (const Field& field : fields.fields()) {
    const std::string name = absl::AsciiStrToUpper(
        absl::StrReplaceAll(absl::StrCat(sources_.service, "_", field.key),
                            {{"-", "_"}, {".", "_"}}));
    const auto found = variables.find(name);
    if (found == variables.end()) continue;
    const absl::Status status =
        Set(field, found->second, absl::StrCat("environment ", name));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Applier::Flags(const Fields& fields) {
  std::set<std::string> seen;
  for (const auto& [name, text] : sources_.flags) {
    const std::string place = absl::StrCat("flag --", ShownKey(name));
    const std::string key = absl::StrReplaceAll(name, {{"-", "_"}});
    const Field* field = Find(fields, key);
    if (field == nullptr) {
      std::set<std::string> names;
      for (const Field& known : fields.fields()) {
        if (known.set && known.type != kSecretType) {
          names.insert(absl::StrReplaceAll(known.key, {{"_", "-"}}));
        }
      }
      return absl::InvalidArgumentError(absl::StrCat(
          place, ": is unknown",
          Suggest(absl::StrReplaceAll(key, {{"_", "-"}}), names, "--")));
    }
    if (!seen.insert(key).second) {
      return Error(place, key, "is there twice; keep one of them");
    }
    const absl::Status status = Set(*field, text, place);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Applier::Locate(const absl::Status& status, const Fields& fields,
                             absl::string_view base,
                             absl::string_view place) const {
  if (status.ok()) return status;
  const absl::string_view message = status.message();
  std::string key(message.substr(0, message.find(": ")));
  const bool named = key.size() < message.size() &&
                     (Find(fields, key) != nullptr || IsGroup(fields, key));
  if (!named) return Error(place, base, message);

  const std::string dotted = base.empty() ? "" : absl::StrCat(base, ".");
  std::string where(place);
  // A key that was not set is looked for in the groups around it.
  for (std::string at = key;;) {
    if (const auto it = places_.find(dotted + at); it != places_.end()) {
      where = it->second;
      break;
    }
    const size_t dot = at.rfind('.');
    if (dot == std::string::npos) break;
    at.resize(dot);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(where, where.empty() ? "" : ": ", dotted, message));
}

}  // namespace

absl::Status Apply(const Sources& sources, const Fields& fields,
                   const std::function<absl::Status()>& validate) {
  Applier applier(sources);
  absl::Status status = applier.Yaml(fields);
  if (status.ok()) status = applier.Environment(fields);
  if (status.ok()) status = applier.Flags(fields);
  if (status.ok() && validate) {
    status = applier.Locate(validate(), fields, "", sources.yaml_name);
  }
  return status;
}

}  // namespace insula::config
