// The settings of the audit.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "libs/config/config.h"

namespace insula::audit {

struct AuditConfig {
  std::string file;  // Empty: no audit. "-": standard output.
  int max_lines_per_second = 100;

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

}  // namespace insula::audit
