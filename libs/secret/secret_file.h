// A secret in a file that somebody replaces from time to time.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/files/settled_file.h"
#include "libs/secret/secret.h"
#include "libs/sync/mutex.h"

namespace insula {

struct SecretFileOptions {
  size_t max_bytes = 64 << 10;
  // Looks at the file again after so long, at the next Get.
  absl::Duration reload_interval = absl::Seconds(10);
  // The file may have several lines, as a list of passwords or a PEM file has.
  // Otherwise it is one line, and whatever ends that line is no part of it.
  bool several_lines = false;
};

// Secrets rotate while a service runs, so this reads the file again when it has
// changed. One that can't be read then, or makes no sense, leaves the last one
// in use. A file that others than its owner may read is used, and warned about
// in the log, each time that it changes. Thread-safe.
class SecretFile {
 public:
  explicit SecretFile(std::string path, SecretFileOptions options = {});

  // The secret as of the last reload_interval. Blocks, as a small local file
  // does: call it where that is allowed. An error only as long as there never
  // was a secret: NOT_FOUND, INVALID_ARGUMENT (empty, too large, no regular
  // file, of several lines), UNAVAILABLE if it is just being written. The
  // message names the file and never what is in it. `now` is wall-clock time.
  absl::StatusOr<Secret> Get(absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

  // Why the file as it is now is not in use; OK if it is.
  absl::Status problem() const ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string& path() const { return path_; }

 private:
  absl::Status Load(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  const SecretFileOptions options_;

  mutable sync::Mutex mutex_;
  std::optional<files::FileStamp> stamp_ ABSL_GUARDED_BY(mutex_);
  Secret secret_ ABSL_GUARDED_BY(mutex_);
  absl::Status problem_ ABSL_GUARDED_BY(mutex_);
  absl::Time loaded_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

// What is unwise about a file of that mode: "readable by ...: chmod 600", or
// nothing.
std::string AdviceOnMode(mode_t mode);

}  // namespace insula
