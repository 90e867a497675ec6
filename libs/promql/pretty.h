// Writes expressions over several lines.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "libs/promql/ast.h"

namespace insula::promql {

// The form of Prometheus' /api/v1/format_query: what has more than 100 bytes in
// the form of Print() is divided, with two spaces more a level. Short texts are
// those of Print(), and where that differs from Prometheus so does this.
//
// Long chains of operators take many spaces: a text of more than `max_bytes` is
// INVALID_ARGUMENT.
absl::StatusOr<std::string> PrettyPrint(const Expr& expr,
                                        size_t max_bytes = size_t{1} << 20);

}  // namespace insula::promql
