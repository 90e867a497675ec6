#include "libs/runtime/ports_file.h"

#include <string.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace insula::runtime {

absl::Status WritePortsFile(
    const std::string& path,
    const std::vector<std::pair<std::string, std::string>>& listeners) {
  // In the same directory, for rename() stays within a file system.
  const std::string draft = absl::StrCat(path, ".", getpid(), ".tmp");
  std::ofstream file(draft, std::ios::trunc);
  for (const auto& [name, address] : listeners) {
    file << name << ' ' << address << '\n';
  }
  file.close();
  if (!file || std::rename(draft.c_str(), path.c_str()) != 0) {
    const int error = errno;
    std::remove(draft.c_str());
    return absl::UnavailableError(absl::StrCat(
        "ports_file '", path, "' can't be written: ", strerror(error)));
  }
  return absl::OkStatus();
}

}  // namespace insula::runtime
