// The directory of rule files that a Prometheus loads.
//
// A new version of a file is on trial until Prometheus has taken it. Meanwhile
// the version before stands beside it as NAME.good, which is empty if there was
// none; so whoever finds a NAME.good after a crash knows that the file may be
// one that Prometheus refuses, and has what to put in its place. Only *.yaml is
// for Prometheus.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::rule_sync {

struct RuleFileState {
  std::string text;
  // Set: `text` is on trial. "": there was no version before.
  std::optional<std::string> good;
};

// Touches no file but those whose name ParseRuleFileName() knows, with or
// without the endings `.good` and `.tmp`. All methods block, and leave what
// they have done on disk, not only in the page cache. After a failed one call
// Scan() again. Not thread-safe.
class RuleDirectory {
 public:
  explicit RuleDirectory(std::string path) : path_(std::move(path)) {}

  // Our files. Makes the directory if there is none, and clears away what a
  // crash has left.
  absl::StatusOr<std::map<std::string, RuleFileState>> Scan();

  // Puts a new version of the file there, on trial. The version that is there
  // becomes the good one, unless it is itself on trial, or `keep_present` is
  // false: then there is none.
  absl::Status Stage(const std::string& name, absl::string_view text,
                     bool keep_present);

  // Ends the trial: for the new version, or for the one before.
  absl::Status Accept(const std::string& name);
  absl::Status RollBack(const std::string& name);

  // Forgets the good version of a file on trial.
  absl::Status DropGood(const std::string& name);

  absl::Status Remove(const std::string& name);

 private:
  std::string PathOf(absl::string_view name) const;
  absl::Status Unlink(const std::string& path);
  absl::Status Sync();

  const std::string path_;
};

}  // namespace insula::rule_sync
