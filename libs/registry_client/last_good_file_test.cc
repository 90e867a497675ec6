#include "libs/registry_client/last_good_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/registry_client/fake_registry.h"
#include "libs/status/status_matchers.h"

namespace insula::registry_client {
namespace {

namespace v1 = ::insula::registry::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using enum absl::StatusCode;

std::shared_ptr<const tenancy::Snapshot> SnapshotOf(int tenants,
                                                    int64_t revision) {
  tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
  for (int i = 0; i < tenants; ++i) {
    EXPECT_THAT(builder.Put(MakeTenant(absl::StrCat("t", i),
                                       absl::StrCat("revision ", revision))),
                IsOk());
  }
  return std::move(builder).Build(revision, "epoch");
}

class LastGoodFileTest : public testing::Test {
 protected:
  LastGoodFileTest() { std::filesystem::remove_all(dir_); }

  // Changes one byte in the middle.
  static void Damage(const std::string& path) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(path)) /
               2);
    const int byte = file.peek();
    file.put(static_cast<char>(byte ^ 1));
  }

  const std::string dir_ = absl::StrCat(
      testing::TempDir(), "/last_good_",
      testing::UnitTest::GetInstance()->current_test_info()->name());
  LastGoodFile file_{dir_};
};

TEST_F(LastGoodFileTest, SaysThatThereIsNone) {
  EXPECT_THAT(file_.Load(), StatusIs(kNotFound));
}

TEST_F(LastGoodFileTest, LoadsWhatWasSaved) {
  ASSERT_THAT(
      file_.Save(*SnapshotOf(10'000, 7), {v1::KIND_TENANT, v1::KIND_BINDING}),
      IsOk());
  const auto loaded = file_.Load();
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->snapshot->revision(), 7);
  EXPECT_EQ(loaded->snapshot->epoch(), "epoch");
  EXPECT_EQ(loaded->snapshot->object_count(), 10'000);
  ASSERT_NE(loaded->snapshot->FindTenant("t9999"), nullptr);
  EXPECT_EQ(loaded->snapshot->FindTenant("t9999")->spec.display_name(),
            "revision 7");
  EXPECT_THAT(loaded->kinds, ElementsAre(v1::KIND_TENANT, v1::KIND_BINDING));
  EXPECT_EQ(loaded->rejected, 0);
  EXPECT_THAT(loaded->warning, IsEmpty());
  EXPECT_LE(loaded->saved_at, absl::Now());
  EXPECT_GT(loaded->saved_at, absl::Now() - absl::Minutes(10));
}

TEST_F(LastGoodFileTest, LoadsAnEmptySnapshot) {
  ASSERT_THAT(file_.Save(*SnapshotOf(0, 1), {}), IsOk());
  const auto loaded = file_.Load();
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->snapshot->object_count(), 0);
  EXPECT_EQ(loaded->snapshot->revision(), 1);
}

TEST_F(LastGoodFileTest, OnlyItsOwnerMayReadIt) {
  ASSERT_THAT(file_.Save(*SnapshotOf(1, 1), {}), IsOk());
  struct stat info;
  ASSERT_EQ(stat(file_.path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  ASSERT_EQ(stat(dir_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
}

TEST_F(LastGoodFileTest, FallsBackToTheOneBefore) {
  ASSERT_THAT(file_.Save(*SnapshotOf(5, 1), {}), IsOk());
  ASSERT_THAT(file_.Save(*SnapshotOf(6, 2), {}), IsOk());
  Damage(file_.path());
  const auto loaded = file_.Load();
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->snapshot->revision(), 1);
  EXPECT_EQ(loaded->snapshot->object_count(), 5);
  EXPECT_THAT(loaded->warning, HasSubstr(file_.path()));

  // The bad one does not take the place of the good one at the next save.
  ASSERT_THAT(file_.Save(*SnapshotOf(7, 3), {}), IsOk());
  Damage(file_.path());
  EXPECT_EQ(file_.Load()->snapshot->revision(), 1);
  EXPECT_TRUE(std::filesystem::exists(file_.path() + ".bad"));
}

TEST_F(LastGoodFileTest, FallsBackIfTheSaveStoppedBetweenItsRenames) {
  ASSERT_THAT(file_.Save(*SnapshotOf(5, 1), {}), IsOk());
  std::filesystem::rename(file_.path(), file_.previous_path());
  EXPECT_EQ(file_.Load()->snapshot->revision(), 1);
}

TEST_F(LastGoodFileTest, SaysThatAllAreBad) {
  ASSERT_THAT(file_.Save(*SnapshotOf(5, 1), {}), IsOk());
  ASSERT_THAT(file_.Save(*SnapshotOf(6, 2), {}), IsOk());
  Damage(file_.path());
  Damage(file_.previous_path());
  EXPECT_THAT(file_.Load(), StatusIs(kDataLoss));
  // They were set aside, so the next start finds nothing.
  EXPECT_THAT(file_.Load(), StatusIs(kNotFound));
}

TEST_F(LastGoodFileTest, AFailedSaveLeavesTheFiles) {
  ASSERT_THAT(file_.Save(*SnapshotOf(5, 1), {}), IsOk());
  // The name of the temporary file is taken by a directory that is not empty.
  std::filesystem::create_directories(file_.path() + ".tmp/x");
  EXPECT_FALSE(file_.Save(*SnapshotOf(6, 2), {}).ok());
  EXPECT_EQ(file_.Load()->snapshot->revision(), 1);
}

}  // namespace
}  // namespace insula::registry_client
