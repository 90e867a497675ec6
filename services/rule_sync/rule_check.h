// The verdict on one rule file of a tenant.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/rules/confine.h"
#include "libs/rules/dialect.h"
#include "libs/rules/group.h"
#include "libs/rules/problem.h"

namespace insula::rule_sync {

// What becomes of rules before an evaluator gets them.
struct Treatment {
  rules::Dialect dialect;
  size_t max_bytes = 1 << 20;
  // None: they stay as they are.
  std::optional<rules::Confinement> confinement;
};

struct CheckedGroup {
  rules::Group group;  // Confined. Never without rules.
  std::string digest;  // Equal for groups that mean the same.
};

// A group that is kept out, or the file as a whole, whose name is "".
struct RefusedGroup {
  std::string name;
  std::vector<rules::Problem> problems;  // Errors only.
};

struct CheckedFile {
  std::vector<CheckedGroup> groups;
  std::vector<RefusedGroup> refused;  // One for each name.
};

// Reads, validates and confines a rule file. What is wrong keeps out its group,
// or the file if it is of no group. Groups without rules are kept out too:
// rulers refuse them.
CheckedFile CheckRuleFile(absl::string_view text, const Treatment& treatment);

// A file that is refused for what stands in `message`.
CheckedFile RefusedFile(absl::string_view message);

// Whether `group`, which an evaluator has, is confined so.
bool IsConfined(const rules::Group& group, const rules::Confinement& wanted);

// Whether all groups of a rule file that we wrote ourselves are. False if there
// are none, or without `wanted`.
bool AllConfined(absl::string_view text,
                 const std::optional<rules::Confinement>& wanted);

// Names of groups.
std::set<std::string> NamesOf(const std::vector<rules::Group>& groups);
std::set<std::string> NamesOf(const CheckedFile& file);

// The groups in a rule file that we wrote ourselves; none if it is damaged.
std::vector<rules::Group> GroupsOf(absl::string_view text);

// A name from a configuration: "prometheus-2.42" or "prometheus-3".
rules::Dialect DialectOf(absl::string_view name);

}  // namespace insula::rule_sync
