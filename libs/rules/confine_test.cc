#include "libs/rules/confine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/labels/matcher.h"
#include "libs/promql/confine.h"
#include "libs/promql/parser.h"
#include "libs/promql/visit.h"
#include "libs/rules/write.h"
#include "libs/status/status_matchers.h"

namespace insula::rules {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

const Labels& Red() {
  static const Labels& red = *new Labels{{"namespace", "red"}};
  return red;
}

Group GroupOf(Rule rule) {
  Group group;
  group.name = "g";
  group.rules.push_back(std::move(rule));
  return group;
}

Rule Record(std::string expr) {
  Rule rule;
  rule.record = "r";
  rule.expr = std::move(expr);
  return rule;
}

Rule Alert() {
  Rule rule;
  rule.alert = "A";
  rule.expr = "up == 0";
  return rule;
}

std::vector<std::string> Refusals(Group group, const Labels& enforced = Red(),
                                  const ParseOptions& options = {}) {
  const Group before = group;
  std::vector<std::string> texts;
  for (const Problem& problem : Confine(enforced, options, &group)) {
    EXPECT_TRUE(problem.is_error());
    texts.push_back(problem.ToString());
  }
  if (!texts.empty()) {
    EXPECT_EQ(group, before) << "a refused group has changed";
  }
  return texts;
}

Confinement ToPodsAndCodes() {
  const auto by = [](const char* name, const char* value) {
    return promql::Clause{
        *labels::Matcher::Create(labels::MatchType::kEqual, name, value)};
  };
  return {Red(), {by("pod", "p"), by("code", "5")}};
}

TEST(ConfineTest, ConfinesToSeveralClauses) {
  Group group = GroupOf(Record("sum(rate(x[5m])) / count(y{pod=\"p\"})"));
  EXPECT_THAT(Confine(ToPodsAndCodes(), {}, &group), IsEmpty());
  EXPECT_EQ(group.rules[0].expr,
            "sum((rate(x{pod=\"p\"}[5m]) or rate(x{code=\"5\"}[5m])))"
            " / count(y{pod=\"p\"})");
  EXPECT_THAT(group.rules[0].labels, ElementsAre(Pair("namespace", "red")));
  EXPECT_TRUE(IsConfined(ToPodsAndCodes(), {}, group));

  Confinement nothing = ToPodsAndCodes();
  nothing.reads.clear();
  const Group before = group;
  EXPECT_THAT(Confine(nothing, {}, &group), SizeIs(1));
  EXPECT_EQ(group, before);
}

TEST(ConfineTest, TellsWhatIsConfined) {
  const Confinement red = *ConfinementTo(Red());
  Group group = GroupOf(Record("up"));
  group.rules.push_back(Alert());
  EXPECT_FALSE(IsConfined(red, {}, group));
  ASSERT_THAT(Confine(red, {}, &group), IsEmpty());
  EXPECT_TRUE(IsConfined(red, {}, group));
  EXPECT_FALSE(IsConfined(*ConfinementTo({{"namespace", "blue"}}), {}, group));
  EXPECT_FALSE(IsConfined(ToPodsAndCodes(), {}, group));

  Group other = group;
  other.rules[0].labels.clear();
  EXPECT_FALSE(IsConfined(red, {}, other));
  other = group;
  other.rules[1].annotations = {{"a", "{{ query \"up\" }}"}};
  EXPECT_FALSE(IsConfined(red, {}, other));
  other = group;
  other.labels = {{"namespace", "blue"}};
  EXPECT_FALSE(IsConfined(red, {}, other));

  // To less than what it was confined to.
  group = GroupOf(Record("sum(x)"));
  ASSERT_THAT(Confine(ToPodsAndCodes(), {}, &group), IsEmpty());
  Confinement pods = ToPodsAndCodes();
  pods.reads.pop_back();
  EXPECT_FALSE(IsConfined(pods, {}, group));
  ASSERT_THAT(Confine(pods, {}, &group), IsEmpty());
  EXPECT_TRUE(IsConfined(pods, {}, group));
  EXPECT_TRUE(IsConfined(ToPodsAndCodes(), {}, group));
}

TEST(ConfineTest, ConfinesSelectorsAndResultsAndKeepsNames) {
  Rule rule = Record("sum by (job) (rate(x{job=\"a\"}[5m]))");
  rule.labels = {{"team", "t"}};
  Group group = GroupOf(rule);
  group.rules.push_back(Alert());
  group.rules[1].annotations = {
      {"summary", "{{ $labels.job }} of {{ $value }}"}};

  EXPECT_THAT(Confine(Red(), {}, &group), IsEmpty());
  EXPECT_EQ(group.rules[0].expr,
            "sum by (job) (rate(x{job=\"a\",namespace=\"red\"}[5m]))");
  EXPECT_EQ(group.rules[0].record, "r");
  EXPECT_THAT(group.rules[0].labels,
              ElementsAre(Pair("namespace", "red"), Pair("team", "t")));
  EXPECT_EQ(group.rules[1].expr, "up{namespace=\"red\"} == 0");
  EXPECT_EQ(group.rules[1].alert, "A");
  EXPECT_THAT(group.rules[1].labels, ElementsAre(Pair("namespace", "red")));
  EXPECT_THAT(group.rules[1].annotations, SizeIs(1));
}

TEST(ConfineTest, ConfiningTwiceChangesNothingMore) {
  Group group = GroupOf(Record("a / on () b"));
  ASSERT_THAT(Confine(Red(), {}, &group), IsEmpty());
  const Group once = group;
  ASSERT_THAT(Confine(Red(), {}, &group), IsEmpty());
  EXPECT_EQ(group, once);
  EXPECT_EQ(Digest(group), Digest(once));
}

// Every place where an expression can name series, and ways to look as if it
// were confined already.
constexpr absl::string_view kAttacks[] = {
    "secret",
    "{__name__=\"secret\"}",
    "{__name__=~\".+\"}",
    "secret{namespace=\"blue\"}",
    "secret{namespace=~\".*\"}",
    "secret{namespace!=\"red\"}",
    "secret{namespace=\"\"}",
    "secret offset 5m",
    "secret @ 0",
    "secret[5m:1m]",
    "max_over_time(secret[1h:1m])",
    "max_over_time(max_over_time(secret[5m])[1h:1m])",
    "rate(secret[5m])",
    "-secret",
    "(((secret)))",
    "1 + 2 * secret",
    "up + secret",
    "up and secret",
    "up or secret",
    "up unless secret",
    "up * on (job) group_left (namespace) secret",
    "up * ignoring (namespace) group_right () secret",
    "topk(scalar(secret), up)",
    "quantile(scalar(secret), up)",
    "count_values(\"namespace\", secret)",
    "bottomk by (namespace) (1, secret)",
    "sum without (namespace) (secret)",
    "label_replace(secret, \"namespace\", \"red\", \"\", \"\")",
    "label_join(secret, \"namespace\", \"\", \"namespace\")",
    "label_replace(up, \"a\", \"$1\", \"b\", \"c\") or secret",
    "absent(secret)",
    "absent_over_time(secret[5m])",
    "histogram_quantile(scalar(secret), rate(b[5m]))",
    "clamp_max(up, scalar(secret))",
    "vector(scalar(secret))",
    "predict_linear(secret[1h], scalar(secret))",
    "sort_desc(secret)",
    "up{job=\"a\"} == bool secret",
    "secret # {namespace=\"red\"}",
    "# secret\nsecret",
    "secret{a=\"{namespace=\\\"red\\\"}\"}",
    "secret{a='namespace=\"red\"'}",
    "ALERTS",
    "ALERTS_FOR_STATE{alertname=\"secret\"}",
};

TEST(ConfineTest, NoSelectorEscapes) {
  const auto matcher =
      labels::Matcher::Create(labels::MatchType::kEqual, "namespace", "red");
  ASSERT_THAT(matcher, IsOk());
  for (absl::string_view attack : kAttacks) {
    for (bool alert : {false, true}) {
      Rule rule = alert ? Alert() : Record("");
      // A range or scalar is no rule, but must be confined all the same.
      rule.expr = std::string(attack);
      Group group = GroupOf(rule);
      ASSERT_THAT(Confine(Red(), {}, &group), IsEmpty()) << attack;
      const std::string& confined = group.rules[0].expr;
      const auto parsed = promql::Parse(confined);
      ASSERT_THAT(parsed, IsOk()) << confined;
      EXPECT_THAT(promql::CheckConfined(**parsed, {*matcher}), IsOk())
          << confined;
      const auto original = promql::Parse(attack);
      ASSERT_THAT(original, IsOk()) << attack;
      EXPECT_EQ(promql::Selectors(**parsed)->size(),
                promql::Selectors(**original)->size())
          << confined;
      EXPECT_THAT(group.rules[0].labels, Contains(Pair("namespace", "red")))
          << attack;
    }
  }
}

TEST(ConfineTest, EveryEnforcedLabelIsInEverySelectorAndResult) {
  const Labels enforced = {{"cluster", "c\"1"}, {"namespace", "red"}};
  Group group = GroupOf(Record("a or b{cluster=\"x\"}"));
  ASSERT_THAT(Confine(enforced, {}, &group), IsEmpty());
  EXPECT_EQ(group.rules[0].expr,
            "a{cluster=\"c\\\"1\",namespace=\"red\"} or "
            "b{cluster=\"c\\\"1\",cluster=\"x\",namespace=\"red\"}");
  EXPECT_EQ(group.rules[0].labels, enforced);
}

TEST(ConfineTest, ARuleMayNotClaimToBeAnotherTenants) {
  for (const std::string& value :
       {std::string("blue"), std::string(), std::string("{{ \"red\" }}"),
        std::string("{{ $labels.x }}"), std::string("red ")}) {
    Group group = GroupOf(Record("up"));
    group.rules[0].labels = {{"namespace", value}};
    EXPECT_THAT(
        Refusals(group),
        ElementsAre(AllOf(HasSubstr("group \"g\", rule 1, \"r\": label "
                                    "namespace is \"red\" for this tenant"),
                          HasSubstr("leave it out"))))
        << value;
    group.rules[0] = Alert();
    group.rules[0].labels = {{"namespace", value}};
    EXPECT_THAT(Refusals(group), SizeIs(1)) << value;
  }
  Group own = GroupOf(Record("up"));
  own.rules[0].labels = Red();
  EXPECT_THAT(Refusals(own), IsEmpty());
}

TEST(ConfineTest, AGroupMayNotClaimToBeAnotherTenants) {
  Group group = GroupOf(Record("up"));
  group.labels = {{"namespace", "blue"}};
  EXPECT_THAT(
      Refusals(group, Red(), {.dialect = kPrometheus3}),
      ElementsAre(HasSubstr("group \"g\": label namespace is \"red\"")));
  group.labels = Red();
  EXPECT_THAT(Refusals(group, Red(), {.dialect = kPrometheus3}), IsEmpty());
}

// Ways to call the function `query` from a template, each of which promtool
// takes.
constexpr absl::string_view kQueries[] = {
    "{{ query \"secret\" }}",
    "{{query `secret`}}",
    "{{- query \"secret\" -}}",
    "text {{- query \"secret\" -}} text",
    "{{ query\t\"secret\" }}",
    "{{ query\n\"secret\" }}",
    "{{ \"secret\" | query }}",
    "{{ \"secret\" | query | first | value }}",
    "{{ `secret`|query|first }}",
    "{{ (query \"secret\") }}",
    "{{ ((((query \"secret\")))) }}",
    "{{ (query \"secret\").x }}",
    "{{ first (query \"secret\") }}",
    "{{ printf \"%v\" (query \"secret\") }}",
    "{{ $x := query \"secret\" }}{{ $x }}",
    "{{ $x := \"secret\" }}{{ $x = query $x }}{{ $x }}",
    "{{ if query \"secret\" }}yes{{ end }}",
    "{{ if false }}{{ else if query \"secret\" }}yes{{ end }}",
    "{{ if false }}{{ else }}{{ query \"secret\" }}{{ end }}",
    "{{ with query \"secret\" }}{{ . }}{{ end }}",
    "{{ with \"secret\" }}{{ query . }}{{ end }}",
    "{{ range query \"secret\" }}{{ .Labels }}{{ end }}",
    "{{ range $i, $s := query \"secret\" }}{{ $s }}{{ end }}",
    "{{ range $i, $s := query \"secret\" }}{{ else }}{{ end }}",
    "{{ define \"t\" }}{{ query . }}{{ end }}{{ template \"t\" \"secret\" }}",
    "{{ template \"t\" (query \"secret\") }}",
    "{{ block \"t\" \"secret\" }}{{ query . }}{{ end }}",
    "{{ block \"t\" (query \"secret\") }}{{ end }}",
    "{{/* harmless */}}{{ query \"secret\" }}",
    "{{/* {{ */}}{{ query \"secret\" }}",
    "{{- /* */ -}}{{ query \"secret\" }}",
    "{{ \"{{/*\" }}{{ query \"secret\" }}{{ \"*/}}\" }}",
    "{{ `{{/*` }}{{ query \"secret\" }}{{ `*/}}` }}",
    "{{ \"}}\" | query }}",
    "{{ `}}` | query }}",
    "{{ \"\\\"}}\" | query }}",
    "{{ \"\\\\\" }}{{ query \"secret\" }}",
    "{{ '\"' }}{{ query \"secret\" }}",
    "{{ '`' }}{{ query \"secret\" }}",
    "{{ '\\'' }}{{ query \"secret\" }}",
    "{{ call query \"secret\" }}",
    "{{ and 1 (query \"secret\") }}",
    "{{ not query }}",
    "{{ query }}",
    "{{ index (query \"secret\") 0 }}",
    "{{ . | printf \"%v\" | query }}",
    "{{{ query \"secret\" }}",
    "{ {{ query \"secret\" }} }",
    "{{3 -}} {{ query \"secret\" }}",
    "{{ -3 }}{{ query \"secret\" }}",
    "{{\"a\"}}{{query \"secret\"}}{{\"b\"}}",
    "{{$labels.query}}{{ query \"secret\" }}",
};

TEST(ConfineTest, NoTemplateMayQueryTheStore) {
  for (absl::string_view text : kQueries) {
    Group label = GroupOf(Alert());
    label.rules[0].labels = {{"a", std::string(text)}};
    EXPECT_THAT(Refusals(label), SizeIs(1)) << text;
    EXPECT_THAT(Refusals(label)[0], HasSubstr("label \"a\"")) << text;

    Group annotation = GroupOf(Alert());
    annotation.rules[0].annotations = {{"b", std::string(text)}};
    EXPECT_THAT(Refusals(annotation), SizeIs(1)) << text;

    Group group = GroupOf(Alert());
    group.labels = {{"c", std::string(text)}};
    EXPECT_THAT(Refusals(group, Red(), {.dialect = kPrometheus3}), SizeIs(1))
        << text;
  }
}

TEST(ConfineTest, SaysHowToDoWithoutQuery) {
  Group group = GroupOf(Alert());
  group.rules[0].annotations = {{"summary", "{{ query \"up\" }}"}};
  EXPECT_THAT(
      Refusals(group),
      ElementsAre(AllOf(HasSubstr("group \"g\", rule 1, \"A\": annotation "
                                  "\"summary\": the template calls query"),
                        HasSubstr("use $value and $labels"))));
}

TEST(ConfineTest, TemplatesThatOnlyMentionTheWordAreTaken) {
  for (const char* text :
       {"query", "query \"secret\"", "{{ .query }}", "{{ $labels.query }}",
        "{{ \"query\" }}", "{{ `query` }}", "{{/* query \"secret\" */}}",
        "{{ .Labels.query }}", "{{ $query := 1 }}{{ $query }}",
        "{{ \"{{ query }}\" }}", "{{ `{{ query }}` }}", "{ { query } }",
        "{{ define \"query\" }}{{ end }}{{ template \"query\" }}"}) {
    Group group = GroupOf(Alert());
    group.rules[0].annotations = {{"a", text}};
    EXPECT_THAT(Refusals(group), IsEmpty()) << text;
  }
}

TEST(ConfineTest, TemplatesThatCannotBeFollowedAreRefused) {
  for (const char* text :
       {"{{ query", "{{ \"", "{{/*", "{{ Query \"x\" }}", "{{ que\\u0072y }}",
        "{{ \xd1\x83uery \"x\" }}", "{{ nope }}", "{{ lookup \"x\" }}",
        "{{ if }}", "{{ query }", "{{ $x }}", "{{ . \xff }}"}) {
    Group group = GroupOf(Alert());
    group.rules[0].annotations = {{"a", text}};
    EXPECT_THAT(Refusals(group), SizeIs(1)) << text;
  }
}

TEST(ConfineTest, LabelsOfRecordingRulesAreNoTemplates) {
  Group group = GroupOf(Record("up"));
  group.rules[0].labels = {{"a", "{{ query \"secret\" }}"}};
  EXPECT_THAT(Refusals(group), IsEmpty());
}

TEST(ConfineTest, ReportsEveryBadRule) {
  Group group = GroupOf(Record("up +"));
  group.rules.push_back(Record("up"));
  group.rules.push_back(Alert());
  group.rules[2].annotations = {{"a", "{{ query \"x\" }}"}};
  group.rules[2].labels = {{"namespace", "blue"}};
  EXPECT_THAT(Refusals(group),
              ElementsAre(HasSubstr("rule 1, \"r\": could not confine"),
                          HasSubstr("rule 3, \"A\": label namespace"),
                          HasSubstr("rule 3, \"A\": annotation \"a\"")));
}

TEST(ConfineTest, WithoutLabelsToEnforceNothingIsConfined) {
  EXPECT_THAT(Refusals(GroupOf(Record("up")), {}),
              ElementsAre(HasSubstr("no labels to enforce")));
}

TEST(CheckEnforcedTest, TakesWhatCanBeEnforced) {
  EXPECT_THAT(CheckEnforced({{"namespace", "red"}, {"tenant_id", "a'b\"c"}}),
              IsOk());
  EXPECT_THAT(CheckEnforced({{"namespace", "größe {x}"}}), IsOk());
}

TEST(CheckEnforcedTest, RefusesWhatAnEvaluatorWouldChange) {
  const auto refusal = [](std::string name, std::string value) {
    return std::string(CheckEnforced({{name, value}}).message());
  };
  EXPECT_THAT(refusal("__name__", "x"), HasSubstr("set it themselves"));
  EXPECT_THAT(refusal("alertname", "x"), HasSubstr("set it themselves"));
  EXPECT_THAT(refusal("a-b", "x"), HasSubstr("its name must be"));
  EXPECT_THAT(refusal("", "x"), HasSubstr("its name must be"));
  EXPECT_THAT(refusal("a", ""), HasSubstr("not empty"));
  EXPECT_THAT(refusal("a", "\xff"), HasSubstr("UTF-8"));
  EXPECT_THAT(refusal("a", "{{ query \"x\" }}"), HasSubstr("template"));
}

}  // namespace
}  // namespace insula::rules
