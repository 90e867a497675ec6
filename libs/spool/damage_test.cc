// What a Spool does with files that are not as it left them.
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <random>

#include "libs/spool/spool_fixture.h"

namespace insula::spool {
namespace {

namespace fs = std::filesystem;
using absl::StatusCode::kFailedPrecondition;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class DamageTest : public SpoolFixture {
 protected:
  static std::string ReadFile(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  static void WriteFile(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  std::vector<fs::path> StoreFiles(const std::string& extension) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(options_.directory + "/db"))
      if (entry.path().extension() == extension) files.push_back(entry.path());
    return files;
  }
  std::vector<std::string> Quarantine() {
    std::vector<std::string> names;
    for (const auto& entry :
         fs::directory_iterator(options_.directory + "/quarantine")) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }
  // Everything in files of their own, none of it in the log any more.
  void Flush() {
    Open();
    Open();
  }
};

TEST_F(DamageTest, ADamagedRecordIsLeftOutAndTheOthersAreThere) {
  Open();
  for (const char* body : {"first", "second", "third"}) {
    ASSERT_THAT(Append('a', body), IsOk());
  }
  Flush();
  spool_.reset();
  bool found = false;
  for (const fs::path& file : StoreFiles(".blob")) {
    std::string text = ReadFile(file);
    const size_t at = text.find("second");
    if (at == std::string::npos) continue;
    text[at] = 'S';
    WriteFile(file, text);
    found = true;
  }
  ASSERT_TRUE(found);
  Open();
  EXPECT_THAT(Waiting('a'), ElementsAre("first", "third"));
  EXPECT_EQ(Metric("insula_spool_dropped_records_total{reason=\"damaged\"}"),
            1);
  EXPECT_EQ(Metric("insula_spool_dropped_samples_total{reason=\"damaged\"}"),
            2);
  EXPECT_THAT(Append('a', "fourth"), IsOk());
  Open();
  EXPECT_THAT(Waiting('a'), ElementsAre("first", "third", "fourth"));
}

TEST_F(DamageTest, WhateverFileIsDamagedItStartsAndHandsOutNothingElse) {
  Open();
  std::vector<std::string> bodies;
  for (int i = 0; i < 50; ++i) {
    bodies.push_back(absl::StrCat("body ", i, std::string(100, 'b')));
    ASSERT_THAT(Append('a', bodies.back()), IsOk());
    if (i == 25) Flush();
  }
  spool_.reset();
  const std::string whole = path_ + "/whole";
  fs::copy(options_.directory, whole, fs::copy_options::recursive);
  std::mt19937 random(1);
  int files = 0;
  int handed_out = 0;
  for (const auto& entry : fs::directory_iterator(whole + "/db")) {
    if (fs::is_directory(entry) || fs::file_size(entry) == 0) continue;
    ++files;
    for (const char* how : {"flip", "flip", "flip", "cut", "append", "gone"}) {
      SCOPED_TRACE(absl::StrCat(entry.path().string(), " ", how));
      spool_.reset();
      fs::remove_all(options_.directory);
      fs::copy(whole, options_.directory, fs::copy_options::recursive);
      const fs::path victim =
          options_.directory + "/db/" + entry.path().filename().string();
      std::string text = ReadFile(victim);
      if (how[0] == 'f') text[random() % text.size()] ^= 1 << random() % 8;
      if (how[0] == 'c') text.resize(random() % text.size());
      if (how[0] == 'a') text.append(100, '\x17');
      WriteFile(victim, text);
      if (how[0] == 'g') fs::remove(victim);
      Open();
      if (HasFatalFailure()) return;
      const auto waiting = Waiting('a');
      for (const std::string& body : waiting) {
        EXPECT_THAT(bodies, Contains(body));
        ++handed_out;
      }
      // Nothing else holds records.
      const std::string extension = victim.extension().string();
      if (extension != ".blob" && extension != ".log" && extension != ".sst") {
        EXPECT_EQ(waiting, bodies);
      }
      EXPECT_THAT(Append('a', "after"), IsOk());
      EXPECT_THAT(Waiting('a'), Contains("after"));
    }
  }
  EXPECT_GE(files, 5);
  EXPECT_GT(handed_out, 50);
}

TEST_F(DamageTest, WhoIsKilledWhileAStoreIsReplacedBeginsOrEndsIt) {
  Open();
  ASSERT_THAT(Append('a', "1"), IsOk());
  spool_.reset();
  // Not complete: the old one is still there.
  const std::string db = options_.directory + "/db";
  fs::create_directory(db + ".new");
  WriteFile(db + ".new/CURRENT", "");
  Open();
  EXPECT_THAT(Waiting('a'), ElementsAre("1"));
  spool_.reset();
  EXPECT_FALSE(fs::exists(db + ".new"));
  // Complete: the old one is not there any more.
  fs::rename(db, db + ".new");
  Open();
  EXPECT_THAT(Waiting('a'), ElementsAre("1"));
}

TEST_F(DamageTest, FilesThatAreNotItsOwnAreSetAside) {
  Open();
  ASSERT_THAT(Append('a', "1"), IsOk());
  spool_.reset();
  WriteFile(options_.directory + "/notes.txt", "hello");
  WriteFile(options_.directory + "/db/000x.sst", "hello");
  Open();
  EXPECT_THAT(Waiting('a'), ElementsAre("1"));
  EXPECT_EQ(Metric("insula_spool_quarantined_total"), 2);
  EXPECT_THAT(Quarantine(), testing::UnorderedElementsAre(
                                EndsWith("-notes.txt"), EndsWith("-000x.sst")));
}

TEST_F(DamageTest, ADirectoryOfALaterReleaseIsRefusedAndLeftAlone) {
  Open();
  ASSERT_THAT(Append('a', "1"), IsOk());
  spool_.reset();
  WriteFile(options_.directory + "/FORMAT", "2\n");
  EXPECT_THAT(TryOpen(),
              StatusIs(kFailedPrecondition, HasSubstr("is of format 2")));
  EXPECT_EQ(ReadFile(options_.directory + "/FORMAT"), "2\n");
  WriteFile(options_.directory + "/FORMAT", "1\n");
  Open();
  EXPECT_THAT(Waiting('a'), ElementsAre("1"));
}

TEST_F(DamageTest, FilesThatMayNotGrowStopItAndItGoesOnWhenTheyMay) {
  std::signal(SIGXFSZ, SIG_IGN);
  Open();
  ASSERT_THAT(Append('a', "before"), IsOk());
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  rlimit small = old;
  small.rlim_cur = 4096;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  absl::Status status;
  int taken = 0;
  while ((status = Append('a', std::string(1000, 'x'))).ok() && taken < 100) {
    ++taken;
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_FALSE(spool_->Writable().ok());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  spool_->Tend();
  EXPECT_THAT(spool_->Writable(), IsOk());
  EXPECT_THAT(Append('a', "after"), IsOk());
  const auto bodies = Waiting('a');
  EXPECT_EQ(bodies.front(), "before");
  EXPECT_EQ(bodies.back(), "after");
  // What was refused may be there, what was taken must be.
  EXPECT_GE(bodies.size(), static_cast<size_t>(taken) + 2);
  EXPECT_EQ(Metric("insula_spool_reopened_total"), 1);
}

// The directory was written by the first release with this format. Never made
// anew: what was written once must stay readable.
TEST_F(DamageTest, ADirectoryOfFormat1IsRead) {
  fs::copy(std::string(TESTDATA_DIR) + "/format1", options_.directory,
           fs::copy_options::recursive);
  options_.max_age = absl::InfiniteDuration();
  Open();
  EXPECT_THAT(Waiting('a'), ElementsAre("one", "two", "three"));
  EXPECT_THAT(Waiting('b'), ElementsAre("four"));
  const auto records = spool_->Read(Uid('b'), 1);
  ASSERT_THAT(records, IsOk());
  EXPECT_EQ(records->front().record.tenant_id, "tenant-b");
  EXPECT_EQ(records->front().record.hash, 7u);
}

// Writes that directory, once for each format:
// SPOOL_GOLDEN=DIRECTORY spool_damage_test --gtest_also_run_disabled_tests
TEST_F(DamageTest, DISABLED_WritesAGoldenDirectory) {
  const char* const target = std::getenv("SPOOL_GOLDEN");
  ASSERT_NE(target, nullptr);
  Open();
  for (const char* body : {"one", "two"}) {
    ASSERT_THAT(Append('a', body), IsOk());
  }
  Flush();
  ASSERT_THAT(Append('a', "three"), IsOk());
  ASSERT_THAT(Append('b', "four"), IsOk());
  spool_.reset();
  fs::copy(options_.directory, target, fs::copy_options::recursive);
}

}  // namespace
}  // namespace insula::spool
