// Runs every fuzz target over its committed corpus, so that no target rots and
// no fault that was found once comes back.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula::fuzz {
namespace {

namespace fs = std::filesystem;

TEST(FuzzTest, EveryTargetHasACorpusAndEveryCorpusATarget) {
  std::set<std::string> targets;
  for (const Target& target : Targets()) targets.insert(target.name);
  std::set<std::string> directories;
  uintmax_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(TESTDATA_DIR)) {
    directories.insert(entry.path().filename());
    for (const auto& file : fs::directory_iterator(entry.path())) {
      bytes += file.file_size();
    }
  }
  EXPECT_EQ(targets, directories);
  EXPECT_LT(bytes, 300u << 10) << "run tools/fuzz --minimize";
}

class FuzzCorpusTest : public testing::TestWithParam<Target> {};

TEST_P(FuzzCorpusTest, Holds) {
  const Target& target = GetParam();
  int files = 0;
  for (const auto& entry :
       fs::directory_iterator(fs::path(TESTDATA_DIR) / target.name)) {
    std::ifstream file(entry.path(), std::ios::binary);
    ASSERT_TRUE(file) << entry.path();
    // Of exactly this size, so that ASan guards its end.
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file),
                                  std::istreambuf_iterator<char>()};
    // Aborts when something does not hold: this is the file then.
    std::cerr << target.name << "/" << entry.path().filename().string() << "\n";
    target.run(absl::string_view(bytes.data(), bytes.size()));
    ++files;
  }
  EXPECT_GE(files, 5);
}

// Evaluated once every target has registered itself.
INSTANTIATE_TEST_SUITE_P(Targets, FuzzCorpusTest, testing::ValuesIn(Targets()),
                         [](const auto& target) {
                           return std::string(target.param.name);
                         });

}  // namespace
}  // namespace insula::fuzz
