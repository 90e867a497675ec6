// The library target `promql_broken` is what it says. Tests of isolation that
// are run against it must fail; here is shown that this is so on purpose.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/labels/matcher.h"
#include "libs/promql/confine.h"
#include "libs/promql/parser.h"
#include "libs/status/status_matchers.h"

namespace insula::promql {
namespace {

TEST(ConfineBrokenTest, PassesQueriesAsTheyAre) {
  const auto enforced = ParseMetricSelector("{namespace=\"red\"}");
  ASSERT_THAT(enforced, IsOk());
  const absl::StatusOr<std::string> text =
      ConfineQuery("sum( up{namespace='blue'} )", *enforced);
  ASSERT_THAT(text, IsOk());
  EXPECT_EQ(*text, "sum(up{namespace=\"blue\"})");
}

}  // namespace
}  // namespace insula::promql
