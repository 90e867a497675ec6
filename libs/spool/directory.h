// The directory of a spool: whose it is, of which format, and what in it is not
// the spool's own.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::spool {

// Holds, as long as it lives, the lock on the directory. In it are
//
//   LOCK         held by the process that uses it
//   FORMAT       the version of the format, a number
//   db/          the store
//   db.new/      one that is to take its place, when it is complete
//   quarantine/  what was damaged or foreign; to look at, and to delete
//
// Everything blocks. For one thread.
class Directory {
 public:
  // Makes the directory if there is none. Moves what it does not know into
  // quarantine. ALREADY_EXISTS: another process uses it. FAILED_PRECONDITION:
  // it is of a later format. Codes of errno.
  static absl::StatusOr<std::unique_ptr<Directory>> Open(
      const std::string& path, absl::Time now);
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  std::string store_path() const { return path_ + "/db"; }

  // Makes db.new/, empty, and returns its path.
  absl::StatusOr<std::string> BeginStore();
  // Moves db/ into quarantine, and db.new/ to its place. Where db/ is now.
  absl::StatusOr<std::string> ReplaceStore(absl::Time now);

  // Files that were moved into quarantine.
  int64_t quarantined() const { return quarantined_; }

  // Bytes that are free for this process on its file system.
  absl::StatusOr<uint64_t> FreeBytes() const;

 private:
  Directory(std::string path, int lock);
  absl::Status CheckFormat();
  absl::Status FinishReplacing();
  absl::Status QuarantineForeign(absl::Time now);
  absl::StatusOr<std::string> Move(const std::string& name, absl::Time now);

  const std::string path_;
  const int lock_;
  int64_t quarantined_ = 0;
};

}  // namespace insula::spool
