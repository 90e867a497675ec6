// A file that only its owner may read, there whole or not at all.
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace insula::insulactl {

// Writes into another file beside it, which takes its place at last. Errors
// name the file.
class PrivateFile {
 public:
  explicit PrivateFile(std::string path) : path_(std::move(path)) {}
  // Without Commit(), nothing is left.
  ~PrivateFile();
  PrivateFile(const PrivateFile&) = delete;
  PrivateFile& operator=(const PrivateFile&) = delete;

  absl::Status Open();
  absl::Status Write(absl::string_view data);
  // Makes it durable, and puts it in place.
  absl::Status Commit();

 private:
  const std::string path_;
  std::string part_;
  int fd_ = -1;
};

}  // namespace insula::insulactl
