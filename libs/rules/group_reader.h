// Reads groups of rules out of YAML nodes.
#pragma once

#include <cstddef>
#include <optional>

#include "libs/rules/decoder.h"
#include "libs/rules/dialect.h"
#include "libs/rules/group.h"
#include "libs/rules/reporter.h"
#include "libs/rules/yaml_document.h"

namespace insula::rules::internal {

struct GroupReaderOptions {
  Dialect dialect;

  // Keep keys that the dialect does not know in Group::foreign_keys, rather
  // than report them.
  bool keep_foreign_keys = false;

  size_t max_rules = 0;
};

// Reads structure and types; what values mean is for CheckGroup(). The two
// others outlive it.
class GroupReader {
 public:
  GroupReader(const GroupReaderOptions& options, Decoder* decoder,
              Reporter* reporter)
      : options_(options), decoder_(decoder), reporter_(reporter) {}

  // The group in `node`, the `number`-th of its file, from 1. Nullopt if there
  // is an error, which is reported as one of this group.
  std::optional<Group> Read(const YamlNode& node, int number);

 private:
  bool ReadKey(const Entry& entry, Group* group);
  bool ReadRules(const YamlNode& node, Group* group);
  bool ReadRule(const YamlNode& node, int number, Group* group);
  bool ReadRuleKey(const Entry& entry, Rule* rule, bool* known);
  bool Foreign(const Entry& entry, absl::string_view prefix,
               absl::string_view known_keys, Group* group);

  const GroupReaderOptions options_;
  Decoder* const decoder_;
  Reporter* const reporter_;
};

}  // namespace insula::rules::internal
