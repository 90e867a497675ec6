// The types of PromQL's values.
#pragma once

#include "absl/strings/string_view.h"

namespace insula::promql {

enum class ValueType { kScalar, kVector, kMatrix, kString };

// "scalar", "vector", "matrix", "string".
constexpr absl::string_view Name(ValueType type) {
  switch (type) {
    case ValueType::kScalar:
      return "scalar";
    case ValueType::kVector:
      return "vector";
    case ValueType::kMatrix:
      return "matrix";
    case ValueType::kString:
      return "string";
  }
  return "unknown";
}

// The words of the manual: "instant vector", "range vector".
constexpr absl::string_view DocumentedName(ValueType type) {
  if (type == ValueType::kVector) return "instant vector";
  if (type == ValueType::kMatrix) return "range vector";
  return Name(type);
}

}  // namespace insula::promql
