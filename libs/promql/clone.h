// Copies of trees.
#pragma once

#include <cstddef>

#include "libs/promql/ast.h"

namespace insula::promql {

// What a node by itself takes in a text, and in memory, in bytes, roughly and
// never much less.
size_t NodeBytes(const Expr& node);

// A copy of `root` and everything below, without recursion. Takes the bytes of
// the copied nodes off `*budget`; null when it is used up, or if the tree holds
// a node of an unknown kind.
ExprPtr Clone(const Expr& root, size_t* budget);

}  // namespace insula::promql
