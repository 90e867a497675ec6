#include "libs/rules/confine.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/labels/matcher.h"
#include "libs/labels/validity.h"
#include "libs/promql/confine.h"
#include "libs/promql/quote.h"
#include "libs/rules/reporter.h"
#include "libs/rules/template.h"
#include "libs/status/status_macros.h"

namespace insula::rules {
namespace {

using internal::Reporter;
using internal::Show;

using Matchers = std::vector<labels::Matcher>;

constexpr absl::string_view kQuery = "query";

absl::StatusOr<Matchers> MatchersOf(const Labels& enforced) {
  RETURN_IF_ERROR(CheckEnforced(enforced));
  Matchers matchers;
  for (const auto& [name, value] : enforced) {
    ASSIGN_OR_RETURN(
        labels::Matcher matcher,
        labels::Matcher::Create(labels::MatchType::kEqual, name, value));
    matchers.push_back(std::move(matcher));
  }
  return matchers;
}

// Reports labels that claim to be another tenant's.
void CheckOwnLabels(const Labels& labels, const Labels& enforced,
                    Position position, Reporter* reporter) {
  for (const auto& [name, value] : enforced) {
    const auto own = labels.find(name);
    if (own == labels.end() || own->second == value) continue;
    reporter->Error(position,
                    absl::StrCat("label ", name, " is ", promql::Quoted(value),
                                 " for this tenant and may not be set to ",
                                 Show(own->second), "; leave it out"));
  }
}

// Reports templates that read series, or that cannot be followed.
void CheckTemplates(absl::string_view kind, const Labels& texts,
                    const Dialect& dialect, Position position,
                    Reporter* reporter) {
  for (const auto& [name, text] : texts) {
    const absl::StatusOr<TemplateUse> use = ParseTemplate(text, dialect);
    if (!use.ok()) {
      reporter->Error(position, absl::StrCat(kind, " ", Show(name), ": ",
                                             use.status().message()));
    } else if (std::binary_search(use->functions.begin(), use->functions.end(),
                                  kQuery)) {
      reporter->Error(
          position,
          absl::StrCat(kind, " ", Show(name),
                       ": the template calls query, which would read the "
                       "series of all tenants; take what it needs into the "
                       "alert's expr and use $value and $labels"));
    }
  }
}

void ConfineRule(const Labels& enforced, const Matchers& matchers,
                 const ParseOptions& options, Rule* rule, Reporter* reporter) {
  CheckOwnLabels(rule->labels, enforced, rule->position, reporter);
  // Only alerts expand templates, but a rule without `record` is never taken
  // for anything else.
  if (rule->record.empty() || !rule->alert.empty()) {
    CheckTemplates("label", rule->labels, options.dialect, rule->position,
                   reporter);
    CheckTemplates("annotation", rule->annotations, options.dialect,
                   rule->position, reporter);
  }
  absl::StatusOr<std::string> expr =
      promql::ConfineQuery(rule->expr, matchers, options.promql);
  if (!expr.ok()) {
    reporter->Error(rule->expr_position,
                    absl::StrCat("could not confine expression: ",
                                 expr.status().message()));
    return;
  }
  rule->expr = *std::move(expr);
  for (const auto& [name, value] : enforced) rule->labels[name] = value;
}

}  // namespace

absl::Status CheckEnforced(const Labels& enforced) {
  if (enforced.empty()) {
    return absl::InvalidArgumentError(
        "no labels to enforce on rules; a tenant needs at least one");
  }
  for (const auto& [name, value] : enforced) {
    const auto refuse = [label = name](absl::string_view why) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot enforce label ", Show(label), " on rules: ", why));
    };
    if (!labels::IsLegacyLabelName(name)) {
      return refuse(
          "its name must be of [a-zA-Z0-9_] and not start with a "
          "digit");
    }
    if (name == labels::kMetricName || name == "alertname") {
      return refuse("evaluators set it themselves; choose another");
    }
    if (value.empty() || !labels::IsValidUtf8(value)) {
      return refuse("its value must be UTF-8 and not empty");
    }
    if (absl::StrContains(value, "{{")) {
      return refuse("its value holds {{, which alerts take for a template");
    }
  }
  return absl::OkStatus();
}

std::vector<Problem> Confine(const Labels& enforced,
                             const ParseOptions& options, Group* group) {
  Reporter reporter;
  reporter.EnterGroup(0, group->name);
  const absl::StatusOr<Matchers> matchers = MatchersOf(enforced);
  if (!matchers.ok()) {
    reporter.Error(group->position, matchers.status().message());
    return reporter.Take();
  }

  Group confined = *group;
  CheckOwnLabels(group->labels, enforced, group->position, &reporter);
  CheckTemplates("label", group->labels, options.dialect, group->position,
                 &reporter);
  for (size_t i = 0; i < confined.rules.size(); ++i) {
    Rule& rule = confined.rules[i];
    reporter.EnterRule(static_cast<int>(i) + 1, rule.name());
    ConfineRule(enforced, *matchers, options, &rule, &reporter);
  }
  if (reporter.errors() == 0) *group = std::move(confined);
  return reporter.Take();
}

}  // namespace insula::rules
