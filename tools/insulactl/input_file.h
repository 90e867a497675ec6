// A file that the command line names.
#pragma once

#include <cstddef>
#include <istream>
#include <string>

#include "absl/status/statusor.h"

namespace insula::insulactl {

// The bytes of the file at `path`, or of `in` for "-". Of what is longer than
// `max_bytes`, one byte more than that, so that the caller sees it.
// INVALID_ARGUMENT: it can't be read.
absl::StatusOr<std::string> ReadInputFile(const std::string& path,
                                          std::istream* in, size_t max_bytes);

// The one token that the file at `path` holds, or `in` for "-", without white
// space around it: at most 16 KiB of visible ASCII characters. INVALID_ARGUMENT
// otherwise, in words that don't show it.
absl::StatusOr<std::string> ReadToken(const std::string& path,
                                      std::istream* in);

// What messages call it: `path`, or "stdin".
std::string InputName(const std::string& path);

}  // namespace insula::insulactl
