// The labels with which absent() and absent_over_time() answer.
//
// They stand in the selector that is asked for, so that matchers which
// confinement adds would show in answers.
#pragma once

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "libs/promql/ast.h"
#include "libs/promql/clause_union.h"

namespace insula::promql {

using LabelSet = std::map<std::string, std::string>;

// The labels of the answer for a selector with `matchers`, in the order of the
// text: of each label that is always compared by `=`, the first value; but `=`
// behind another comparison counts, and `=` twice does not.
LabelSet LabelsOfAbsent(const Clause& matchers);

// The matchers in the order in which they are printed.
Clause AsPrinted(Clause matchers);

// `answer`, whose elements have the labels `have`, with `want` instead.
ExprPtr Relabeled(ExprPtr answer, const LabelSet& have, const LabelSet& want);

// `label_replace(expr, "label", "replacement", "source", "regex")`.
ExprPtr LabelReplace(ExprPtr expr, absl::string_view label,
                     absl::string_view replacement, absl::string_view source,
                     absl::string_view regex);

}  // namespace insula::promql
