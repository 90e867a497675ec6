#include "libs/spool/directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/files/replace_file.h"
#include "libs/status/status_macros.h"

namespace insula::spool {
namespace {

namespace fs = std::filesystem;

constexpr int kFormat = 1;

absl::Status FromError(const std::error_code& error, absl::string_view what) {
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(error.value(), what);
}

// Whether RocksDB may have made a file of that name.
bool IsOfStore(absl::string_view name) {
  for (const char* whole : {"CURRENT", "IDENTITY", "LOCK", "LOG", "archive"}) {
    if (name == whole) return true;
  }
  for (const char* prefix : {"LOG.old.", "MANIFEST-", "OPTIONS-"}) {
    if (absl::StartsWith(name, prefix)) return true;
  }
  for (const char* suffix : {".sst", ".blob", ".log", ".dbtmp"}) {
    uint64_t number;
    if (absl::ConsumeSuffix(&name, suffix)) {
      return absl::SimpleAtoi(name, &number);
    }
  }
  return false;
}

absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error == std::errc::no_such_file_or_directory) return names;
  RETURN_IF_ERROR(FromError(error, absl::StrCat("listing ", path)));
  return names;
}

}  // namespace

Directory::Directory(std::string path, int lock)
    : path_(std::move(path)), lock_(lock) {}

Directory::~Directory() { close(lock_); }

absl::StatusOr<std::unique_ptr<Directory>> Directory::Open(
    const std::string& path, absl::Time now) {
  std::error_code error;
  fs::create_directories(path, error);
  RETURN_IF_ERROR(FromError(error, absl::StrCat("making directory ", path)));
  const std::string lock_path = path + "/LOCK";
  const int lock =
      open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("opening ", lock_path));
  }
  std::unique_ptr<Directory> directory(new Directory(path, lock));
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return absl::ErrnoToStatus(errno, absl::StrCat("locking ", lock_path));
    }
    return absl::AlreadyExistsError(
        absl::StrCat("queue directory ", path,
                     ": another process uses it; give each one its own"));
  }
  RETURN_IF_ERROR(directory->CheckFormat());
  RETURN_IF_ERROR(directory->FinishReplacing());
  RETURN_IF_ERROR(directory->QuarantineForeign(now));
  return directory;
}

absl::Status Directory::CheckFormat() {
  const std::string path = path_ + "/FORMAT";
  std::string line;
  {
    std::ifstream file(path);
    std::getline(file, line);
  }
  int format = 0;
  if (absl::SimpleAtoi(line, &format) && format > kFormat) {
    return absl::FailedPreconditionError(absl::StrCat(
        "queue directory ", path_, " is of format ", format,
        ", and this release reads up to ", kFormat,
        ": start the release that wrote it, and let it drain the queue"));
  }
  if (format == kFormat) return absl::OkStatus();
  // New, or damaged: all releases so far have written this one.
  RETURN_IF_ERROR(files::ReplaceFile(path, absl::StrCat(kFormat, "\n")));
  const std::string parent = fs::path(path_).parent_path().string();
  return files::SyncDirectory(parent.empty() ? "." : parent);
}

absl::Status Directory::QuarantineForeign(absl::Time now) {
  ASSIGN_OR_RETURN(const auto names, NamesIn(path_));
  for (const std::string& name : names) {
    if (name == "LOCK" || name == "FORMAT" || name == "db" ||
        name == "quarantine" || name == "lost+found") {
      continue;
    }
    RETURN_IF_ERROR(Move(name, now).status());
  }
  ASSIGN_OR_RETURN(const auto files, NamesIn(store_path()));
  for (const std::string& name : files) {
    if (!IsOfStore(name)) RETURN_IF_ERROR(Move("db/" + name, now).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Directory::BeginStore() {
  const std::string next = path_ + "/db.new";
  std::error_code error;
  fs::remove_all(next, error);
  RETURN_IF_ERROR(FromError(error, absl::StrCat("removing ", next)));
  return next;
}

absl::StatusOr<std::string> Directory::ReplaceStore(absl::Time now) {
  ASSIGN_OR_RETURN(std::string where, Move("db", now));
  RETURN_IF_ERROR(FinishReplacing());
  return where;
}

absl::Status Directory::FinishReplacing() {
  const std::string next = path_ + "/db.new";
  std::error_code error;
  if (!fs::exists(next, error)) return absl::OkStatus();
  if (fs::exists(store_path(), error)) {
    fs::remove_all(next, error);  // It was not complete.
  } else {
    fs::rename(next, store_path(), error);
  }
  RETURN_IF_ERROR(FromError(error, absl::StrCat("putting ", next, " right")));
  return files::SyncDirectory(path_);
}

absl::StatusOr<std::string> Directory::Move(const std::string& name,
                                            absl::Time now) {
  const std::string quarantine = path_ + "/quarantine";
  std::error_code error;
  fs::create_directories(quarantine, error);
  RETURN_IF_ERROR(
      FromError(error, absl::StrCat("making directory ", quarantine)));
  const std::string base = fs::path(name).filename().string();
  std::string target;
  int64_t stamp = absl::ToUnixMicros(now);
  do {
    target = absl::StrCat(quarantine, "/", stamp++, "-", base);
  } while (fs::exists(target, error));
  fs::rename(path_ + "/" + name, target, error);
  RETURN_IF_ERROR(
      FromError(error, absl::StrCat("moving ", path_, "/", name, " aside")));
  ++quarantined_;
  RETURN_IF_ERROR(files::SyncDirectory(quarantine));
  RETURN_IF_ERROR(files::SyncDirectory(path_));
  return target;
}

absl::StatusOr<uint64_t> Directory::FreeBytes() const {
  struct statvfs about;
  if (statvfs(path_.c_str(), &about) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("statvfs of ", path_));
  }
  return uint64_t{about.f_bavail} * about.f_frsize;
}

}  // namespace insula::spool
