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
#include "libs/promql/confine_union.h"
#include "libs/promql/parser.h"
#include "libs/promql/quote.h"
#include "libs/promql/union_check.h"
#include "libs/rules/reporter.h"
#include "libs/rules/template.h"
#include "libs/status/status_macros.h"

namespace insula::rules {
namespace {

using internal::Reporter;
using internal::Show;

constexpr absl::string_view kQuery = "query";

absl::Status CheckConfinement(const Confinement& confinement) {
  if (!confinement.labels.empty()) {
    RETURN_IF_ERROR(CheckEnforced(confinement.labels));
  }
  if (confinement.reads.empty()) {
    return absl::InvalidArgumentError(
        "the tenant may read nothing, so that its rules can't be evaluated; "
        "grant it something by an Access");
  }
  return promql::CheckClauses(confinement.reads);
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

// Reports what of a rule can't be put right.
void CheckRule(const Labels& enforced, const ParseOptions& options,
               const Rule& rule, Reporter* reporter) {
  CheckOwnLabels(rule.labels, enforced, rule.position, reporter);
  // Only alerts expand templates, but a rule without `record` is never taken
  // for anything else.
  if (rule.record.empty() || !rule.alert.empty()) {
    CheckTemplates("label", rule.labels, options.dialect, rule.position,
                   reporter);
    CheckTemplates("annotation", rule.annotations, options.dialect,
                   rule.position, reporter);
  }
}

void ConfineRule(const Confinement& confinement, const ParseOptions& options,
                 Rule* rule, Reporter* reporter) {
  CheckRule(confinement.labels, options, *rule, reporter);
  absl::StatusOr<std::string> expr = promql::ConfineQueryToUnion(
      rule->expr, confinement.reads, options.promql);
  if (!expr.ok()) {
    reporter->Error(rule->expr_position,
                    absl::StrCat("could not confine expression: ",
                                 expr.status().message()));
    return;
  }
  rule->expr = *std::move(expr);
  for (const auto& [name, value] : confinement.labels) {
    rule->labels[name] = value;
  }
}

bool Holds(const Labels& labels, const Labels& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&labels](const auto& want) {
    const auto own = labels.find(want.first);
    return own != labels.end() && own->second == want.second;
  });
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

absl::StatusOr<Confinement> ConfinementTo(const Labels& enforced) {
  RETURN_IF_ERROR(CheckEnforced(enforced));
  Confinement confinement;
  confinement.labels = enforced;
  promql::Clause& clause = confinement.reads.emplace_back();
  for (const auto& [name, value] : enforced) {
    ASSIGN_OR_RETURN(
        labels::Matcher matcher,
        labels::Matcher::Create(labels::MatchType::kEqual, name, value));
    clause.push_back(std::move(matcher));
  }
  return confinement;
}

std::vector<Problem> Confine(const Labels& enforced,
                             const ParseOptions& options, Group* group) {
  const absl::StatusOr<Confinement> confinement = ConfinementTo(enforced);
  if (confinement.ok()) return Confine(*confinement, options, group);
  Reporter reporter;
  reporter.EnterGroup(0, group->name);
  reporter.Error(group->position, confinement.status().message());
  return reporter.Take();
}

std::vector<Problem> Confine(const Confinement& confinement,
                             const ParseOptions& options, Group* group) {
  Reporter reporter;
  reporter.EnterGroup(0, group->name);
  const absl::Status possible = CheckConfinement(confinement);
  if (!possible.ok()) {
    reporter.Error(group->position, possible.message());
    return reporter.Take();
  }

  Group confined = *group;
  CheckOwnLabels(group->labels, confinement.labels, group->position, &reporter);
  CheckTemplates("label", group->labels, options.dialect, group->position,
                 &reporter);
  for (size_t i = 0; i < confined.rules.size(); ++i) {
    Rule& rule = confined.rules[i];
    reporter.EnterRule(static_cast<int>(i) + 1, rule.name());
    ConfineRule(confinement, options, &rule, &reporter);
  }
  if (reporter.errors() == 0) *group = std::move(confined);
  return reporter.Take();
}

bool IsConfined(const Confinement& confinement, const ParseOptions& options,
                const Group& group) {
  if (!CheckConfinement(confinement).ok()) return false;
  Reporter reporter;
  CheckOwnLabels(group.labels, confinement.labels, group.position, &reporter);
  CheckTemplates("label", group.labels, options.dialect, group.position,
                 &reporter);
  const promql::Clauses simple =
      confinement.reads.size() == 1
          ? confinement.reads
          : promql::SimplifyClauses(confinement.reads);
  for (const Rule& rule : group.rules) {
    CheckRule(confinement.labels, options, rule, &reporter);
    if (!Holds(rule.labels, confinement.labels)) return false;
    const auto expr = promql::Parse(rule.expr, options.promql);
    if (!expr.ok() || !promql::CheckConfinedToUnion(**expr, simple).ok()) {
      return false;
    }
  }
  return reporter.errors() == 0;
}

}  // namespace insula::rules
