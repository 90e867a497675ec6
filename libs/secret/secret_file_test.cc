#include "libs/secret/secret_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "libs/files/replace_file.h"
#include "libs/status/status_matchers.h"

namespace insula {
namespace {

using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using enum absl::StatusCode;

class SecretFileTest : public testing::Test {
 protected:
  SecretFileTest() {
    dir_ = std::filesystem::temp_directory_path() / "insula-secret.XXXXXX";
    EXPECT_NE(mkdtemp(dir_.data()), nullptr);
    path_ = dir_ + "/password";
  }
  ~SecretFileTest() override { std::filesystem::remove_all(dir_); }

  void Write(const std::string& text) {
    ASSERT_THAT(files::ReplaceFile(path_, text), IsOk());
  }
  std::string Text(SecretFile* file) {
    const absl::StatusOr<Secret> secret = file->Get(now_);
    return secret.ok() ? secret->Reveal() : secret.status().ToString();
  }

  std::string dir_;
  std::string path_;
  absl::Time now_ = absl::Now() + absl::Hours(1);  // The file has settled.
};

TEST_F(SecretFileTest, HoldsALineWithoutItsEnd) {
  for (const char* text : {"s3cret", "s3cret\n", "s3cret\r\n"}) {
    Write(text);
    SecretFile file(path_);
    EXPECT_THAT(Text(&file), Eq("s3cret"));
  }
  Write(" blanks stay \n");
  SecretFile file(path_);
  EXPECT_THAT(Text(&file), Eq(" blanks stay "));
}

TEST_F(SecretFileTest, MayHaveLinesIfThatIsWanted) {
  Write("one\ntwo\n");
  SecretFileOptions options;
  options.several_lines = true;
  SecretFile lines(path_, options);
  EXPECT_THAT(Text(&lines), Eq("one\ntwo\n"));
  SecretFile line(path_);
  EXPECT_THAT(line.Get(now_),
              StatusIs(kInvalidArgument, HasSubstr("as one line")));
}

TEST_F(SecretFileTest, NoMessageHasTheText) {
  for (const char* text : {"canary\ncanary", "canary\tcanary"}) {
    Write(text);
    SecretFile file(path_);
    const absl::Status status = file.Get(now_).status();
    EXPECT_THAT(status, StatusIs(kInvalidArgument, HasSubstr(path_)));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("canary")));
  }
}

TEST_F(SecretFileTest, WhatIsNoSecretIsRefused) {
  SecretFile missing(path_);
  EXPECT_THAT(missing.Get(now_), StatusIs(kNotFound, HasSubstr(path_)));
  for (const char* text : {"", "\n"}) {
    Write(text);
    SecretFile file(path_);
    EXPECT_THAT(file.Get(now_), StatusIs(kInvalidArgument, HasSubstr("empty")));
  }
  Write("12345");
  SecretFileOptions options;
  options.max_bytes = 4;
  SecretFile large(path_, options);
  EXPECT_THAT(large.Get(now_),
              StatusIs(kInvalidArgument, HasSubstr("at most 4")));
  SecretFile directory(dir_);
  EXPECT_THAT(directory.Get(now_), StatusIs(kInvalidArgument));
}

TEST_F(SecretFileTest, IsReadAgainWhenItChangesAndTheIntervalIsOver) {
  Write("one");
  SecretFile file(path_);
  EXPECT_THAT(Text(&file), Eq("one"));
  Write("two");
  now_ += absl::Seconds(9);
  EXPECT_THAT(Text(&file), Eq("one"));
  now_ += absl::Seconds(1);
  EXPECT_THAT(Text(&file), Eq("two"));
}

TEST_F(SecretFileTest, AFileThatIsGoneOrBrokenLeavesTheLastSecret) {
  Write("one");
  SecretFile file(path_);
  EXPECT_THAT(Text(&file), Eq("one"));
  EXPECT_THAT(file.problem(), IsOk());

  Write("\n");
  now_ += absl::Minutes(1);
  EXPECT_THAT(Text(&file), Eq("one"));
  EXPECT_THAT(file.problem(), StatusIs(kInvalidArgument));
  now_ += absl::Minutes(1);  // Unchanged: as wrong as it was.
  EXPECT_THAT(Text(&file), Eq("one"));
  EXPECT_THAT(file.problem(), StatusIs(kInvalidArgument));

  std::filesystem::remove(path_);
  now_ += absl::Minutes(1);
  EXPECT_THAT(Text(&file), Eq("one"));
  EXPECT_THAT(file.problem(), StatusIs(kNotFound));

  Write("two");
  now_ += absl::Minutes(1);
  EXPECT_THAT(Text(&file), Eq("two"));
  EXPECT_THAT(file.problem(), IsOk());
}

TEST_F(SecretFileTest, OneThatIsBeingWrittenIsLookedAtAgainAtOnce) {
  Write("one");
  SecretFile file(path_);
  struct stat info = {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  const absl::Time written = absl::TimeFromTimespec(info.st_mtim);
  EXPECT_THAT(file.Get(written + absl::Milliseconds(1)),
              StatusIs(kUnavailable, HasSubstr("being written")));
  EXPECT_THAT(file.Get(written + absl::Milliseconds(40)), IsOk());
}

TEST_F(SecretFileTest, AWarningNamesTheFileThatOthersMayRead) {
  Write("canary");
  ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
  SecretFile open(path_);
  testing::internal::CaptureStderr();
  EXPECT_THAT(Text(&open), Eq("canary"));
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("chmod 600"));
  EXPECT_THAT(log, HasSubstr(path_));
  EXPECT_FALSE(absl::StrContains(log, "canary"));

  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  SecretFile closed(path_);
  testing::internal::CaptureStderr();
  EXPECT_THAT(Text(&closed), Eq("canary"));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), IsEmpty());
}

TEST(AdviceOnModeTest, SaysWhoMayUseIt) {
  EXPECT_THAT(AdviceOnMode(0100600), IsEmpty());
  EXPECT_THAT(AdviceOnMode(0100400), IsEmpty());
  EXPECT_THAT(AdviceOnMode(0100640), HasSubstr("mode 640 lets a group"));
  EXPECT_THAT(AdviceOnMode(0100644), HasSubstr("mode 644 lets everybody"));
}

}  // namespace
}  // namespace insula
