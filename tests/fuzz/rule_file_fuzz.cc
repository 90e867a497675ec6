// Rule files: what is read and written reads as the same, and confined rules
// reach and make only series of the tenant.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/labels/matcher.h"
#include "libs/promql/confine.h"
#include "libs/promql/parser.h"
#include "libs/rules/confine.h"
#include "libs/rules/rule_file.h"
#include "libs/rules/ruler_answer.h"
#include "libs/rules/template.h"
#include "libs/rules/write.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

rules::ParseOptions Options(bool newer) {
  rules::ParseOptions options;
  if (newer) options.dialect = rules::kPrometheus3;
  options.max_bytes = 64 << 10;
  options.max_nodes = 5000;
  options.promql.max_regex_cost = 8 << 10;
  options.max_regex_cost = 32 << 10;
  return options;
}

rules::ParseOptions Again(rules::ParseOptions options) {
  options.max_bytes = size_t{1} << 30;
  options.max_nodes = size_t{1} << 30;
  options.promql = {.max_bytes = 1 << 20,
                    .max_tokens = 1 << 20,
                    .max_depth = 1000,
                    .max_regex_cost = 1 << 30};
  options.max_regex_cost = size_t{1} << 40;
  return options;
}

std::string ProblemsText(const std::vector<rules::Problem>& problems) {
  std::string text;
  for (const rules::Problem& problem : problems) {
    absl::StrAppend(&text, problem.ToString(), "\n");
  }
  return text;
}

void CheckWritten(const std::vector<rules::Group>& groups,
                  const rules::ParseOptions& options) {
  const std::string text = rules::Write(groups);
  const rules::ParsedFile again = rules::Parse(text, options);
  FUZZ_CHECK(again.ok(), absl::StrCat(text, ProblemsText(again.problems)));
  FUZZ_CHECK(again.groups == groups, text);
  FUZZ_CHECK(rules::Write(again.groups) == text, text);
  for (size_t i = 0; i < groups.size(); ++i) {
    FUZZ_CHECK(rules::Canonical(groups[i]) == rules::Canonical(again.groups[i]),
               text);
  }
}

// True if the group could be confined.
bool CheckConfined(const rules::ParseOptions& options, rules::Group* group) {
  const rules::Labels enforced = {{"namespace", "red"}, {"z", "\"1\n"}};
  const std::string before = rules::Canonical(*group);
  if (!rules::Confine(enforced, options, group).empty()) {
    FUZZ_CHECK(rules::Canonical(*group) == before, before);
    return false;
  }
  std::vector<labels::Matcher> policy;
  for (const auto& [name, value] : enforced) {
    policy.push_back(
        *labels::Matcher::Create(labels::MatchType::kEqual, name, value));
  }
  for (const rules::Rule& rule : group->rules) {
    const auto expr = promql::Parse(rule.expr, Again(options).promql);
    FUZZ_CHECK(expr.ok(), rule.expr);
    FUZZ_CHECK(promql::CheckConfined(**expr, policy).ok(), rule.expr);
    for (const auto& [name, value] : enforced) {
      const auto label = rule.labels.find(name);
      FUZZ_CHECK(label != rule.labels.end() && label->second == value, name);
    }
  }
  return true;
}

FUZZ_TARGET(rule_file) {
  fuzz::Input bytes(input);
  const rules::ParseOptions options = Options((bytes.Byte() & 1) != 0);
  rules::ParsedFile file = rules::Parse(bytes.rest(), options);
  ProblemsText(file.problems);
  if (!file.ok()) {
    FUZZ_CHECK(!file.problems.empty(), bytes.rest());
  }
  if (file.groups.empty()) return;
  CheckWritten(file.groups, Again(options));
  std::vector<rules::Group> confined;
  for (rules::Group& group : file.groups) {
    if (CheckConfined(options, &group)) confined.push_back(group);
  }
  CheckWritten(confined, Again(options));
}

}  // namespace
}  // namespace insula
