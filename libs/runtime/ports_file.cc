#include "libs/runtime/ports_file.h"

#include <string.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace insula::runtime {
namespace {

constexpr size_t kMaxBytes = 64 << 10;

}  // namespace

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

absl::StatusOr<std::string> ReadPortsFile(const std::string& path,
                                          absl::string_view name) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.gcount() == 0) {
    return absl::NotFoundError(absl::StrCat(
        "ports_file '", path,
        "' is not there or empty: the service is not ready yet, or runs with "
        "another ports_file"));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<absl::string_view, absl::string_view> words =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    if (words.first == name) return std::string(words.second);
  }
  return absl::NotFoundError(
      absl::StrCat("ports_file '", path, "' has no line of '", name, "'"));
}

}  // namespace insula::runtime
