// Templates of alerts, in the language of Go's text/template.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/rules/dialect.h"

namespace insula::rules {

// What a template uses.
struct TemplateUse {
  std::vector<std::string> functions;  // Sorted, each once. `query` may be one.
};

// Parses the text of an alert's label or annotation as Prometheus does before
// it evaluates a rule: delimiters, comments, actions, blocks, declared
// variables, known functions. INVALID_ARGUMENT with the place otherwise, and
// if it has more than 100,000 words and signs or 1,000 variables, or nests
// blocks or parentheses deeper than 100. Names outside of quotes are of ASCII,
// and numbers neither complex nor with underscores.
absl::StatusOr<TemplateUse> ParseTemplate(absl::string_view text,
                                          const Dialect& dialect = {});

}  // namespace insula::rules
