#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "absl/time/clock.h"
#include "libs/files/replace_file.h"
#include "libs/files/settled_file.h"
#include "libs/files/write_all.h"
#include "libs/status/status_matchers.h"

namespace insula::files {
namespace {

using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Optional;

class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    dir_ = std::filesystem::temp_directory_path() / "insula-files.XXXXXX";
    EXPECT_NE(mkdtemp(dir_.data()), nullptr);
  }
  ~FilesTest() override { std::filesystem::remove_all(dir_); }

  std::string Path(const std::string& name) const { return dir_ + "/" + name; }
  static std::string TextOf(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // Looks at it when it has been left alone for a minute.
  static absl::StatusOr<SettledFile> Read(
      const std::string& path, std::optional<FileStamp> known = std::nullopt,
      SettledFileOptions options = {}) {
    return ReadSettledFile(path, known, options,
                           absl::Now() + absl::Minutes(1));
  }

  std::string dir_;
};

TEST_F(FilesTest, AFileIsReadOnceItIsLeftAloneAndThenWhenItChanges) {
  ASSERT_THAT(ReplaceFile(Path("a"), "one"), IsOk());
  const absl::Time written = Read(Path("a"))->stamp.modified;
  const auto fresh = ReadSettledFile(Path("a"), std::nullopt, {},
                                     written + absl::Milliseconds(29));
  ASSERT_THAT(fresh, IsOk());
  EXPECT_FALSE(fresh->settled);

  const auto first = Read(Path("a"));
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(first->text, Optional(Eq("one")));
  EXPECT_THAT(Read(Path("a"), first->stamp)->text, Eq(std::nullopt));
  ASSERT_THAT(ReplaceFile(Path("a"), "two"), IsOk());
  EXPECT_THAT(Read(Path("a"), first->stamp)->text, Optional(Eq("two")));
}

TEST_F(FilesTest, WhatIsNoFileOrTooLargeIsRefused) {
  EXPECT_THAT(Read(Path("none")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Read(dir_), StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(Read(Path("fifo")), StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_THAT(ReplaceFile(Path("a"), "12345"), IsOk());
  SettledFileOptions small;
  small.max_bytes = 4;
  EXPECT_THAT(
      Read(Path("a"), std::nullopt, small),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 4")));
}

// Kept secrets are replaced at any moment; a reader that took that for a file
// being written would go on with one that is no longer valid.
TEST_F(FilesTest, AFileThatIsReplacedWhileItIsReadIsReadAgain) {
  const std::string text(1 << 20, 'x');
  ASSERT_THAT(ReplaceFile(Path("a"), text), IsOk());
  ASSERT_THAT(ReplaceFile(Path("next"), text), IsOk());
  std::atomic<int> reads{0};
  std::atomic<bool> stop{false};
  // Never twice within one read.
  std::thread writer([this, &text, &reads, &stop] {
    for (int seen = 0; !stop; seen = reads) {
      std::filesystem::rename(Path("next"), Path("a"));
      std::ofstream(Path("next"), std::ios::binary) << text;
      while (reads < seen + 2 && !stop) std::this_thread::yield();
    }
  });
  int unsettled = 0;
  SettledFileOptions options;
  options.max_bytes = text.size();
  for (; reads < 500; ++reads) {
    const auto file = Read(Path("a"), std::nullopt, options);
    if (!file.ok() || file->text != text) ++unsettled;
  }
  stop = true;
  writer.join();
  EXPECT_EQ(unsettled, 0);
}

TEST_F(FilesTest, ALinkIsFollowedOnlyIfThatIsWanted) {
  ASSERT_THAT(ReplaceFile(Path("a"), "text"), IsOk());
  ASSERT_EQ(symlink("a", Path("link").c_str()), 0);
  EXPECT_THAT(Read(Path("link"))->text, Optional(Eq("text")));
  SettledFileOptions strict;
  strict.follow_links = false;
  EXPECT_THAT(
      Read(Path("link"), std::nullopt, strict),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("symbolic link")));
}

TEST_F(FilesTest, ReplacingLeavesNoOtherFileAndFollowsNoLink) {
  ASSERT_THAT(ReplaceFile(Path("a"), "kept"), IsOk());
  ASSERT_EQ(symlink("a", Path("b").c_str()), 0);
  ASSERT_EQ(symlink("a", Path("b.tmp").c_str()), 0);
  ASSERT_THAT(ReplaceFile(Path("b"), "new"), IsOk());
  EXPECT_EQ(TextOf(Path("a")), "kept");
  EXPECT_EQ(TextOf(Path("b")), "new");
  EXPECT_FALSE(std::filesystem::exists(Path("b.tmp")));
  EXPECT_FALSE(std::filesystem::is_symlink(Path("b")));
}

TEST_F(FilesTest, AFileThatCantBePutInPlaceLeavesTheOldOneAndNoPart) {
  ASSERT_TRUE(std::filesystem::create_directories(Path("d/inside")));
  EXPECT_THAT(ReplaceFile(Path("d"), "text"), testing::Not(IsOk()));
  EXPECT_TRUE(std::filesystem::is_directory(Path("d")));
  EXPECT_FALSE(std::filesystem::exists(Path("d.tmp")));
  EXPECT_THAT(ReplaceFile(Path("no/such/dir"), "text"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(WriteAllTest, SaysHowMuchWasWrittenAndWhyNotAll) {
  const std::string path = testing::TempDir() + "/write_all";
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(WriteAll(fd, "some "), 5u);
  EXPECT_EQ(WriteAll(fd, "text"), 4u);
  EXPECT_EQ(WriteAll(fd, ""), 0u);
  close(fd);
  EXPECT_EQ(std::filesystem::file_size(path), 9u);
  fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(WriteAll(fd, "text"), 0u);
  EXPECT_EQ(errno, ENOSPC);
  close(fd);
}

}  // namespace
}  // namespace insula::files
