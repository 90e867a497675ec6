#include "services/rule_sync/rule_check.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/promql/confine.h"
#include "libs/rules/rule_file.h"
#include "libs/rules/write.h"

namespace insula::rule_sync {
namespace {

// What we wrote may be longer than what we read, by the matchers.
constexpr size_t kMaxOwnBytes = size_t{64} << 20;

void Refuse(rules::Problem problem, CheckedFile* file) {
  // A group without a name is not the file as a whole.
  if (problem.group.empty() && problem.group_number > 0) {
    problem.group = absl::StrCat("group ", problem.group_number);
  }
  for (RefusedGroup& refused : file->refused) {
    if (refused.name != problem.group) continue;
    refused.problems.push_back(std::move(problem));
    return;
  }
  RefusedGroup& refused = file->refused.emplace_back();
  refused.name = problem.group;
  refused.problems.push_back(std::move(problem));
}

rules::Problem ProblemOf(const rules::Group& group, std::string message) {
  rules::Problem problem;
  problem.position = group.position;
  problem.group = group.name;
  problem.message = std::move(message);
  return problem;
}

rules::ParseOptions OwnFileOptions() {
  rules::ParseOptions options;
  options.dialect = rules::kPrometheus3;
  options.max_bytes = kMaxOwnBytes;
  options.max_nodes = size_t{16} << 20;
  options.max_regex_cost = size_t{1} << 40;
  // Confined expressions may be longer and deeper than those of users.
  options.promql.max_bytes = promql::kMaxConfinedBytes;
  options.promql.max_tokens = promql::kMaxConfinedBytes;
  options.promql.max_depth = 1000;
  options.promql.max_regex_cost = size_t{1} << 40;
  return options;
}

}  // namespace

CheckedFile CheckRuleFile(absl::string_view text, const Treatment& treatment) {
  CheckedFile file;
  rules::ParseOptions options;
  options.dialect = treatment.dialect;
  options.max_bytes = treatment.max_bytes;
  rules::ParsedFile parsed = rules::Parse(text, options);
  for (rules::Problem& problem : parsed.problems) {
    if (problem.is_error()) Refuse(std::move(problem), &file);
  }
  for (rules::Group& group : parsed.groups) {
    if (group.rules.empty()) {
      Refuse(ProblemOf(group, "has no rules, add one or remove the group"),
             &file);
      continue;
    }
    if (treatment.confinement) {
      std::vector<rules::Problem> problems =
          rules::Confine(*treatment.confinement, options, &group);
      if (!problems.empty()) {
        for (rules::Problem& problem : problems) {
          problem.group = group.name;
          Refuse(std::move(problem), &file);
        }
        continue;
      }
    }
    std::string digest = rules::Digest(group);
    file.groups.push_back({std::move(group), std::move(digest)});
  }
  return file;
}

CheckedFile RefusedFile(absl::string_view message) {
  CheckedFile file;
  rules::Problem problem;
  problem.message = std::string(message);
  Refuse(std::move(problem), &file);
  return file;
}

bool IsConfined(const rules::Group& group, const rules::Confinement& wanted) {
  return rules::IsConfined(wanted, OwnFileOptions(), group);
}

std::vector<rules::Group> GroupsOf(absl::string_view text) {
  return rules::Parse(text, OwnFileOptions()).groups;
}

bool AllConfined(absl::string_view text,
                 const std::optional<rules::Confinement>& wanted) {
  const std::vector<rules::Group> groups = GroupsOf(text);
  return wanted && !groups.empty() &&
         std::all_of(groups.begin(), groups.end(),
                     [&wanted](const rules::Group& group) {
                       return IsConfined(group, *wanted);
                     });
}

std::set<std::string> NamesOf(const std::vector<rules::Group>& groups) {
  std::set<std::string> names;
  for (const rules::Group& group : groups) names.insert(group.name);
  return names;
}

std::set<std::string> NamesOf(const CheckedFile& file) {
  std::set<std::string> names;
  for (const CheckedGroup& group : file.groups) names.insert(group.group.name);
  return names;
}

rules::Dialect DialectOf(absl::string_view name) {
  return name == "prometheus-3" ? rules::kPrometheus3 : rules::kPrometheus242;
}

}  // namespace insula::rule_sync
