#include "libs/rules/rule_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/rules/duplicates.h"

namespace insula::rules {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

std::vector<std::string> Texts(const std::vector<Problem>& problems) {
  std::vector<std::string> texts;
  for (const Problem& problem : problems) texts.push_back(problem.ToString());
  return texts;
}

std::vector<std::string> GroupNames(const ParsedFile& file) {
  std::vector<std::string> names;
  for (const Group& group : file.groups) names.push_back(group.name);
  return names;
}

constexpr absl::string_view kWhole = R"(groups:
- name: requests
  interval: 1m30s
  limit: 20
  rules:
  - record: job:requests:rate5m
    expr: sum by (job) (rate(requests_total[5m]))
    labels: {team: red, level: 3}
  - alert: TooFew
    expr: job:requests:rate5m < 1
    for: 1h
    keep_firing_for: 5m
    labels:
      severity: page
    annotations:
      summary: "{{ $labels.job }}: {{ $value }}"
)";

TEST(ParseTest, ReadsEveryField) {
  const ParsedFile file = Parse(kWhole);

  EXPECT_THAT(Texts(file.problems), IsEmpty());
  ASSERT_THAT(file.groups, SizeIs(1));
  const Group& group = file.groups[0];
  EXPECT_EQ(group.name, "requests");
  EXPECT_EQ(group.interval, absl::Seconds(90));
  EXPECT_EQ(group.query_offset, std::nullopt);
  EXPECT_EQ(group.limit, 20);
  EXPECT_EQ(group.position.line, 2);
  EXPECT_EQ(group.position.column, 3);
  ASSERT_THAT(group.rules, SizeIs(2));

  const Rule& record = group.rules[0];
  EXPECT_EQ(record.record, "job:requests:rate5m");
  EXPECT_EQ(record.alert, "");
  EXPECT_EQ(record.expr, "sum by (job) (rate(requests_total[5m]))");
  EXPECT_THAT(record.labels,
              ElementsAre(Pair("level", "3"), Pair("team", "red")));
  EXPECT_EQ(record.expr_position.line, 7);
  EXPECT_EQ(record.expr_position.column, 11);

  const Rule& alert = group.rules[1];
  EXPECT_EQ(alert.name(), "TooFew");
  EXPECT_EQ(alert.for_duration, absl::Hours(1));
  EXPECT_EQ(alert.keep_firing_for, absl::Minutes(5));
  EXPECT_THAT(alert.labels, ElementsAre(Pair("severity", "page")));
  EXPECT_THAT(alert.annotations,
              ElementsAre(Pair("summary", "{{ $labels.job }}: {{ $value }}")));
}

