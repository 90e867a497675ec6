// Reads a file that somebody may be writing.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace insula::files {

// What tells one content of a file from another, without reading it.
struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = -1;
  absl::Time modified;
  absl::Time changed;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

struct SettledFile {
  FileStamp stamp;
  bool settled = true;              // False: look again in a moment.
  std::optional<std::string> text;  // Unset: unchanged, or not settled.
};

struct SettledFileOptions {
  size_t max_bytes = 1 << 20;
  bool follow_links = true;  // Of the last element of the path.
};

// Reads `path` unless its stamp is `known`. A file that was written to less
// than 30 ms ago, or while it was read, is not settled: a half-written file
// would look as if something had vanished from it. One that is replaced while
// it is read is read from its new place at once. NOT_FOUND, INVALID_ARGUMENT
// (not a regular file, too large, a link that is not followed), and the codes
// of errno. Blocks, but not for a FIFO.
absl::StatusOr<SettledFile> ReadSettledFile(
    const std::string& path, const std::optional<FileStamp>& known,
    const SettledFileOptions& options, absl::Time now);

}  // namespace insula::files
