// What insulactl ends with. Scripts count on the numbers.
#pragma once

#include "absl/status/status.h"

namespace insula::insulactl {

enum class ExitCode {
  kOk = 0,
  kDifferent = 1,    // diff: not the same. validate, promql: not valid.
  kUsage = 2,        // The command line, or an input file, can't be used.
  kRefused = 3,      // The registry has refused the request.
  kUnreachable = 4,  // The registry can't be reached, or was too slow.
  kLocal = 5,        // A file, or the output, can't be written.
  kIncomplete = 6,   // convert: something has no counterpart.
  kInterrupted = 130,
};

// That of an answer of the registry.
inline ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kUnreachable;
    case absl::StatusCode::kCancelled:
      return ExitCode::kInterrupted;
    default:
      return ExitCode::kRefused;
  }
}

}  // namespace insula::insulactl
