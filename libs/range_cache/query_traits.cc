#include "libs/range_cache/query_traits.h"

#include <algorithm>

#include "absl/status/status.h"
#include "libs/promql/dialect.h"
#include "libs/promql/parser.h"
#include "libs/promql/visit.h"
#include "libs/status/status_macros.h"

namespace insula::range_cache {
namespace {

using promql::Modifiers;

void Note(const Modifiers& modifiers, QueryTraits* traits) {
  if (modifiers.offset < absl::ZeroDuration()) {
    traits->ahead -= modifiers.offset;
  }
  switch (modifiers.at) {
    case Modifiers::At::kNone:
      break;
    case Modifiers::At::kTime:
      traits->pinned = std::max(traits->pinned, modifiers.time);
      break;
    case Modifiers::At::kStart:
    case Modifiers::At::kEnd:
      traits->divisible = false;
      break;
  }
  if (!modifiers.offset_expression.empty()) traits->divisible = false;
}

void Note(const promql::Expr& expr, QueryTraits* traits) {
  switch (expr.kind) {
    case promql::ExprKind::kVectorSelector: {
      const auto& selector = static_cast<const promql::VectorSelector&>(expr);
      Note(selector.modifiers, traits);
      if (selector.extension == promql::VectorSelector::Extension::kSmoothed) {
        traits->divisible = false;
      }
      break;
    }
    case promql::ExprKind::kMatrixSelector:
      if (!static_cast<const promql::MatrixSelector&>(expr)
               .window_expression.empty()) {
        traits->divisible = false;
      }
      break;
    case promql::ExprKind::kSubquery: {
      const auto& subquery = static_cast<const promql::Subquery&>(expr);
      Note(subquery.modifiers, traits);
      if (!subquery.window_expression.empty() ||
          !subquery.step_expression.empty()) {
        traits->divisible = false;
      }
      break;
    }
    case promql::ExprKind::kCall: {
      const absl::string_view name =
          static_cast<const promql::Call&>(expr).function->name;
      if (name == "start" || name == "end" || name == "range") {
        traits->divisible = false;
      }
      break;
    }
    default:
      break;
  }
}

}  // namespace

absl::StatusOr<QueryTraits> TraitsOf(const promql::Expr& query) {
  QueryTraits traits;
  RETURN_IF_ERROR(promql::Visit(query, [&](const promql::Expr& expr) {
    Note(expr, &traits);
    return absl::OkStatus();
  }));
  traits.pinned += traits.ahead;
  return traits;
}

absl::StatusOr<QueryTraits> TraitsOf(absl::string_view text) {
  promql::ParseOptions options;
  options.dialect = promql::NewestDialect();
  ASSIGN_OR_RETURN(const promql::ExprPtr query, promql::Parse(text, options));
  return TraitsOf(*query);
}

}  // namespace insula::range_cache
