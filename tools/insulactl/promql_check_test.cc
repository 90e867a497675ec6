#include "tools/insulactl/promql_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/status/status_matchers.h"

namespace insula::insulactl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

QueryReport Check(absl::string_view name, absl::string_view text,
                  absl::string_view dialect = "2.42") {
  promql::ParseOptions options;
  options.dialect = *promql::ParseDialect(dialect);
  QueryReport report;
  EXPECT_THAT(CheckQueries(name, text, options, &report), IsOk());
  return report;
}

TEST(PromqlCheckTest, CountsTheExpressionsOfEvaluationTests) {
  const QueryReport report = Check(
      "a.test", "load 5m\n a 1\n\neval instant at 5m sum(a\neval instant b\n");
  EXPECT_EQ(report.found, 2u);
  EXPECT_EQ(report.accepted, 1u);
  EXPECT_THAT(report.refused,
              ElementsAre("a.test:4: 1:6: parse error: unclosed left "
                          "parenthesis: sum(a"));
}

TEST(PromqlCheckTest, FindsTheExpressionsOfRuleFiles) {
  const QueryReport report = Check("r.yaml",
                                   "groups:\n- name: g\n  rules:\n"
                                   "  - record: a\n    expr: sum(b)\n"
                                   "  - alert: C\n    expr: |\n      b ==\n");
  EXPECT_EQ(report.found, 2u);
  EXPECT_THAT(report.refused, ElementsAre(HasSubstr("r.yaml:7: ")));
}

TEST(PromqlCheckTest, TakesOtherFilesByLines) {
  const QueryReport report = Check("q", "# a comment\n\nup\n  up )\n");
  EXPECT_EQ(report.found, 2u);
  EXPECT_THAT(report.refused, ElementsAre(HasSubstr("q:4: 1:")));
}

TEST(PromqlCheckTest, TheDialectDecides) {
  EXPECT_THAT(Check("q", "up[300]").refused, testing::SizeIs(1));
  EXPECT_THAT(Check("q", "up[300]", "3.5").refused, IsEmpty());
}

TEST(PromqlCheckTest, RefusesWhatIsNoYaml) {
  QueryReport report;
  EXPECT_THAT(
      CheckQueries("r.yaml", "a: [", {}, &report),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("r.yaml:")));
}

}  // namespace
}  // namespace insula::insulactl
