// The library targets `promql_broken_arm`, which loses an arm of a union, and
// `promql_broken_residual`, which takes any matcher for fulfilled whose label a
// selector compares, are found out by what clause_union_test tries.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/promql/clause_union_property.h"

namespace insula::promql {
namespace {

TEST(ClauseUnionBrokenTest, IsFound) {
  EXPECT_THAT(FindUnionFault(/*seed=*/1, 1500),
              testing::AllOf(testing::HasSubstr("differs for"),
                             testing::Not(testing::HasSubstr("simplified"))));
}

}  // namespace
}  // namespace insula::promql
