#include "libs/audit/audit_config.h"

#include "absl/strings/str_cat.h"

namespace insula::audit {

void AuditConfig::Describe(config::Fields& fields) {
  fields.Add("file", file,
             "Where refusals and changes are written, a line of JSON each; "
             "lines are added at its end. \"-\": standard output. Empty: "
             "nowhere.");
  fields.Add("max_lines_per_second", max_lines_per_second,
             "Most refusals written a second, in the long run; ten times that "
             "at once. Those above it are counted.");
}

absl::Status AuditConfig::Validate() const {
  if (max_lines_per_second >= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("audit.max_lines_per_second: must be at least 1, is ",
                   max_lines_per_second));
}

}  // namespace insula::audit
