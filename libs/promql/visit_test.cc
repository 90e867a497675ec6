#include "libs/promql/visit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "libs/promql/functions.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/status/status_matchers.h"

namespace insula::promql {
namespace {

using ::testing::ElementsAre;

constexpr char kEverything[] =
    "topk(scalar(a), -b) + on(x) (sum(rate(c[5m])) > 1)"
    " * count_values(\"s\", max_over_time(d[1h:]))";

TEST(VisitTest, GoesFromLeftToRightAndParentsFirst) {
  const auto expr = Parse(kEverything);
  ASSERT_THAT(expr, IsOk());
  std::vector<std::string> names;
  const auto selectors = Selectors(static_cast<const Expr&>(**expr));
  ASSERT_THAT(selectors, IsOk());
  for (const VectorSelector* s : *selectors) {
    names.push_back(s->name);
  }
  EXPECT_THAT(names, ElementsAre("b", "a", "c", "d"));
  std::vector<ExprKind> kinds;
  EXPECT_THAT(Visit(static_cast<const Expr&>(**expr),
                    [&kinds](const Expr& node) {
                      kinds.push_back(node.kind);
                      return absl::OkStatus();
                    }),
              IsOk());
  EXPECT_THAT(
      kinds,
      ElementsAre(ExprKind::kBinary, ExprKind::kAggregate, ExprKind::kUnary,
                  ExprKind::kVectorSelector, ExprKind::kCall,
                  ExprKind::kVectorSelector, ExprKind::kBinary,
                  ExprKind::kParen, ExprKind::kBinary, ExprKind::kAggregate,
                  ExprKind::kCall, ExprKind::kMatrixSelector,
                  ExprKind::kVectorSelector, ExprKind::kNumber,
                  ExprKind::kAggregate, ExprKind::kCall, ExprKind::kSubquery,
                  ExprKind::kVectorSelector, ExprKind::kString));
}

TEST(VisitTest, StopsAtTheFirstError) {
  const auto expr = Parse(kEverything);
  ASSERT_THAT(expr, IsOk());
  int visited = 0;
  EXPECT_THAT(Visit(**expr,
                    [&visited](Expr&) {
                      return ++visited == 3 ? absl::CancelledError("enough")
                                            : absl::OkStatus();
                    }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(visited, 3);
}

TEST(VisitTest, MayChangeWhatItVisits) {
  auto expr = Parse("a + rate(b[5m])");
  ASSERT_THAT(expr, IsOk());
  const auto selectors = Selectors(**expr);
  ASSERT_THAT(selectors, IsOk());
  for (VectorSelector* s : *selectors) {
    s->modifiers.at = Modifiers::At::kEnd;
  }
  EXPECT_EQ(Print(**expr), "a @ end() + rate(b[5m] @ end())");
}

TEST(FunctionsTest, FindsEachFunctionByItsExactName) {
  std::set<std::string> names;
  for (const Function& function : Functions()) {
    names.emplace(function.name);
    EXPECT_EQ(FindFunction(function.name), &function);
  }
  EXPECT_EQ(names.size(), 91u);
  for (const char* name : {"", "RATE", "rat", "ratee", "nil", "sum", "zzz"}) {
    EXPECT_EQ(FindFunction(name), nullptr) << name;
  }
}

}  // namespace
}  // namespace insula::promql
