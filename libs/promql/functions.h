// The functions of PromQL as of Prometheus 2.42, and what they take.
#pragma once

#include <array>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/promql/value_type.h"

namespace insula::promql {

struct Function {
  absl::string_view name;
  ValueType return_type;

  // 0: takes exactly the arguments of arg_types(). n > 0: the last of them may
  // be absent or stand up to n times. -1: absent or any number of times.
  int variadic;

  int arity;  // Of arg_types().
  std::array<ValueType, 5> types;

  absl::Span<const ValueType> arg_types() const {
    return absl::MakeConstSpan(types).first(arity);
  }
};

// The function of that name, which is case-sensitive; null if there is none.
// Points into a constant table.
const Function* FindFunction(absl::string_view name);

// The whole table, by name.
absl::Span<const Function> Functions();

}  // namespace insula::promql
