#include "services/rule_sync/prometheus_client.h"

#include <gmock/gmock.h>

#include "libs/rules/rule_file.h"
#include "libs/status/status_matchers.h"

namespace insula::rule_sync {
namespace {

using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// As Prometheus 2.42 prints it.
constexpr char kAnswer[] = R"json({"status":"success","data":{"groups":[
  {"name":"g","file":"/etc/rules/a.yaml","interval":30,"limit":0,
   "evaluationTime":0.1,"lastEvaluation":"2026-11-21T09:21:06Z","rules":[
    {"name":"r","query":"sum by (job) (up{namespace=\"red\"})","health":"ok",
     "labels":{"namespace":"red"},"evaluationTime":0,"type":"recording"},
    {"state":"inactive","name":"A","query":"up == 0","duration":90,
     "keepFiringFor":0,"labels":{"namespace":"red"},
     "annotations":{"x":"{{ $value }}"},"alerts":[],"type":"alerting"}]},
  {"name":"g","file":"b.yaml","interval":60,"rules":[]}]}})json";

rules::Group Wanted(
    const std::string& more = "", const std::string& rule = "",
    const std::string& expr = "sum(up{namespace='red'}) by(job)") {
  const rules::ParsedFile file = rules::Parse(
      "groups:\n- name: g\n" + more +
      "  rules:\n  - record: r\n    expr: " + expr +
      "\n    labels: {namespace: red}\n"
      "  - alert: A\n    expr: up == 0\n    for: 90s\n"
      "    labels: {namespace: red}\n    annotations: {x: '{{ $value }}'}\n" +
      rule);
  EXPECT_TRUE(file.ok());
  return file.groups.at(0);
}

TEST(LoadedRulesTest, AreReadByTheNameOfTheirFile) {
  const auto loaded = ParseLoadedRules(kAnswer);
  ASSERT_THAT(loaded, IsOk());
  EXPECT_THAT(*loaded, UnorderedElementsAre(Pair("a.yaml", SizeIs(1)),
                                            Pair("b.yaml", SizeIs(1))));
}

TEST(LoadedRulesTest, WhatWasWrittenIsKnownAgain) {
  const rules::Group loaded = ParseLoadedRules(kAnswer)->at("a.yaml")[0];
  EXPECT_TRUE(IsLoaded(Wanted(), loaded));
  EXPECT_TRUE(IsLoaded(Wanted("  interval: 30s\n"), loaded));
}

TEST(LoadedRulesTest, EveryDifferenceIsSeen) {
  const rules::Group loaded = ParseLoadedRules(kAnswer)->at("a.yaml")[0];
  EXPECT_FALSE(IsLoaded(Wanted("  interval: 1m\n"), loaded));
  EXPECT_FALSE(IsLoaded(Wanted("", "  - {record: s, expr: up}\n"), loaded));
  EXPECT_FALSE(
      IsLoaded(Wanted("", "", "sum(up{namespace='blue'}) by(job)"), loaded));
  const auto changed = [&loaded](auto change) {
    rules::Group group = Wanted();
    change(&group);
    return IsLoaded(group, loaded);
  };
  EXPECT_FALSE(changed([](rules::Group* group) { group->name = "h"; }));
  EXPECT_FALSE(
      changed([](rules::Group* group) { group->rules[0].record = "s"; }));
  EXPECT_FALSE(changed(
      [](rules::Group* group) { group->rules[0].labels["more"] = "1"; }));
  EXPECT_FALSE(
      changed([](rules::Group* group) { group->labels["more"] = "1"; }));
  EXPECT_FALSE(changed([](rules::Group* group) {
    group->rules[1].for_duration = absl::Seconds(91);
  }));
  EXPECT_FALSE(changed(
      [](rules::Group* group) { group->rules[1].annotations.clear(); }));
  EXPECT_FALSE(changed([](rules::Group* group) {
    std::swap(group->rules[0], group->rules[1]);
  }));
  EXPECT_TRUE(changed(
      [](rules::Group* group) { group->rules[0].labels["empty"] = ""; }));
}

TEST(LoadedRulesTest, WhatIsNoAnswerIsNotTakenForNoRules) {
  for (const char* text :
       {"", "{}", "[]", "null", "<html>", R"({"status":"success"})",
        R"({"status":"success","data":[]})",
        R"({"status":"success","data":{"groups":{}}})",
        R"({"status":"error","data":{"groups":[]}})",
        R"({"status":"success","data":{"groups":[1]}})",
        R"({"status":"success","data":{"groups":[{"name":"g","file":"f"}]}})",
        R"({"status":"success","data":{"groups":[{"name":"g","file":"f",
            "rules":[{"type":"other"}]}]}})",
        R"({"status":"success","data":{"groups":[)"}) {
    EXPECT_THAT(ParseLoadedRules(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
  EXPECT_THAT(*ParseLoadedRules(R"({"status":"success","data":{"groups":[]}})"),
              SizeIs(0));
}

}  // namespace
}  // namespace insula::rule_sync
