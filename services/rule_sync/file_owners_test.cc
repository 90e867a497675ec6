#include "services/rule_sync/file_owners.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "libs/status/status_matchers.h"

namespace insula::rule_sync {
namespace {

using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class FileOwnersTest : public testing::Test {
 protected:
  FileOwnersTest() {
    dir_ = std::filesystem::temp_directory_path() / "insula-owners.XXXXXX";
    EXPECT_NE(mkdtemp(dir_.data()), nullptr);
    path_ = dir_ + "/ledger.json.owners";
  }
  ~FileOwnersTest() override { std::filesystem::remove_all(dir_); }

  static files::FileStamp Stamp(int64_t inode) {
    return {1, static_cast<ino_t>(inode), 3,
            absl::FromUnixNanos(1'790'000'000'123'456'789),
            absl::FromUnixNanos(inode)};
  }

  std::string dir_;
  std::string path_;
  const std::string first_ = std::string(16, '\1');
  const std::string second_ = std::string(16, '\xff');
};

TEST_F(FileOwnersTest, FilesPassToTheFormersWithAnotherUid) {
  FileOwners owners;
  EXPECT_THAT(owners.For("red", first_).files, IsEmpty());
  DirectoryOwner owner;
  owner.uid = first_;
  owner.files["a.yaml"] = Stamp(1);
  owner.former["b.yaml"] = Stamp(2);
  owners.Keep("red", owner);
  EXPECT_EQ(owners.For("red", first_), owner);

  const DirectoryOwner next = owners.For("red", second_);
  EXPECT_EQ(next.uid, second_);
  EXPECT_THAT(next.files, IsEmpty());
  EXPECT_THAT(next.former, UnorderedElementsAre(Pair("a.yaml", Stamp(1)),
                                                Pair("b.yaml", Stamp(2))));
  // Until it is kept, nothing has changed.
  EXPECT_EQ(owners.For("red", first_), owner);
}

TEST_F(FileOwnersTest, RemembersWhatIsSaved) {
  auto owners = FileOwners::Open(path_);
  ASSERT_THAT(owners, IsOk());
  DirectoryOwner owner;
  owner.uid = second_;
  owner.files["(a)\xff\"'.yaml"] = Stamp(1);
  owner.former["b.yaml"] = Stamp(INT64_MAX);
  owners->Keep("(a)'!", owner);
  owners->Keep("gone", owner);
  ASSERT_THAT(owners->Save(), IsOk());
  owners->Retain([](const std::string& id) { return id != "gone"; });
  ASSERT_THAT(owners->Save(), IsOk());

  owners = FileOwners::Open(path_);
  ASSERT_THAT(owners, IsOk());
  EXPECT_EQ(owners->For("(a)'!", second_), owner);
  EXPECT_THAT(owners->For("gone", second_).files, IsEmpty());
}

TEST_F(FileOwnersTest, WhatCantBeSavedIsSavedLater) {
  auto owners = FileOwners::Open(dir_ + "/missing/owners");
  ASSERT_THAT(owners, IsOk());
  DirectoryOwner owner;
  owner.uid = first_;
  owners->Keep("red", owner);
  EXPECT_FALSE(owners->Save().ok());
  std::filesystem::create_directory(dir_ + "/missing");
  EXPECT_THAT(owners->Save(), IsOk());
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/missing/owners"));
}

TEST_F(FileOwnersTest, ADamagedFileIsNotTakenForAnEmptyOne) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"tenants":[]})", R"({"tenants":{"red":1}})",
        R"({"tenants":{"red":{"uid":"x","files":{},"former":{}}}})",
        R"({"tenants":{"red":{"uid":"01","files":{}}}})",
        R"({"tenants":{"red":{"uid":"01","files":{"zz":[1,2,3,4,5]},)"
        R"("former":{}}}})",
        R"({"tenants":{"red":{"uid":"01","files":{"61":[1,2,3,4]},)"
        R"("former":{}}}})",
        R"({"tenants":{"red":{"uid":"01","files":{"61":[1,2,3,4,"5"]},)"
        R"("former":{}}}})"}) {
    std::ofstream(path_) << text;
    EXPECT_THAT(FileOwners::Open(path_), StatusIs(absl::StatusCode::kDataLoss))
        << text;
  }
}

}  // namespace
}  // namespace insula::rule_sync
