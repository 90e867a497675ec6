#include "tests/ingest_faults/power.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace insula::ingest_faults {

namespace fs = std::filesystem;

Power::Power(const std::string& directory)
    : log_(directory + "/synced"), mode_(directory + "/mode") {}

std::vector<std::string> Power::Environment() const {
  return {// A sanitizer wants to be first; the shim may come before it.
          "ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0",
          absl::StrCat("LD_PRELOAD=", SHIM),
          absl::StrCat("POWER_SHIM_LOG=", log_),
          absl::StrCat("POWER_SHIM_MODE=", mode_)};
}

void Power::SetMode(const std::string& mode) { std::ofstream(mode_) << mode; }

void Power::Cut(const std::vector<std::string>& roots, std::mt19937* random) {
  {
    std::ifstream log(log_);
    uint64_t inode;
    uint64_t size;
    while (log >> inode >> size) synced_[inode] = size;
  }
  std::remove(log_.c_str());  // The next life makes another.
  for (const std::string& root : roots) {
    std::error_code error;
    for (fs::recursive_directory_iterator it(root, error), end;
         !error && it != end; it.increment(error)) {
      struct stat about;
      if (!it->is_regular_file() || stat(it->path().c_str(), &about) != 0) {
        continue;
      }
      const auto known = synced_.find(about.st_ino);
      uint64_t keep = known == synced_.end() ? 0 : known->second;
      const auto now = static_cast<uint64_t>(about.st_size);
      if (keep < now) {
        // Torn: some of what was on its way has arrived.
        if ((*random)() % 3 == 0) keep += (*random)() % (now - keep);
        if (truncate(it->path().c_str(), static_cast<off_t>(keep)) != 0) {
          std::perror(it->path().c_str());
          std::abort();
        }
      }
      // What is there is on the disk now.
      synced_[about.st_ino] = keep < now ? keep : now;
    }
  }
}

int64_t Setting(const char* name, int64_t otherwise) {
  const char* const text = std::getenv(name);
  int64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

}  // namespace insula::ingest_faults
