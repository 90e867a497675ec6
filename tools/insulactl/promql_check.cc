#include "tools/insulactl/promql_check.h"

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libs/promql/query_files.h"
#include "libs/rules/yaml_document.h"
#include "libs/status/status_macros.h"

namespace insula::insulactl {
namespace {

using promql::FileQuery;
using rules::internal::YamlNode;

constexpr size_t kMaxNodes = 1'000'000;
constexpr size_t kMaxShown = 200;

bool IsTest(absl::string_view name) { return absl::EndsWith(name, ".test"); }

bool IsRules(absl::string_view name) {
  return absl::EndsWith(name, ".yaml") || absl::EndsWith(name, ".yml") ||
         absl::EndsWith(name, ".rules");
}

// The value of `key` in a map; null if there is none.
const YamlNode* ValueOf(const YamlNode* node, absl::string_view key) {
  if (node == nullptr || node->kind != YamlNode::Kind::kMap) return nullptr;
  for (size_t i = 0; i + 1 < node->children.size(); i += 2) {
    if (node->children[i]->scalar == key) return node->children[i + 1];
  }
  return nullptr;
}

std::vector<const YamlNode*> ElementsOf(const YamlNode* node) {
  if (node == nullptr || node->kind != YamlNode::Kind::kList) return {};
  return node->children;
}

absl::StatusOr<std::vector<FileQuery>> QueriesOfRules(absl::string_view name,
                                                      absl::string_view text) {
  const rules::internal::YamlDocument document =
      rules::internal::ReadYaml(text, kMaxNodes);
  if (document.error.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ":", document.error->position.line, ": ",
                     document.error->message));
  }
  std::vector<FileQuery> queries;
  for (const YamlNode* group : ElementsOf(ValueOf(document.root, "groups"))) {
    for (const YamlNode* rule : ElementsOf(ValueOf(group, "rules"))) {
      const YamlNode* expr = ValueOf(rule, "expr");
      if (expr == nullptr || expr->kind != YamlNode::Kind::kScalar) continue;
      queries.push_back({expr->position.line, expr->scalar});
    }
  }
  return queries;
}

std::vector<FileQuery> QueriesOfLines(absl::string_view text) {
  std::vector<FileQuery> queries;
  int line = 0;
  for (absl::string_view query : absl::StrSplit(text, '\n')) {
    ++line;
    query = absl::StripAsciiWhitespace(query);
    if (query.empty() || query.front() == '#') continue;
    queries.push_back({line, std::string(query)});
  }
  return queries;
}

absl::StatusOr<std::vector<FileQuery>> QueriesOf(absl::string_view name,
                                                 absl::string_view text) {
  if (IsTest(name)) return promql::QueriesOfEvaluationTest(text);
  if (IsRules(name)) return QueriesOfRules(name, text);
  return QueriesOfLines(text);
}

}  // namespace

bool IsQueryFile(absl::string_view name) {
  return IsTest(name) || IsRules(name) || absl::EndsWith(name, ".promql");
}

absl::Status CheckQueries(absl::string_view name, absl::string_view text,
                          const promql::ParseOptions& options,
                          QueryReport* report) {
  if (text.size() > kMaxQueryFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": has more than ",
                                                   kMaxQueryFileBytes,
                                                   " bytes; split the file"));
  }
  ASSIGN_OR_RETURN(const std::vector<FileQuery> queries, QueriesOf(name, text));
  for (const FileQuery& query : queries) {
    ++report->found;
    const absl::StatusOr<promql::ExprPtr> parsed =
        promql::Parse(query.text, options);
    if (parsed.ok()) {
      ++report->accepted;
      continue;
    }
    const bool cut = query.text.size() > kMaxShown;
    report->refused.push_back(
        absl::StrCat(name, ":", query.line, ": ", parsed.status().message(),
                     ": ", query.text.substr(0, kMaxShown), cut ? "..." : ""));
  }
  return absl::OkStatus();
}

}  // namespace insula::insulactl
