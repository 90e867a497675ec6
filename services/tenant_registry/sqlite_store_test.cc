#include "services/tenant_registry/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "libs/status/status_matchers.h"

namespace insula::tenant_registry {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::Ne;
using testing::Optional;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

Change::Item Put(absl::string_view id, int64_t revision,
                 absl::string_view display_name = "") {
  auto object = std::make_shared<v1::Object>();
  object->mutable_meta()->set_kind(v1::KIND_TENANT);
  object->mutable_meta()->set_id(std::string(id));
  object->mutable_meta()->set_mod_revision(revision);
  object->mutable_tenant()->set_display_name(std::string(display_name));
  return {KeyOf(*object), object};
}
Change::Item Delete(absl::string_view id) {
  return {ObjectKey{v1::KIND_TENANT, std::string(id)}, nullptr};
}

class SqliteStoreTest : public testing::Test {
 protected:
  SqliteStoreTest() {
    std::string pattern = testing::TempDir() + "sqlite_store_XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    Reopen();
  }
  ~SqliteStoreTest() override {
    store_ = nullptr;
    std::filesystem::remove_all(dir_);
  }

  std::string path() const { return dir_ + "/registry.db"; }
  void Reopen() {
    store_ = nullptr;
    auto store = OpenSqliteStore(path());
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
  }
  Store::Head Load() {
    objects_.clear();
    const auto head = store_->Load([this](v1::Object object) {
      const std::string id = object.meta().id();
      objects_[id] = std::move(object);
    });
    EXPECT_THAT(head, IsOk());
    return head.ok() ? *head : Store::Head();
  }
  absl::Status Commit(int64_t revision, std::vector<Change::Item> items,
                      absl::string_view request_id = "",
                      absl::Time now = kNow) {
    return store_->Commit({revision, std::move(items)}, request_id, now);
  }

  std::string dir_;
  std::unique_ptr<Store> store_;
  std::map<std::string, v1::Object> objects_;
};

TEST_F(SqliteStoreTest, ANewStoreIsEmptyAndHasAnEpochOfItsOwn) {
  const Store::Head head = Load();
  EXPECT_THAT(head.epoch.size(), Eq(32u));
  EXPECT_THAT(head.revision, Eq(0));
  EXPECT_TRUE(objects_.empty());
  auto other = OpenSqliteStore(dir_ + "/other.db");
  ASSERT_THAT(other, IsOk());
  EXPECT_THAT((*other)->Load([](v1::Object) {})->epoch, Ne(head.epoch));
}

TEST_F(SqliteStoreTest, ChangesSurviveReopening) {
  const std::string epoch = Load().epoch;
  ASSERT_THAT(Commit(1, {Put("red", 1, "Red"), Put("blue", 1)}), IsOk());
  ASSERT_THAT(Commit(2, {Delete("blue"), Put("red", 2, "Redder")}), IsOk());

  Reopen();

  const Store::Head head = Load();
  EXPECT_THAT(head.epoch, Eq(epoch));
  EXPECT_THAT(head.revision, Eq(2));
  ASSERT_THAT(objects_.size(), Eq(1u));
  EXPECT_THAT(objects_["red"].tenant().display_name(), Eq("Redder"));
}

TEST_F(SqliteStoreTest, TheLogReturnsWholeChangesInOrder) {
  ASSERT_THAT(Commit(1, {Put("red", 1), Put("blue", 1)}), IsOk());
  ASSERT_THAT(Commit(2, {Delete("blue")}), IsOk());
  ASSERT_THAT(Commit(3, {Put("green", 3)}), IsOk());

  const auto changes = store_->ChangesAfter(0, 2);

  ASSERT_THAT(changes, IsOk());
  ASSERT_THAT(changes->size(), Eq(2u));
  EXPECT_THAT((*changes)[0].items.size(), Eq(2u));
  EXPECT_THAT((*changes)[0].items[0].key.id, Eq("red"));
  EXPECT_THAT((*changes)[1].revision, Eq(2));
  EXPECT_THAT((*changes)[1].items[0].object, Eq(nullptr));
  EXPECT_THAT(store_->ChangesAfter(2, 10)->size(), Eq(1u));
  EXPECT_THAT(store_->ChangesAfter(3, 10)->size(), Eq(0u));
}

TEST_F(SqliteStoreTest, CompactionDropsOldChangesAndSaysSo) {
  for (int revision = 1; revision <= 5; ++revision) {
    ASSERT_THAT(Commit(revision, {Put("red", revision)}), IsOk());
  }
  ASSERT_THAT(store_->Compact(3), IsOk());

  EXPECT_THAT(store_->ChangesAfter(2, 10).status(),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("revision 3")));
  EXPECT_THAT(store_->ChangesAfter(3, 10)->size(), Eq(2u));
  Reopen();
  EXPECT_THAT(Load().compacted_revision, Eq(3));
}

