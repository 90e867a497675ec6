#include "libs/rules/check_group.h"

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/labels/matcher.h"
#include "libs/labels/regex_cost.h"
#include "libs/labels/validity.h"
#include "libs/promql/lexer.h"
#include "libs/promql/quote.h"
#include "libs/promql/token.h"
#include "libs/rules/template.h"

namespace insula::rules::internal {
namespace {

constexpr absl::string_view kLabelCure =
    "; a label name is of [a-zA-Z0-9_] and does not start with a digit";
constexpr absl::string_view kMetricCure =
    "; a metric name is of [a-zA-Z0-9_:] and does not start with a digit";
constexpr absl::string_view kUtf8Cure =
    "; a name is UTF-8 and not empty, and __name__ is not for rules to set";

// What the regular expressions in `expr` will cost at most. Found before it is
// parsed, since expressions that do not parse cost too.
size_t RegexCost(absl::string_view expr) {
  using promql::TokenType;
  size_t cost = 0;
  promql::Lexer lexer(expr);
  promql::Token token = lexer.Next();
  while (token.type != TokenType::kEnd && token.type != TokenType::kError) {
    const bool regex = token.type == TokenType::kEqualRegex ||
                       token.type == TokenType::kNotRegex;
    token = lexer.Next();
    if (regex && token.type == TokenType::kString) {
      cost += labels::RegexCost(promql::Unquote(token.text));
    }
  }
  return cost;
}

// The checks of one rule. Lives while it runs.
class RuleCheck {
 public:
  RuleCheck(const Rule& rule, const ParseOptions& options, Reporter* reporter)
      : rule_(rule), options_(options), reporter_(reporter) {}

  void Run(size_t* regex_cost_left) {
    CheckKind();
    CheckExpression(regex_cost_left);
    if (!rule_.record.empty()) CheckRecord();
    CheckNames();
    if (!rule_.alert.empty()) CheckTemplates();
  }

 private:
  bool IsLabelName(absl::string_view name) const {
    return options_.dialect.utf8_names
               ? !name.empty() && labels::IsValidUtf8(name)
               : labels::IsLegacyLabelName(name);
  }

  absl::string_view LabelCure() const {
    return options_.dialect.utf8_names ? kUtf8Cure : kLabelCure;
  }

  void Error(absl::string_view message) const {
    reporter_->Error(rule_.position, message);
  }

  void CheckKind() const {
    if (!rule_.record.empty() && !rule_.alert.empty()) {
      Error("only one of 'record' and 'alert' must be set; make two rules");
    }
    if (rule_.record.empty() && rule_.alert.empty()) {
      Error("one of 'record' or 'alert' must be set");
    }
  }

  void CheckExpression(size_t* regex_cost_left) const {
    if (rule_.expr.empty()) {
      Error("field 'expr' must be set in rule");
      return;
    }
    // Above its own limit an expression is refused before its cost is looked
    // at.
    if (rule_.expr.size() <= options_.promql.max_bytes) {
      const size_t cost = RegexCost(rule_.expr);
      if (cost > *regex_cost_left && cost <= options_.promql.max_regex_cost) {
        reporter_->Error(rule_.expr_position,
                         "the regular expressions up to here cost too much; "
                         "simplify them, or split the file");
        return;
      }
      *regex_cost_left -= std::min(cost, *regex_cost_left);
    }
    const auto parsed = promql::Parse(rule_.expr, options_.promql);
    if (!parsed.ok()) {
      reporter_->Error(rule_.expr_position,
                       absl::StrCat("could not parse expression: ",
                                    parsed.status().message()));
    }
  }

  void CheckRecord() const {
    const auto refuse = [this](absl::string_view field) {
      Error(
          absl::StrCat("invalid field '", field,
                       "' in recording rule; it is for alerts, leave it out"));
    };
    if (!rule_.annotations.empty()) refuse("annotations");
    if (rule_.for_duration != absl::ZeroDuration()) refuse("for");
    if (rule_.keep_firing_for != absl::ZeroDuration()) {
      refuse("keep_firing_for");
    }
    const bool utf8 = options_.dialect.utf8_names;
    if (utf8 ? !labels::IsValidUtf8(rule_.record)
             : !labels::IsLegacyMetricName(rule_.record)) {
      reporter_->Error(
          rule_.name_position,
          absl::StrCat("invalid recording rule name: ", Show(rule_.record),
                       utf8 ? kUtf8Cure : kMetricCure));
    } else if (absl::StrContains(rule_.record, '{') ||
               absl::StrContains(rule_.record, '}')) {
      reporter_->Error(rule_.name_position,
                       absl::StrCat("braces present in the recording rule "
                                    "name; should it be in expr?: ",
                                    Show(rule_.record)));
    }
  }

  void CheckNames() const {
    for (const auto& [name, value] : rule_.labels) {
      if (!IsLabelName(name) || name == labels::kMetricName) {
        Error(absl::StrCat("invalid label name: ", Show(name), LabelCure()));
      }
      if (!labels::IsValidUtf8(value)) {
        Error(absl::StrCat("invalid label value of ", Show(name),
                           "; it must be UTF-8"));
      }
    }
    for (const auto& [name, value] : rule_.annotations) {
      if (!IsLabelName(name)) {
        Error(
            absl::StrCat("invalid annotation name: ", Show(name), LabelCure()));
      }
    }
  }

  void CheckTemplates() const {
    CheckTemplatesOf("label", rule_.labels);
    CheckTemplatesOf("annotation", rule_.annotations);
  }

  void CheckTemplatesOf(absl::string_view kind, const Labels& texts) const {
    for (const auto& [name, text] : texts) {
      const auto parsed = ParseTemplate(text, options_.dialect);
      if (parsed.ok()) continue;
      Error(
          absl::StrCat(kind, " ", Show(name), ": ", parsed.status().message()));
    }
  }

  const Rule& rule_;
  const ParseOptions& options_;
  Reporter* const reporter_;
};

void CheckGroupLabels(const Group& group, const Dialect& dialect,
                      Reporter* reporter) {
  for (const auto& [name, value] : group.labels) {
    const bool valid = dialect.utf8_names
                           ? !name.empty() && labels::IsValidUtf8(name)
                           : labels::IsLegacyLabelName(name);
    if (!valid || name == labels::kMetricName) {
      reporter->Error(
          group.position,
          absl::StrCat("invalid label name: ", Show(name),
                       dialect.utf8_names ? kUtf8Cure : kLabelCure));
    }
    if (!labels::IsValidUtf8(value)) {
      reporter->Error(group.position,
                      absl::StrCat("invalid label value of ", Show(name),
                                   "; it must be UTF-8"));
    }
  }
}

}  // namespace

void CheckGroup(const Group& group, int number, const ParseOptions& options,
                size_t* regex_cost_left, Reporter* reporter) {
  reporter->EnterGroup(number, group.name);
  if (group.name.empty()) {
    reporter->Error(group.position,
                    "Groupname must not be empty; give it a name");
  }
  CheckGroupLabels(group, options.dialect, reporter);
  for (size_t i = 0; i < group.rules.size(); ++i) {
    reporter->EnterRule(static_cast<int>(i) + 1, group.rules[i].name());
    RuleCheck(group.rules[i], options, reporter).Run(regex_cost_left);
  }
  reporter->LeaveGroup();
}

}  // namespace insula::rules::internal
