#include "libs/fair_queue/query_cost.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "libs/promql/visit.h"
#include "libs/status/status_macros.h"

namespace insula::fair_queue {
namespace {

// A node, and how often it is evaluated how far back.
struct Visited {
  const promql::Expr* expr;
  double times;
  absl::Duration back;
};

absl::Duration Back(const promql::Modifiers& modifiers) {
  return std::max(modifiers.offset, absl::ZeroDuration());
}

double PointsIn(absl::Duration window, absl::Duration interval) {
  return std::max(1.0, absl::FDivDuration(window, interval));
}

void Count(const Visited& at, const promql::VectorSelector& selector,
           absl::Duration window, absl::Duration scrape_interval,
           QueryCost* cost) {
  ++cost->selectors;
  cost->samples_per_series += at.times * PointsIn(window, scrape_interval);
  cost->lookback =
      std::max(cost->lookback, at.back + Back(selector.modifiers) + window);
}

}  // namespace

absl::StatusOr<QueryCost> CostOf(const promql::Expr& query, int64_t steps,
                                 absl::Duration scrape_interval) {
  // Fails for what the walk below would pass over.
  RETURN_IF_ERROR(promql::Visit(
      query, [](const promql::Expr&) { return absl::OkStatus(); }));
  QueryCost cost;
  std::vector<Visited> todo = {
      {&query, static_cast<double>(std::max<int64_t>(1, steps)),
       absl::ZeroDuration()}};
  while (!todo.empty()) {
    const Visited at = todo.back();
    todo.pop_back();
    Visited below = at;
    switch (at.expr->kind) {
      case promql::ExprKind::kVectorSelector:
        Count(at, static_cast<const promql::VectorSelector&>(*at.expr),
              absl::ZeroDuration(), scrape_interval, &cost);
        continue;
      case promql::ExprKind::kMatrixSelector: {
        const auto& matrix =
            static_cast<const promql::MatrixSelector&>(*at.expr);
        Count(at, matrix.vector(), matrix.window, scrape_interval, &cost);
        continue;
      }
      case promql::ExprKind::kSubquery: {
        const auto& subquery = static_cast<const promql::Subquery&>(*at.expr);
        const absl::Duration step = subquery.step > absl::ZeroDuration()
                                        ? subquery.step
                                        : scrape_interval;
        below.times *= PointsIn(subquery.window, step);
        below.back += subquery.window + Back(subquery.modifiers);
        break;
      }
      default:
        break;
    }
    for (size_t i = 0;; ++i) {
      below.expr = promql::Child(*at.expr, i);
      if (below.expr == nullptr) break;
      todo.push_back(below);
    }
  }
  return cost;
}

}  // namespace insula::fair_queue