TEST_F(SqliteStoreTest, CompactionNeverGoesBackNorAhead) {
  ASSERT_THAT(Commit(1, {Put("red", 1)}), IsOk());
  ASSERT_THAT(Commit(2, {Put("red", 2)}), IsOk());
  ASSERT_THAT(store_->Compact(1), IsOk());
  ASSERT_THAT(store_->Compact(0), IsOk());
  ASSERT_THAT(store_->Compact(9), IsOk());
  EXPECT_THAT(Load().compacted_revision, Eq(1));
}

TEST_F(SqliteStoreTest, RemembersRequestsForADay) {
  ASSERT_THAT(Commit(1, {Put("red", 1)}, "first"), IsOk());
  ASSERT_THAT(Commit(1, {}, "changes nothing"), IsOk());
  Reopen();
  EXPECT_THAT(*store_->FindRequest("first", kNow + absl::Hours(23)),
              Optional(1));
  EXPECT_THAT(*store_->FindRequest("changes nothing", kNow), Optional(1));
  EXPECT_THAT(*store_->FindRequest("second", kNow), Eq(std::nullopt));
  EXPECT_THAT(*store_->FindRequest("first", kNow + absl::Hours(25)),
              Eq(std::nullopt));
}

TEST_F(SqliteStoreTest, AFailedCommitChangesNothing) {
  ASSERT_THAT(Commit(1, {Put("red", 1)}), IsOk());
  // The log has a change of this revision already.
  EXPECT_FALSE(Commit(1, {Put("blue", 1)}, "again").ok());
  Load();
  EXPECT_THAT(objects_.size(), Eq(1u));
  EXPECT_THAT(*store_->FindRequest("again", kNow), Eq(std::nullopt));
  EXPECT_THAT(Commit(2, {Put("blue", 2)}), IsOk());
}

TEST_F(SqliteStoreTest, ASecondProcessIsKeptOut) {
  // A connection of the same process locks like one of another.
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &other), SQLITE_OK);
  EXPECT_NE(sqlite3_exec(other, "SELECT count(*) FROM object", nullptr, nullptr,
                         nullptr),
            SQLITE_OK);
  sqlite3_close(other);
}

TEST_F(SqliteStoreTest, RefusesADamagedFile) {
  ASSERT_THAT(Commit(1, {Put("red", 1, std::string(100'000, 'x'))}), IsOk());
  store_ = nullptr;
  {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096 * 2);
    file << std::string(4096 * 3, '\xff');
  }
  EXPECT_THAT(OpenSqliteStore(path()).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path())));
}

TEST_F(SqliteStoreTest, RefusesAFileOfSomethingElse) {
  const std::string text = dir_ + "/notes.txt";
  std::ofstream(text) << std::string(5000, 'n');
  EXPECT_THAT(OpenSqliteStore(text).status(),
              StatusIs(absl::StatusCode::kDataLoss));
  const std::string foreign = dir_ + "/foreign.db";
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(foreign.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "CREATE TABLE t(a)", nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(other);
  EXPECT_THAT(OpenSqliteStore(foreign).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("not one of a tenant-registry")));
}

TEST_F(SqliteStoreTest, RefusesANewerSchema) {
  store_ = nullptr;
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(
                other, "UPDATE meta SET value='7' WHERE name='schema_version'",
                nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(other);
  EXPECT_THAT(OpenSqliteStore(path()).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("run a newer one")));
}

TEST_F(SqliteStoreTest, AMissingDirectoryIsNamed) {
  EXPECT_THAT(OpenSqliteStore(dir_ + "/none/registry.db").status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/none/")));
}

}  // namespace
}  // namespace insula::tenant_registry