TEST(ParseTest, SaysWhereAndWhatIsWrongAsPromtoolDoes) {
  const ParsedFile file = Parse(R"(groups:
- name: g
  rules:
  - record: good
    expr: up
  - record: bad
    expr: sum(up
)");

  EXPECT_FALSE(file.ok());
  ASSERT_THAT(file.problems, SizeIs(1));
  const Problem& problem = file.problems[0];
  EXPECT_THAT(problem.ToString(),
              Eq("7:11: group \"g\", rule 2, \"bad\": could not parse "
                 "expression: 1:7: parse error: unclosed left parenthesis"));
  EXPECT_EQ(problem.group_number, 1);
  EXPECT_EQ(problem.rule, 2);
}

TEST(ParseTest, KeepsTheGoodGroupsBesideABadOne) {
  const ParsedFile file = Parse(R"(groups:
- name: first
  rules: [{record: r, expr: up}]
- name: unknown_key
  rules: [{record: r, expr: up, labls: {}}]
- name: second
- name: type
  rules: {}
- name: third
- name: meaning
  rules: [{alert: A, expr: up, for: 1m, annotations: {"a-b": c}}]
- 17
)");

  EXPECT_FALSE(file.ok());
  EXPECT_THAT(GroupNames(file), ElementsAre("first", "second", "third"));
  EXPECT_THAT(
      Texts(file.problems),
      ElementsAre(
          HasSubstr("5:33: group \"unknown_key\", rule 1, \"r\": field "
                    "\"labls\" not found; there are record, alert"),
          HasSubstr("8:10: group \"type\": field 'rules' must be a list"),
          HasSubstr("group \"meaning\", rule 1, \"A\": invalid annotation "
                    "name: \"a-b\""),
          HasSubstr("12:3: group \"\": a group must be a map")));
}

TEST(ParseTest, KeepsTheFirstOfGroupsOfOneName) {
  const ParsedFile file = Parse(R"(groups:
- name: g
  rules: [{record: first, expr: up}]
- name: g
  rules: [{record: second, expr: up}]
- name: h
)");

  EXPECT_FALSE(file.ok());
  EXPECT_THAT(GroupNames(file), ElementsAre("g", "h"));
  EXPECT_EQ(file.groups[0].rules[0].record, "first");
  ASSERT_THAT(file.problems, SizeIs(1));
  EXPECT_EQ(file.problems[0].group_number, 2);
}

TEST(ParseTest, ABadGroupDoesNotMakeAGoodOneOfItsNameGood) {
  const ParsedFile file = Parse(R"(groups:
- name: g
  rules: [{record: r, expr: ""}]
- name: g
)");

  EXPECT_THAT(file.groups, IsEmpty());
  EXPECT_THAT(file.problems, SizeIs(2));
}

TEST(ParseTest, AnErrorOfTheFileKeepsAllGroupsOut) {
  for (const char* text :
       {"groups: [{name: g}]\nextra: 1\n", "groups: [{name: g}]\ngroups: []\n",
        "groups: [{name: g}]\n  x", "groups: [{name: g}] x\n"}) {
    const ParsedFile file = Parse(text);
    EXPECT_FALSE(file.ok()) << text;
    EXPECT_THAT(file.groups, IsEmpty()) << text;
    for (const Problem& problem : file.problems) {
      EXPECT_EQ(problem.group_number, 0) << text;
    }
  }
}

TEST(ParseTest, AFileThatWasCutAnywhereIsNeverAnotherGoodFile) {
  const std::string whole(kWhole);
  const ParsedFile all = Parse(whole);
  for (size_t size = 0; size < whole.size(); ++size) {
    const ParsedFile file = Parse(whole.substr(0, size));
    if (!file.ok()) continue;
    // At the end of a line a shorter file may be good; it holds the start.
    for (const Group& group : file.groups) {
      EXPECT_LE(group.rules.size(), all.groups[0].rules.size());
      for (size_t i = 0; i < group.rules.size(); ++i) {
        EXPECT_EQ(group.rules[i].name().substr(0, 1),
                  all.groups[0].rules[i].name().substr(0, 1));
      }
    }
  }
  EXPECT_FALSE(Parse("groups:\n- name: \"g\n").ok());
  EXPECT_FALSE(Parse("groups:\n- name: 'g\n  rules: []\n").ok());
  EXPECT_FALSE(Parse("groups:\n- name: 'g\n   ").ok());
}

TEST(ParseTest, TellsOfDocumentsThatNobodyReads) {
  const ParsedFile file = Parse("groups:\n- name: g\n---\ngroups: 7\n");

  EXPECT_TRUE(file.ok());
  EXPECT_THAT(GroupNames(file), ElementsAre("g"));
  ASSERT_THAT(file.problems, SizeIs(1));
  EXPECT_FALSE(file.problems[0].is_error());
  EXPECT_THAT(file.problems[0].ToString(),
              HasSubstr("3:1: only the first document is read"));
}

TEST(ParseTest, FollowsAliasesAndMergeKeys) {
  const ParsedFile file = Parse(R"(groups:
- name: g
  rules:
  - &base
    alert: A
    expr: &up up == 0
    for: 5m
    labels: &labels {severity: page, team: red}
  - <<: *base
    alert: B
    labels:
      <<: [{team: green, site: x}, *labels]
      site: y
  - record: c
    expr: *up
)");

  EXPECT_THAT(Texts(file.problems), IsEmpty());
  ASSERT_THAT(file.groups, SizeIs(1));
  const Rule& b = file.groups[0].rules[1];
  EXPECT_EQ(b.alert, "B");
  EXPECT_EQ(b.expr, "up == 0");
  EXPECT_EQ(b.for_duration, absl::Minutes(5));
  EXPECT_THAT(b.labels, ElementsAre(Pair("severity", "page"), Pair("site", "y"),
                                    Pair("team", "green")));
  EXPECT_EQ(file.groups[0].rules[2].expr, "up == 0");
}

TEST(ParseTest, NumbersOfRulesAreThoseOfPrometheus) {
  const ParsedFile file =
      Parse("groups:\n- name: g\n  rules:\n  -\n  - expr: up\n");

  ASSERT_THAT(file.problems, SizeIs(1));
  EXPECT_EQ(file.problems[0].rule, 1);
}

constexpr absl::string_view kNewer = R"(groups:
- name: g
  query_offset: 0s
  labels: {team: red}
  rules:
  - record: größe.sum
    expr: up
    labels: {"a-b": c}
  - alert: A
    expr: up
    annotations: {a: "{{ with 1 }}{{ else with toDuration 2 }}{{ end }}"}
)";

