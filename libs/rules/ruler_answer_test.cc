#include "libs/rules/ruler_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "libs/rules/rule_file.h"
#include "libs/rules/write.h"
#include "libs/status/status_matchers.h"

namespace insula::rules {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// As Mimir answers.
constexpr absl::string_view kAnswer = R"(insula/red/main.yaml:
    - name: requests
      interval: 1m
      rules:
        - record: job:up:sum
          expr: sum by (job) (up{namespace="red"})
          labels:
            namespace: red
        - alert: Down
          expr: up{namespace="red"} == 0
          for: 5m
          annotations:
            summary: '{{ $labels.job }}'
    - name: other
      source_tenants:
        - a
        - b
      rules:
        - record: x
          expr: '{app="loki"} |= "not PromQL"'
"somebody's":
    - name: requests
      rules: []
)";

TEST(ParseRulerAnswerTest, ReadsNamespacesAndGroupsInTheirOrder) {
  const auto answer = ParseRulerAnswer(kAnswer);
  ASSERT_THAT(answer, IsOk());
  ASSERT_THAT(*answer, SizeIs(2));
  const auto& ours = answer->at("insula/red/main.yaml");
  ASSERT_THAT(ours, SizeIs(2));
  EXPECT_EQ(ours[0].name, "requests");
  EXPECT_EQ(ours[0].interval, absl::Minutes(1));
  ASSERT_THAT(ours[0].rules, SizeIs(2));
  EXPECT_EQ(ours[0].rules[1].for_duration, absl::Minutes(5));
  EXPECT_THAT(ours[0].foreign_keys, IsEmpty());
  EXPECT_EQ(ours[1].name, "other");
  EXPECT_THAT(answer->at("somebody's"), SizeIs(1));
}

TEST(ParseRulerAnswerTest, WhatWeSentComesBackAsTheSame) {
  const ParsedFile sent = Parse(R"(groups:
- name: requests
  interval: 60s
  rules:
  - record: job:up:sum
    expr: sum(up{namespace="red"}) by (job)
    labels: {namespace: red}
  - {alert: Down, expr: 'up{namespace="red"}==0', for: 300s, annotations: {summary: "{{ $labels.job }}"}}
)");
  ASSERT_TRUE(sent.ok());
  const auto answer = ParseRulerAnswer(kAnswer);
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(Digest(answer->at("insula/red/main.yaml")[0]),
            Digest(sent.groups[0]));
}

TEST(ParseRulerAnswerTest, KeysThatAreNotOursMakeAGroupDiffer) {
  const auto answer = ParseRulerAnswer(R"(n:
- {name: a, rules: [{record: r, expr: up}]}
- {name: b, rules: [{record: r, expr: up}], source_tenants: [x, "y"]}
- {name: c, rules: [{record: r, expr: up, debug: {b: 1, a: on}}], evaluation_delay: 1m}
- {name: d, rules: [{record: r, expr: up, debug: }], source_tenants: [],
   align_evaluation_time_on_interval: false, x: 0, y: "", z: {}}
)");
  ASSERT_THAT(answer, IsOk());
  auto groups = answer->at("n");
  ASSERT_THAT(groups, SizeIs(4));
  EXPECT_THAT(groups[0].foreign_keys, IsEmpty());
  EXPECT_THAT(groups[1].foreign_keys,
              ElementsAre("\"source_tenants\": [\"x\",\"y\"]"));
  EXPECT_THAT(groups[2].foreign_keys,
              ElementsAre("\"evaluation_delay\": \"1m\"",
                          "rule 1: \"debug\": {\"a\":\"on\",\"b\":\"1\"}"));
  EXPECT_THAT(groups[3].foreign_keys, IsEmpty())
      << "empty is as good as absent";
  for (Group& group : groups) group.name = "same";
  EXPECT_NE(Digest(groups[0]), Digest(groups[1]));
  EXPECT_NE(Digest(groups[0]), Digest(groups[2]));
  EXPECT_EQ(Digest(groups[0]), Digest(groups[3]));
}

TEST(ParseRulerAnswerTest, AnEmptyMapIsNoNamespaces) {
  for (const char* text : {"{}", "{}\n", "--- {}\n", "# none\n{}\n"}) {
    const auto answer = ParseRulerAnswer(text);
    ASSERT_THAT(answer, IsOk()) << text;
    EXPECT_THAT(*answer, IsEmpty()) << text;
  }
  const auto answer = ParseRulerAnswer("n: []\n");
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(*answer, ElementsAre(Pair("n", IsEmpty())));
}

TEST(ParseRulerAnswerTest, NothingElseIsTakenForEmpty) {
  for (const char* text : {"",
                           "\n",
                           "# nothing\n",
                           "null\n",
                           "~",
                           "---\n",
                           "[]\n",
                           "0",
                           "\"\"",
                           "no rule groups found\n",
                           "<html></html>",
                           "n:\n",
                           "n: ~\n",
                           "n: {}\n",
                           "n: x\n",
                           "n: [x]\n",
                           "n: [[]]\n",
                           "n: [~]\n",
                           "n: [{}]\n",
                           "n: [{name: ''}]\n",
                           "n: [{name: g}, {name: g}]\n",
                           "n: [{name: g, rules: {}}]\n",
                           "n: [{name: g, interval: soon}]\n",
                           "n: [{name: g, limit: x}]\n",
                           "n: [{name: g, rules: [{expr: {}}]}]\n",
                           "n: [{name: g, rules: [x]}]\n",
                           "n: []\nn: []\n",
                           "n: []\n---\nm: []\n",
                           "{} {}",
                           "n: [",
                           "n: [{name: g",
                           "n:\n- name: 'g\n",
                           "n:\n- name: \"g\n",
                           "{\"status\":\"error\"}",
                           "{\"error\": \"x\"}"}) {
    EXPECT_THAT(ParseRulerAnswer(text),
                StatusIs(kInvalid, HasSubstr("the ruler's list of rules")))
        << text;
  }
}

TEST(ParseRulerAnswerTest, AnAnswerThatWasCutHasNoOtherGroups) {
  const std::string whole(kAnswer);
  const auto all = ParseRulerAnswer(whole);
  ASSERT_THAT(all, IsOk());
  // Where YAML cannot know that something is missing, what is there is a start
  // of the whole: HTTP has to tell that a body was cut.
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto cut = ParseRulerAnswer(whole.substr(0, size));
    if (!cut.ok()) continue;
    EXPECT_GE(cut->size(), 1u) << size;
    EXPECT_LE(cut->size(), all->size()) << size;
    EXPECT_LE(cut->begin()->second.size(), 2u) << size;
  }
}

TEST(ParseRulerAnswerTest, SaysWhere) {
  EXPECT_THAT(
      ParseRulerAnswer("a:\n- name: g\n  rules:\n  - record: r\n    for: x\n"),
      StatusIs(kInvalid,
               HasSubstr("5:10: group \"g\", rule 1, \"r\": field 'for': not a "
                         "valid duration string: \"x\"")));
}

}  // namespace
}  // namespace insula::rules
