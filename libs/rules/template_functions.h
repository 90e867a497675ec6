// The functions that templates of alerts may name.
#pragma once

#include "absl/strings/string_view.h"
#include "libs/rules/dialect.h"

namespace insula::rules::internal {

bool IsTemplateFunction(absl::string_view name, const Dialect& dialect);

}  // namespace insula::rules::internal
