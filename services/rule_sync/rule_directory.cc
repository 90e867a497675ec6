#include "services/rule_sync/rule_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/files/replace_file.h"
#include "libs/status/status_macros.h"
#include "services/rule_sync/rule_file_name.h"

namespace insula::rule_sync {
namespace {

constexpr absl::string_view kGood = ".good";
constexpr absl::string_view kTmp = ".tmp";
// Of a file of ours; a longer one is damaged.
constexpr off_t kMaxBytes = 64 << 20;

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(path, ": ", what));
}

// The text; "" for what is no file that we could have written.
absl::StatusOr<std::string> ReadOwn(const std::string& path) {
  const int fd =
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 && errno == ELOOP) return "";
  if (fd < 0) return Failed("can't be opened", path);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat info = {};
  if (fstat(fd, &info) != 0) return Failed("fstat", path);
  if (!S_ISREG(info.st_mode) || info.st_size > kMaxBytes) return "";
  std::string text(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = read(fd, text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failed("can't be read", path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& path) {
  DIR* const stream = opendir(path.c_str());
  if (stream == nullptr) return Failed("can't be listed", path);
  const absl::Cleanup close_stream = [stream] { closedir(stream); };
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = readdir(stream)) {
    names.emplace_back(entry->d_name);
    errno = 0;
  }
  if (errno != 0) return Failed("can't be listed", path);
  return names;
}

}  // namespace

std::string RuleDirectory::PathOf(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

absl::Status RuleDirectory::Unlink(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return Failed("can't be removed", path);
}

absl::Status RuleDirectory::Sync() { return files::SyncDirectory(path_); }

absl::StatusOr<std::map<std::string, RuleFileState>> RuleDirectory::Scan() {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat(path_, ": can't be made"));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(path_));
  std::map<std::string, RuleFileState> files;
  std::vector<std::string> good;
  for (const std::string& name : names) {
    absl::string_view stem = name;
    if (ParseRuleFileName(stem).has_value()) {
      ASSIGN_OR_RETURN(files[name].text, ReadOwn(PathOf(name)));
    } else if (absl::ConsumeSuffix(&stem, kTmp)) {
      absl::ConsumeSuffix(&stem, kGood);
      if (ParseRuleFileName(stem).has_value()) {
        RETURN_IF_ERROR(Unlink(PathOf(name)));
      }
    } else if (absl::ConsumeSuffix(&stem, kGood) &&
               ParseRuleFileName(stem).has_value()) {
      good.emplace_back(stem);
    }
  }
  for (const std::string& name : good) {
    const std::string path = PathOf(absl::StrCat(name, kGood));
    if (const auto it = files.find(name); it != files.end()) {
      ASSIGN_OR_RETURN(it->second.good, ReadOwn(path));
    } else {
      RETURN_IF_ERROR(Unlink(path));
    }
  }
  return files;
}

absl::Status RuleDirectory::Stage(const std::string& name,
                                  absl::string_view text, bool keep_present) {
  const std::string path = PathOf(name);
  const std::string good = absl::StrCat(path, kGood);
  if (!keep_present) {
    RETURN_IF_ERROR(files::ReplaceFile(good, ""));
  } else if (link(path.c_str(), good.c_str()) == 0) {
    RETURN_IF_ERROR(Sync());
  } else if (errno == ENOENT) {
    RETURN_IF_ERROR(files::ReplaceFile(good, ""));
  } else if (errno != EEXIST) {
    return Failed("can't be linked", good);
  }
  return files::ReplaceFile(path, text);
}

absl::Status RuleDirectory::Accept(const std::string& name) {
  RETURN_IF_ERROR(Unlink(PathOf(absl::StrCat(name, kGood))));
  return Sync();
}

absl::Status RuleDirectory::RollBack(const std::string& name) {
  const std::string path = PathOf(name);
  const std::string good = absl::StrCat(path, kGood);
  struct stat info = {};
  if (lstat(good.c_str(), &info) != 0) return Failed("stat", good);
  if (info.st_size > 0) {
    if (rename(good.c_str(), path.c_str()) != 0) {
      return Failed("can't be put back", path);
    }
    // Of two names of one file, rename() leaves both.
    RETURN_IF_ERROR(Unlink(good));
    return Sync();
  }
  RETURN_IF_ERROR(Unlink(path));
  RETURN_IF_ERROR(Unlink(good));
  return Sync();
}

absl::Status RuleDirectory::DropGood(const std::string& name) {
  return files::ReplaceFile(PathOf(absl::StrCat(name, kGood)), "");
}

absl::Status RuleDirectory::Remove(const std::string& name) {
  // In this order: without the other one it is an ordinary file, to be removed.
  RETURN_IF_ERROR(Unlink(PathOf(absl::StrCat(name, kGood))));
  RETURN_IF_ERROR(Unlink(PathOf(name)));
  return Sync();
}

}  // namespace insula::rule_sync
