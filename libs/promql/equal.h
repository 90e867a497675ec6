// Whether two trees are the same expression.
#pragma once

#include "libs/promql/ast.h"

namespace insula::promql {

// True only if Print() writes both as the same text, for it compares all that
// Print() writes, and costs far less. The order of matchers does not matter.
// False says little: also of a selector with very many matchers.
bool AreEqual(const Expr& a, const Expr& b);

}  // namespace insula::promql
