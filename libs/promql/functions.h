// The functions of PromQL, and what they take.
#pragma once

#include <array>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/promql/dialect.h"
#include "libs/promql/value_type.h"

namespace insula::promql {

inline constexpr Version kNoVersion = {1'000'000, 0};

struct Function {
  absl::string_view name;
  ValueType return_type;

  // 0: takes exactly the arguments of arg_types(). n > 0: the last of them may
  // be absent or stand up to n times. -1: absent or any number of times.
  int variadic;

  int arity;  // Of arg_types().
  std::array<ValueType, 5> types;

  Version since;               // The first that has it.
  Version until = kNoVersion;  // The first that no longer does.
  Version stable = {0, 0};     // The first that has it without a flag.

  absl::Span<const ValueType> arg_types() const {
    return absl::MakeConstSpan(types).first(arity);
  }
};

// The function of that name, which is case-sensitive; null if there is none.
// Points into a constant table.
const Function* FindFunction(absl::string_view name);

// Whether servers of that dialect have it, though perhaps not enabled.
bool IsKnown(const Function& function, const Dialect& dialect);

// Whether one that they have may be used.
bool IsEnabled(const Function& function, const Dialect& dialect);

// The whole table, by name.
absl::Span<const Function> Functions();

}  // namespace insula::promql
