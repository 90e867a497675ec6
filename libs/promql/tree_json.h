// The tree of an expression for programs.
#pragma once

#include <string>

#include "libs/promql/ast.h"

namespace insula::promql {

// JSON as /api/v1/parse_query of Prometheus 3 has it in `data`: an object for
// each node with its `type` and what it holds, keys in alphabetical order,
// durations and times in milliseconds. Duration expressions are 0 there, too.
// Bytes that are not UTF-8 become U+FFFD.
std::string TreeJson(const Expr& expr);

}  // namespace insula::promql
