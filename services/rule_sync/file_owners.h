// Remembers for which tenant each rule file was written.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/files/settled_file.h"

namespace insula::rule_sync {

// The files of one directory, by their names. What was there for a former
// tenant is none of the present one's until somebody writes it anew.
struct DirectoryOwner {
  using Stamps = std::map<std::string, files::FileStamp>;

  std::string uid;  // Of the tenant.
  Stamps files;     // That were read for it.
  Stamps former;    // That were read for tenants before it.
  friend bool operator==(const DirectoryOwner&,
                         const DirectoryOwner&) = default;
};

// A file of JSON, so that a tenant made again while no process ran is told from
// the former one as well. Not thread-safe.
class FileOwners {
 public:
  // Without a file: it is all forgotten with the process.
  FileOwners() = default;

  // A file that is not there is an empty one. DATA_LOSS for one that is
  // damaged: without it rules of former tenants would pass for those of
  // present ones, so somebody must decide. Blocks.
  static absl::StatusOr<FileOwners> Open(std::string path);

  // Of a directory that belongs to the tenant `uid` from now on. Until Keep()
  // says what was found in it, the same every time.
  DirectoryOwner For(absl::string_view tenant_id, absl::string_view uid) const;
  void Keep(const std::string& tenant_id, DirectoryOwner owner);

  // Forgets all directories but those for which `is_there` holds.
  template <typename Predicate>
  void Retain(Predicate is_there) {
    for (auto it = owners_.begin(); it != owners_.end();) {
      if (is_there(it->first)) {
        ++it;
      } else {
        it = owners_.erase(it);
        changed_ = true;
      }
    }
  }

  // Makes what has changed durable. Blocks. After an error, again.
  absl::Status Save();

 private:
  explicit FileOwners(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::map<std::string, DirectoryOwner, std::less<>> owners_;  // By tenant id.
  bool changed_ = false;
};

}  // namespace insula::rule_sync
