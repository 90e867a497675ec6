#include "services/tenant_registry/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "libs/status/status_matchers.h"

namespace insula::tenant_registry {
namespace {

using testing::Eq;
using testing::HasSubstr;

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
  absl::Status Commit(int64_t revision, std::vector<Change::Item> items) {
    Store::Entry entry;
    entry.change =
        std::make_shared<const Change>(Change{revision, std::move(items)});
    return store_->Commit({std::move(entry)}, kNow);
  }

  absl::Status CommitRetirements(int64_t revision,
                                 std::vector<Retirement> retirements) {
    Change change;
    change.revision = revision;
    change.items.push_back(Put("red", revision));
    change.retirements = std::move(retirements);
    Store::Entry entry;
    entry.change = std::make_shared<const Change>(std::move(change));
    return store_->Commit({std::move(entry)}, kNow);
  }
  std::map<StoreIdentity, FormerTenant> Retirements() {
    std::map<StoreIdentity, FormerTenant> all;
    EXPECT_THAT(store_->LoadRetirements([&all](const Retirement& retirement) {
      EXPECT_TRUE(all.emplace(retirement.identity, *retirement.former).second);
    }),
                IsOk());
    return all;
  }

  std::string dir_;
  std::unique_ptr<Store> store_;
  std::map<std::string, v1::Object> objects_;
};

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

TEST_F(SqliteStoreTest, RefusesABackupBesideTheLogOfAnotherStore) {
  ASSERT_THAT(Commit(1, {Put("red", 1)}), IsOk());
  const std::string backup = dir_ + "/backup.db";
  ASSERT_THAT(store_->Backup(backup), IsOk());
  ASSERT_THAT(Commit(2, {Put("blue", 2)}), IsOk());
  // The store was killed: its log is left.
  const std::string log = path() + "-wal";
  ASSERT_TRUE(std::filesystem::exists(log));
  std::filesystem::copy_file(log, dir_ + "/saved-wal");
  store_ = nullptr;
  std::filesystem::rename(backup, path());
  std::filesystem::rename(dir_ + "/saved-wal", log);
  EXPECT_THAT(
      OpenSqliteStore(path()).status(),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("remove")));
  std::filesystem::remove(log);
  Reopen();
  EXPECT_THAT(Load().revision, Eq(1));
  EXPECT_THAT(objects_.size(), Eq(1u));
}

// What version 1 of the schema made.
constexpr char kVersion1[] = R"sql(
CREATE TABLE meta(
  name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE object(
  kind INTEGER NOT NULL, id TEXT NOT NULL, mod_revision INTEGER NOT NULL,
  body BLOB NOT NULL, PRIMARY KEY(kind, id)) WITHOUT ROWID;
CREATE TABLE change(
  revision INTEGER NOT NULL, sequence INTEGER NOT NULL, kind INTEGER NOT NULL,
  id TEXT NOT NULL, body BLOB, PRIMARY KEY(revision, sequence)) WITHOUT ROWID;
CREATE TABLE request(
  id TEXT PRIMARY KEY, revision INTEGER NOT NULL,
  at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX request_at ON request(at);
PRAGMA application_id=1229869909;
INSERT INTO meta VALUES('schema_version', '1'), ('revision', '2'),
  ('compacted_revision', '0'), ('epoch', '0123456789abcdef0123456789abcdef');
INSERT INTO change VALUES(1, 0, 1, 'red', x'0A0708011203726564'),
  (2, 0, 1, 'b', NULL);
INSERT INTO request VALUES('old', 2, 1790000000);
)sql";

TEST_F(SqliteStoreTest, BringsAStoreOfAnEarlierVersionUpToDate) {
  const std::string old = dir_ + "/old.db";
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(old.c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, kVersion1, nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(database);
  for (int i = 0; i < 2; ++i) {
    store_ = nullptr;
    auto store = OpenSqliteStore(old);
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
    EXPECT_THAT(Load().epoch, Eq("0123456789abcdef0123456789abcdef"));
    EXPECT_THAT((*store_->FindRequest("old", kNow))->revision, Eq(2));
    EXPECT_THAT(*store_->RevisionBefore(kNow), Eq(2));
    EXPECT_THAT(store_->ChangesAfter(0, 10)->size(), Eq(2u));
    EXPECT_TRUE(store_->ReadAudit({})->entries.empty());
    EXPECT_TRUE(Retirements().empty());
  }
  EXPECT_THAT(Commit(3, {Put("red", 3)}), IsOk());
}

TEST_F(SqliteStoreTest, RemembersWhatFormerTenantsWereKnownBy) {
  StoreIdentity org_id;
  org_id.org_id = "red";
  StoreIdentity labels;
  labels.labels = {{"team", "\303\204\n"}, {"zone", ""}};
  FormerTenant red;
  red.id = "red";
  red.uid = std::string(16, '\0');
  red.at = kNow;
  FormerTenant blue = red;
  blue.id = "blue";
  blue.uid = std::string(16, '\xff');
  blue.at = kNow + absl::Nanoseconds(1);
  ASSERT_THAT(CommitRetirements(1, {{org_id, red}, {labels, red}}), IsOk());
  ASSERT_THAT(CommitRetirements(2, {{labels, blue}}), IsOk());
  const std::map<StoreIdentity, FormerTenant> both = {{org_id, red},
                                                      {labels, blue}};
  EXPECT_THAT(Retirements(), Eq(both));
  Reopen();
  EXPECT_THAT(Retirements(), Eq(both));
  EXPECT_THAT(store_->ChangesAfter(0, 10)->front().retirements.size(), Eq(0u));

  // A copy has them as well.
  ASSERT_THAT(store_->Backup(dir_ + "/copy.db"), IsOk());
  ASSERT_THAT(store_->ForgetRetirements(kNow), IsOk());
  EXPECT_THAT(Retirements(),
              Eq(std::map<StoreIdentity, FormerTenant>{{labels, blue}}));
  ASSERT_THAT(CommitRetirements(3, {{labels, std::nullopt}}), IsOk());
  EXPECT_TRUE(Retirements().empty());
  store_ = nullptr;
  auto copy = OpenSqliteStore(dir_ + "/copy.db");
  ASSERT_THAT(copy, IsOk());
  store_ = *std::move(copy);
  EXPECT_THAT(Retirements(), Eq(both));
}

TEST_F(SqliteStoreTest, OnlyItsOwnerMayReadTheFile) {
  for (const std::string& file : {path(), path() + "-wal"}) {
    struct stat info{};
    ASSERT_EQ(stat(file.c_str(), &info), 0) << file;
    EXPECT_THAT(info.st_mode & 0777, Eq(0600u)) << file;
  }
}

TEST_F(SqliteStoreTest, AMissingDirectoryIsNamed) {
  EXPECT_THAT(OpenSqliteStore(dir_ + "/none/registry.db").status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/none/")));
}

}  // namespace
}  // namespace insula::tenant_registry
