// Writes files that are there whole or not at all.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace insula::files {

// Puts `text` at `path`, in place of what is there: a temporary file beside it
// (`path` + ".tmp"), fsync, rename, fsync of the directory. A reader sees the
// old file or the new one; after OK the new one also survives a power cut. A
// symbolic link at `path` is replaced, not followed. One caller at a time for
// a path. Mode 0644. Blocks. Codes of errno.
absl::Status ReplaceFile(const std::string& path, absl::string_view text);

// Makes the names of files in `directory` durable.
absl::Status SyncDirectory(const std::string& directory);

}  // namespace insula::files
