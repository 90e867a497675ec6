// Users and the hashes of their passwords, as `htpasswd -B` keeps them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/secret/secret_file.h"
#include "libs/sync/mutex.h"

namespace insula::auth {

struct PasswordFileOptions {
  std::string file;
  // Below: too easily guessed by who has the file. Above: whoever sends wrong
  // passwords keeps the service busy, at 14 for more than a second each.
  int min_cost = 10;
  int max_cost = 14;
  size_t max_users = 10'000;
  absl::Duration reload_interval = absl::Seconds(10);
};

// The users as they were when the file was read. Immutable.
class PasswordTable {
 public:
  // Of lines USER:HASH; empty ones and those that start with '#' say nothing.
  // INVALID_ARGUMENT names the line, not what is in it.
  static absl::StatusOr<PasswordTable> Parse(
      absl::string_view text, const PasswordFileOptions& options);

  // Null if there is no such user.
  const std::string* Find(absl::string_view user) const;

  // A hash to try the password of an unknown user with, whatever comes out: of
  // the cost that a user of the file has, always the same for one `mark`, which
  // outsiders must not be able to tell. So time does not tell who exists.
  const std::string& Decoy(uint64_t mark) const;

  size_t size() const { return hashes_.size(); }

 private:
  absl::flat_hash_map<std::string, std::string> hashes_;  // By user.
  std::vector<std::string> decoys_;  // One for each user, at least one.
};

// Reads the file again when it changes; one that makes no sense leaves the last
// one in use, with a warning in the log. Thread-safe.
class PasswordFile {
 public:
  explicit PasswordFile(PasswordFileOptions options);

  // Looks whether it has changed. Blocks. An error as long as there is no
  // table.
  absl::Status Refresh(absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

  // As of the last Refresh. Null if there never was one. Does not block.
  std::shared_ptr<const PasswordTable> table() const
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const PasswordFileOptions options_;
  SecretFile file_;

  mutable sync::Mutex mutex_;
  Secret parsed_ ABSL_GUARDED_BY(mutex_);
  absl::Status problem_ ABSL_GUARDED_BY(mutex_);  // Of parsed_.
  std::shared_ptr<const PasswordTable> table_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::auth