TEST(ParseTest, AnEvaluatorsVersionDecidesWhatItMayBeGiven) {
  const ParsedFile newer = Parse(kNewer, {.dialect = kPrometheus3});
  EXPECT_THAT(Texts(newer.problems), IsEmpty());
  ASSERT_THAT(newer.groups, SizeIs(1));
  EXPECT_EQ(newer.groups[0].query_offset, absl::ZeroDuration());
  EXPECT_THAT(newer.groups[0].labels, ElementsAre(Pair("team", "red")));

  const ParsedFile older = Parse(kNewer);
  EXPECT_THAT(older.groups, IsEmpty());
  EXPECT_THAT(Texts(older.problems),
              ElementsAre(HasSubstr("field query_offset not found"),
                          HasSubstr("field labels not found")));

  Dialect keys = kPrometheus3;
  keys.utf8_names = keys.newer_templates = false;
  EXPECT_THAT(Texts(Parse(kNewer, {.dialect = keys}).problems),
              ElementsAre(HasSubstr("invalid recording rule name"),
                          HasSubstr("invalid label name: \"a-b\""),
                          HasSubstr("unexpected \"with\"")));
}

TEST(ParseTest, EvenANewEvaluatorHasRulesForNames) {
  const ParsedFile file = Parse(R"(groups:
- name: g
  labels: {__name__: x}
  rules:
  - record: up{job="a"}
    expr: up
    labels: {"": x}
)",
                                {.dialect = kPrometheus3});

  EXPECT_THAT(
      Texts(file.problems),
      ElementsAre(HasSubstr("group \"g\": invalid label name: \"__name__\""),
                  HasSubstr("braces present in the recording rule name"),
                  HasSubstr("invalid label name: \"\"")));
}

TEST(ParseTest, AnOlderEvaluatorDoesNotKnowKeepFiringFor) {
  Dialect dialect;
  dialect.keep_firing_for = false;
  EXPECT_THAT(Texts(Parse(kWhole, {.dialect = dialect}).problems),
              ElementsAre(HasSubstr("12:5: group \"requests\", rule 2, "
                                    "\"TooFew\": field keep_firing_for not "
                                    "found: the evaluator's version")));
}

TEST(ParseTest, RefusesWhatIsBeyondItsLimits) {
  EXPECT_THAT(Texts(Parse(kWhole, {.max_bytes = 100}).problems),
              ElementsAre(HasSubstr("more than the 100 allowed; split")));
  EXPECT_THAT(Texts(Parse("groups: [{name: a}, {name: b}, {name: c}]",
                          {.max_groups = 2})
                        .problems),
              ElementsAre(HasSubstr("has 3 groups, more than the 2")));
  const ParsedFile file =
      Parse(absl::StrCat(kWhole, "- name: small\n"), {.max_rules = 1});
  EXPECT_THAT(Texts(file.problems),
              ElementsAre(HasSubstr("group \"requests\": has 2 rules")));
  EXPECT_THAT(GroupNames(file), ElementsAre("small"));
  EXPECT_THAT(Texts(Parse(kWhole, {.max_nodes = 10}).problems),
              ElementsAre(HasSubstr("more than 10 values")));
}

TEST(ParseTest, WarnsOfDuplicatesAndKeepsThem) {
  const ParsedFile file = Parse(R"(groups:
- 5
- name: a
  labels: {team: red}
  rules:
  - {record: r, expr: up}
  - {record: r, expr: up, labels: {x: y}}
- name: b
  rules:
  - {record: r, expr: down, labels: {team: red}}
)",
                                {.dialect = kPrometheus3});

  EXPECT_THAT(GroupNames(file), ElementsAre("a", "b"));
  ASSERT_THAT(file.problems, SizeIs(2));
  const Problem& problem = file.problems[1];
  EXPECT_FALSE(problem.is_error());
  EXPECT_EQ(problem.group_number, 3);
  EXPECT_THAT(problem.ToString(),
              HasSubstr("10:5: group \"b\", rule 1, \"r\": duplicate rule: the "
                        "name and the labels are those of rule 1 of group "
                        "\"a\""));
}

TEST(FindDuplicatesTest, ComparesLabelsAsTheRuleHasThem) {
  Group a;
  a.name = "a";
  a.labels = {{"x", "1"}, {"y", "1"}};
  a.rules.resize(2);
  a.rules[0].record = a.rules[1].record = "r";
  a.rules[1].labels = {{"x", "1"}};  // Says what the group says.
  Group b = a;
  b.name = "b";
  b.labels = {{"x", "2"}, {"y", "1"}};
  b.rules[0].labels = {{"x", "1"}};  // Wins over the group's.
  b.rules[1].labels = {{"x", "3"}};

  const std::vector<Problem> problems = FindDuplicates({a, b});
  ASSERT_THAT(problems, SizeIs(2));
  EXPECT_EQ(problems[0].group_number, 1);
  EXPECT_EQ(problems[0].rule, 2);
  EXPECT_EQ(problems[1].group_number, 2);
  EXPECT_EQ(problems[1].rule, 1);
}

}  // namespace
}  // namespace insula::rules
