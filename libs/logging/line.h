// How a log line is written; for logging.cc and its tests.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/logging/logging.h"

namespace insula::logging::internal {

// A value longer than this many bytes is cut.
inline constexpr size_t kMaxValueBytes = 8 << 10;

// The line without its line feed. `service` is left out if empty.
std::string FormatLine(Format format, absl::Time now, Level level,
                       absl::string_view service, absl::string_view msg,
                       Fields fields);

}  // namespace insula::logging::internal
