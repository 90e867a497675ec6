#include "libs/files/settled_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"

namespace insula::files {
namespace {

constexpr absl::Duration kSettleTime = absl::Milliseconds(30);
// How often a file is replaced while it is read, before that is a reason to
// look again later.
constexpr int kMaxReplacements = 3;

absl::StatusOr<FileStamp> StampOf(int fd, const std::string& path,
                                  size_t max_bytes) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": fstat"));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is not a regular file"));
  }
  if (info.st_size > static_cast<off_t>(max_bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has ", info.st_size, " bytes, at most ",
                     max_bytes, " are read; split the file"));
  }
  FileStamp stamp;
  stamp.device = info.st_dev;
  stamp.inode = info.st_ino;
  stamp.size = info.st_size;
  stamp.modified = absl::TimeFromTimespec(info.st_mtim);
  stamp.changed = absl::TimeFromTimespec(info.st_ctim);
  return stamp;
}

absl::StatusOr<std::string> ReadAll(int fd, const std::string& path,
                                    size_t size) {
  std::string text(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t n = read(fd, text.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat(path, ": read"));
    if (n == 0) break;  // It became shorter; the stamp tells.
    done += static_cast<size_t>(n);
  }
  text.resize(done);
  return text;
}

// Whether no name leads to the open file any more.
bool IsReplaced(int fd) {
  struct stat info = {};
  return fstat(fd, &info) == 0 && info.st_nlink == 0;
}

// `*replaced`: another file took the place of the one that was being read.
absl::StatusOr<SettledFile> ReadOnce(const std::string& path,
                                     const std::optional<FileStamp>& known,
                                     const SettledFileOptions& options,
                                     absl::Time now, bool* replaced) {
  // Not blocking: the path may have become a FIFO.
  const int fd =
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK |
                             (options.follow_links ? 0 : O_NOFOLLOW));
  if (fd < 0 && errno == ELOOP && !options.follow_links) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a symbolic link, put the file itself there"));
  }
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": can't be opened"));
  }
  const absl::Cleanup close_fd = [fd] { close(fd); };
  SettledFile file;
  ASSIGN_OR_RETURN(file.stamp, StampOf(fd, path, options.max_bytes));
  if (file.stamp == known) return file;
  // A time of modification in the future says nothing.
  const absl::Duration age = now - file.stamp.modified;
  if (age >= absl::ZeroDuration() && age < kSettleTime) {
    file.settled = false;
    return file;
  }
  ASSIGN_OR_RETURN(std::string text,
                   ReadAll(fd, path, static_cast<size_t>(file.stamp.size)));
  ASSIGN_OR_RETURN(const FileStamp after, StampOf(fd, path, options.max_bytes));
  if (after == file.stamp) {
    file.text = std::move(text);
  } else {
    file.settled = false;
    *replaced = IsReplaced(fd);
  }
  return file;
}

}  // namespace

absl::StatusOr<SettledFile> ReadSettledFile(
    const std::string& path, const std::optional<FileStamp>& known,
    const SettledFileOptions& options, absl::Time now) {
  for (int replacements = 0;; ++replacements) {
    bool replaced = false;
    ASSIGN_OR_RETURN(SettledFile file,
                     ReadOnce(path, known, options, now, &replaced));
    if (!replaced || replacements == kMaxReplacements) return file;
  }
}

}  // namespace insula::files
