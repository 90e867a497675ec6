#include "tools/insulactl/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "libs/files/replace_file.h"
#include "libs/files/write_all.h"

namespace insula::insulactl {
namespace {

absl::Status Failed(const std::string& path, absl::string_view what) {
  return absl::ErrnoToStatus(errno, absl::StrCat(path, ": ", what));
}

}  // namespace

PrivateFile::~PrivateFile() {
  if (fd_ >= 0) close(fd_);
  if (!part_.empty()) unlink(part_.c_str());
}

absl::Status PrivateFile::Open() {
  std::string part = path_ + ".XXXXXX";
  fd_ = mkostemp(part.data(), O_CLOEXEC);  // Mode 0600.
  if (fd_ < 0) return Failed(path_, "can't be made beside");
  part_ = part;
  return absl::OkStatus();
}

absl::Status PrivateFile::Write(absl::string_view data) {
  if (files::WriteAll(fd_, data) == data.size()) return absl::OkStatus();
  return Failed(part_, "can't be written");
}

absl::Status PrivateFile::Commit() {
  if (fsync(fd_) != 0) return Failed(part_, "can't be made durable");
  const int fd = std::exchange(fd_, -1);
  if (close(fd) != 0) return Failed(part_, "can't be closed");
  if (rename(part_.c_str(), path_.c_str()) != 0) {
    return Failed(path_, "can't be put in place");
  }
  part_.clear();
  const size_t slash = path_.rfind('/');
  return files::SyncDirectory(
      slash == std::string::npos ? "." : path_.substr(0, slash + 1));
}

}  // namespace insula::insulactl
