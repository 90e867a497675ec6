// Takes from files what was not synced, as a power cut does.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace insula::ingest_faults {

// For a program that runs with power_shim before it, one life after the other.
//
// What it can't show: a name that was made, or changed by a rename, and whose
// directory was not synced; names are all there after a cut.
class Power {
 public:
  // Its files are in `directory`, which must not be one that is cut.
  explicit Power(const std::string& directory);

  // "NAME=value" each, for the program.
  std::vector<std::string> Environment() const;

  // "eio", "enospc", "lie" or "die WHERE N", see power_shim.cc; all else: a
  // disk that is well.
  void SetMode(const std::string& mode);

  // Once the program was killed: cuts every file below `roots` to what was
  // synced of it; a third of them a little further, as if torn.
  void Cut(const std::vector<std::string>& roots, std::mt19937* random);

 private:
  const std::string log_;
  const std::string mode_;
  std::map<uint64_t, uint64_t> synced_;  // By inode: so many bytes.
};

// What a long test does more often than a short one: the number in an
// environment variable.
int64_t Setting(const char* name, int64_t otherwise);

}  // namespace insula::ingest_faults
