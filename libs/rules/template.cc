#include "libs/rules/template.h"

#include "libs/rules/template_parser.h"
#include "libs/status/status_macros.h"

namespace insula::rules {

absl::StatusOr<TemplateUse> ParseTemplate(absl::string_view text,
                                          const Dialect& dialect) {
  internal::TemplateParser parser(text, dialect);
  RETURN_IF_ERROR(parser.Run());
  return TemplateUse{{parser.functions().begin(), parser.functions().end()}};
}

}  // namespace insula::rules
