#include "libs/promql/planted_faults.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "libs/labels/matcher.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/promql/visit.h"

namespace insula::promql {
namespace {

// Whether the child `index` of `expr` is the one that is passed over.
bool IsPassedOver(const Expr& expr, size_t index) {
  switch (expr.kind) {
    case ExprKind::kAggregate:
      return index == 1 && IsPlanted("aggregation_parameter");
    case ExprKind::kBinary:
      return index == 1 && IsPlanted("right_operand");
    case ExprKind::kSubquery:
      return IsPlanted("subquery");
    default:
      return false;
  }
}

bool IsPassedOver(const VectorSelector& selector) {
  return selector.modifiers.at != Modifiers::At::kNone &&
         IsPlanted("at_modifier");
}

}  // namespace

bool IsPlanted(absl::string_view fault) {
  static const char* const planted = std::getenv("INSULA_FAULT");
  return planted != nullptr && fault == planted;
}

absl::StatusOr<std::vector<VectorSelector*>> ReachedSelectors(Expr& root) {
  std::vector<VectorSelector*> selectors;
  std::vector<Expr*> waiting = {&root};
  while (!waiting.empty()) {
    Expr* const expr = waiting.back();
    waiting.pop_back();
    if (expr->kind == ExprKind::kVectorSelector) {
      auto* const selector = static_cast<VectorSelector*>(expr);
      if (!IsPassedOver(*selector)) selectors.push_back(selector);
    }
    for (size_t i = 0; Expr* child = Child(*expr, i); ++i) {
      if (!IsPassedOver(*expr, i)) waiting.push_back(child);
    }
  }
  return selectors;
}

std::string WithoutPolicy(const std::string& query, const Clauses& clauses) {
  const absl::StatusOr<ExprPtr> expr = Parse(query);
  if (!expr.ok()) return query;
  const auto selectors = Selectors(**expr);
  if (!selectors.ok()) return query;
  for (VectorSelector* const selector : *selectors) {
    Clause& matchers = selector->matchers;
    for (const Clause& clause : clauses) {
      matchers.erase(std::remove_if(matchers.begin(), matchers.end(),
                                    [&clause](const labels::Matcher& matcher) {
                                      return std::find(clause.begin(),
                                                       clause.end(),
                                                       matcher) != clause.end();
                                    }),
                     matchers.end());
    }
  }
  return Print(**expr);
}

}  // namespace insula::promql
