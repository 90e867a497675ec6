#include "libs/files/replace_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "libs/files/write_all.h"
#include "libs/status/status_macros.h"

namespace insula::files {
namespace {

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(path, ": ", what));
}

absl::Status WriteAndSync(int fd, const std::string& path,
                          absl::string_view text) {
  if (WriteAll(fd, text) != text.size()) {
    return Failed("can't be written", path);
  }
  if (fsync(fd) != 0) return Failed("can't be synced", path);
  return absl::OkStatus();
}

}  // namespace

absl::Status SyncDirectory(const std::string& directory) {
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed("can't be opened", directory);
  const absl::Status status =
      fsync(fd) == 0 ? absl::OkStatus() : Failed("can't be synced", directory);
  close(fd);
  return status;
}

absl::Status ReplaceFile(const std::string& path, absl::string_view text) {
  const std::string part = path + ".tmp";
  // A new file, so that nobody else has it open, and no link leads elsewhere.
  if (unlink(part.c_str()) != 0 && errno != ENOENT) {
    return Failed("can't be removed", part);
  }
  const int fd = open(
      part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return Failed("can't be made", part);
  absl::Status status = WriteAndSync(fd, part, text);
  if (close(fd) != 0 && status.ok()) status = Failed("can't be closed", part);
  if (status.ok() && rename(part.c_str(), path.c_str()) != 0) {
    status = Failed("can't be put in place", path);
  }
  if (!status.ok()) {
    unlink(part.c_str());
    return status;
  }
  const size_t slash = path.rfind('/');
  return SyncDirectory(slash == path.npos ? "." : path.substr(0, slash + 1));
}

}  // namespace insula::files
