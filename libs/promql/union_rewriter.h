// Puts the arms of selectors into an expression, for confine_union.h.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/promql/ast.h"
#include "libs/promql/clause_union.h"
#include "libs/promql/confine_union.h"

namespace insula::promql {

// For one expression.
class UnionRewriter {
 public:
  // `query` is what was parsed, for the places in errors; both must outlive
  // this. With `whole` the one clause is added to each selector as it is, and
  // to the answers of absent() if `absent_labels` says so.
  UnionRewriter(absl::string_view query, const Clauses& simple, bool whole,
                AbsentLabels absent_labels)
      : query_(query),
        simple_(simple),
        whole_(whole),
        absent_labels_(absent_labels) {}

  // For a store that takes a union beside the query: selectors of several arms
  // are left as they are. Before Run().
  void LeaveUnions() { leaves_unions_ = true; }
  // Then, after Run(): whether there were such selectors, and the clauses that
  // any selector may see something of.
  bool left_unions() const { return left_unions_; }
  Clauses SeenClauses() const;

  // Selectors of several arms whose series are to be taken apart by their other
  // labels go into `*unlike`, each once, and are not refused for want of a
  // metric name: no two of what each sees may be alike but for the name. Before
  // Run().
  void TakeForUnlike(Clauses* unlike) { unlike_ = unlike; }

  // The expressions whose answers are together the answer: one, unless `root`
  // is a range selector.
  absl::StatusOr<std::vector<ExprPtr>> Run(ExprPtr root);

 private:
  // What one selector may see.
  struct Plan {
    Clauses arms;   // Matchers in full; none if nothing may be seen.
    bool fixed;     // All arms have one and the same metric name.
    bool separate;  // Labels besides the name tell the arms apart.
  };

  absl::StatusOr<const Plan*> PlanOf(const VectorSelector& selector);
  void NoteSeen(const VectorSelector& selector);
  absl::Status Walk(ExprPtr* root);
  absl::Status RewriteSelector(ExprPtr* slot);
  absl::Status RewriteCall(ExprPtr* slot, size_t index);
  absl::Status RewriteAbsent(ExprPtr* slot, const VectorSelector& selector,
                             const Plan& plan);
  absl::StatusOr<std::vector<ExprPtr>> RewriteRange(ExprPtr root);

  // Copies of `expr`, whose selector `find` finds, one an arm.
  absl::StatusOr<std::vector<ExprPtr>> Copies(
      const Expr& expr, const Clauses& arms,
      VectorSelector* (*find)(Expr&, size_t), size_t index);

  absl::Status Refuse(const VectorSelector& selector, size_t arms,
                      absl::string_view why) const;

  absl::string_view query_;
  const Clauses& simple_;
  const bool whole_;
  const AbsentLabels absent_labels_;
  bool leaves_unions_ = false;
  bool left_unions_ = false;
  std::vector<bool> seen_;  // By index in `simple_`.
  Clauses* unlike_ = nullptr;
  // For copies; see clone.h. A tree of which nothing is too large when printed
  // takes no more.
  size_t budget_ = size_t{8} << 20;
  std::map<std::string, Plan> plans_;
};

}  // namespace insula::promql
