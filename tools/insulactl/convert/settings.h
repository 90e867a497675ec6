// The settings of another system: keys of a file, flags, variables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/resources/resource_tree.h"
#include "tools/insulactl/convert/convert.h"

namespace insula::insulactl {

enum class Shape {
  kText,
  kSwitch,  // true or false; a flag of it needs no value.
  kTexts,   // A list; a flag that may be repeated.
  kMap,     // Of texts. Of a file only.
  kTree,    // Anything. Of a file only.
};

// A setting that the other system has. Keys are paths, flags have no dashes.
struct Known {
  absl::string_view name;
  Shape shape = Shape::kText;
  // It has no counterpart, and this is what to say of it. Empty: see the code.
  absl::string_view instead = "";
  // Its value, or what is below it, is never shown.
  bool secret = false;
};

struct Value {
  std::string key;  // Of a map.
  std::string text;
  std::string where;  // "proxy.yaml:3"
};

// A setting that was given.
struct Setting {
  const Known* known = nullptr;
  std::string name;  // As people write it: "tenant.label", "--port".
  std::string where;
  std::vector<Value> values;                      // One for kText and kSwitch.
  const resources::ResourceNode* tree = nullptr;  // Of kTree.

  const std::string& text() const { return values.front().text; }
};

// All that were given. Movable; refers to the tables.
class Settings {
 public:
  // `system` is named in messages. `keys` are those of its file, `flags` those
  // of its command line and its variables. All errors are INVALID_ARGUMENT.
  Settings(absl::string_view system, absl::Span<const Known> keys,
           absl::Span<const Known> flags);

  // Adds those of a YAML file: one document, a map, or nothing.
  absl::Status ReadYaml(const InputFile& file);
  // Adds those of a command line. --flag=value, --flag value, -flag; words such
  // as NAME=value are variables.
  absl::Status ReadFlags(const std::vector<Argument>& arguments);

  // Null if it was not given.
  const Setting* Find(absl::string_view name) const;
  const std::deque<Setting>& all() const { return settings_; }
  // Who they are for.
  const std::string& system() const { return system_; }

 private:
  void ReadNode(const resources::ResourceNode& node, const std::string& prefix);
  void ReadSetting(const resources::ResourceNode& node, const Known& known);
  void Add(const Known& known, absl::string_view shown, Value value);
  void AddFlag(const std::vector<Argument>& arguments, size_t& index);
  bool IsGroup(absl::string_view name) const;
  bool IsSecret(absl::string_view prefix) const;
  std::string NamesBelow(const std::string& prefix) const;
  void Wrong(absl::string_view where, absl::string_view what);
  absl::Status Errors() const;
  bool TooMany() const;

  std::string system_;
  absl::Span<const Known> keys_;
  absl::Span<const Known> flags_;
  std::string file_;
  // Of the file; settings refer to it.
  std::vector<resources::ResourceDocument> documents_;
  std::deque<Setting> settings_;
  std::map<absl::string_view, Setting*> by_name_;
  size_t values_ = 0;
  std::vector<std::string> errors_;
};

// The names of settings as people write them.
std::vector<std::string> NamesOf(absl::Span<const Known> keys,
                                 absl::Span<const Known> flags);

// "FILE:LINE: KEY: what".
absl::Status WrongSetting(const Setting& setting, absl::string_view what);
absl::Status WrongValue(const Setting& setting, const Value& value,
                        absl::string_view what);

// The value of a setting as what it must be.
absl::StatusOr<bool> AsBool(const Setting& setting);
absl::StatusOr<int64_t> AsInteger(const Setting& setting, int64_t least,
                                  int64_t most);
// With a unit, as Go has them: 10s, 4m30s.
absl::StatusOr<absl::Duration> AsDuration(const Setting& setting,
                                          absl::Duration least,
                                          absl::Duration most);
// HOST:PORT. No host is every address, "localhost" is 127.0.0.1.
absl::StatusOr<std::string> AsAddress(const Setting& setting);
// http or https.
absl::StatusOr<std::string> AsUrl(const Setting& setting);
// debug, info, warn or error.
absl::StatusOr<std::string> AsLogLevel(const Setting& setting);
absl::StatusOr<std::string> AsLabelName(const Setting& setting,
                                        const Value& value);
absl::StatusOr<std::string> AsTenantId(const Setting& setting,
                                       const Value& value);
// The values, each split at commas, without blanks around them and without
// empty ones.
std::vector<Value> SplitAtCommas(const Setting& setting);

}  // namespace insula::insulactl
