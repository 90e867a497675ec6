// What every store must do, whatever it keeps its data in.
#include "services/tenant_registry/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"
#include "services/tenant_registry/sqlite_store.h"

namespace insula::tenant_registry {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Ne;
using testing::SizeIs;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

// One implementation.
struct Implementation {
  std::string name;
  // Opens the store below a directory, and makes it if there is none.
  absl::StatusOr<std::unique_ptr<Store>> (*open)(const std::string& dir);
  std::string file;  // Of that directory, which a backup takes the place of.
};

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
Store::Entry Entry(int64_t revision, std::vector<Change::Item> items) {
  Store::Entry entry;
  entry.change =
      std::make_shared<const Change>(Change{revision, std::move(items)});
  return entry;
}
AuditRecord Audit(int64_t revision, absl::string_view id,
                  absl::string_view actor, std::vector<std::string> tenants,
                  absl::Time at = kNow) {
  AuditRecord record;
  record.entry.set_revision(revision);
  record.entry.mutable_at()->set_seconds(absl::ToUnixSeconds(at));
  record.entry.mutable_at()->set_nanos(7);
  record.entry.set_actor(std::string(actor));
  record.entry.set_source("api");
  record.entry.set_request_id("request");
  record.entry.mutable_ref()->set_kind(v1::KIND_BINDING);
  record.entry.mutable_ref()->set_id(std::string(id));
  record.entry.set_after_sha256(std::string("\0after", 6));
  record.tenants = std::move(tenants);
  return record;
}
std::vector<int64_t> RevisionsOf(const Store::AuditPage& page) {
  std::vector<int64_t> revisions;
  for (const v1::AuditEntry& entry : page.entries) {
    revisions.push_back(entry.revision());
  }
  return revisions;
}

class StoreTest : public testing::TestWithParam<Implementation> {
 protected:
  StoreTest() {
    std::string pattern = testing::TempDir() + "store_XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    Reopen();
  }
  ~StoreTest() override {
    store_ = nullptr;
    std::filesystem::remove_all(dir_);
  }

  std::unique_ptr<Store> Open(const std::string& dir) {
    std::filesystem::create_directory(dir);
    auto store = GetParam().open(dir);
    EXPECT_THAT(store, IsOk());
    return store.ok() ? *std::move(store) : nullptr;
  }
  void Reopen() {
    store_ = nullptr;
    store_ = Open(dir_ + "/store");
    ASSERT_NE(store_, nullptr);
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
    Store::Entry entry = Entry(revision, std::move(items));
    entry.request = {std::string(request_id), absl::StrCat("of ", request_id)};
    return store_->Commit({std::move(entry)}, now);
  }
  absl::Status CommitAudit(AuditRecord record) {
    const int64_t revision = record.entry.revision();
    Store::Entry entry = Entry(revision, {Put("red", revision)});
    entry.audit.push_back(std::move(record));
    return store_->Commit({std::move(entry)}, kNow);
  }
  Store::AuditPage ReadAudit(const Store::AuditQuery& query) {
    auto page = store_->ReadAudit(query);
    EXPECT_THAT(page, IsOk());
    return page.ok() ? *std::move(page) : Store::AuditPage();
  }

  std::string dir_;
  std::unique_ptr<Store> store_;
  std::map<std::string, v1::Object> objects_;
};

TEST_P(StoreTest, ANewStoreIsEmptyAndHasAnEpochOfItsOwn) {
  const Store::Head head = Load();
  EXPECT_THAT(head.epoch.size(), Eq(32u));
  EXPECT_THAT(head.revision, Eq(0));
  EXPECT_TRUE(objects_.empty());
  const std::unique_ptr<Store> other = Open(dir_ + "/other");
  EXPECT_THAT(other->Load([](v1::Object) {})->epoch, Ne(head.epoch));
}

TEST_P(StoreTest, ChangesSurviveReopening) {
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

TEST_P(StoreTest, AGroupIsStoredWithAllItsRevisions) {
  Store::Entry last = Entry(3, {});
  last.request = {"nothing", "d"};
  ASSERT_THAT(
      store_->Commit({Entry(1, {Put("red", 1)}), Entry(2, {Put("blue", 2)}),
                      Entry(3, {Delete("red")}), last},
                     kNow),
      IsOk());
  Reopen();
  EXPECT_THAT(Load().revision, Eq(3));
  EXPECT_THAT(objects_, SizeIs(1));
  EXPECT_THAT(store_->ChangesAfter(0, 10)->size(), Eq(3u));
  EXPECT_THAT((*store_->FindRequest("nothing", kNow))->revision, Eq(3));
}

TEST_P(StoreTest, OfAFailedGroupNothingIsStored) {
  ASSERT_THAT(Commit(1, {Put("red", 1)}), IsOk());
  Store::Entry good = Entry(2, {Put("blue", 2)});
  good.request = {"good", "d"};
  good.audit.push_back(Audit(2, "b", "me", {}));
  // The log has a change of revision 1 already.
  EXPECT_FALSE(store_->Commit({good, Entry(1, {Put("green", 1)})}, kNow).ok());
  EXPECT_THAT(Load().revision, Eq(1));
  EXPECT_THAT(objects_, SizeIs(1));
  EXPECT_FALSE(store_->FindRequest("good", kNow)->has_value());
  EXPECT_THAT(ReadAudit({}).entries, IsEmpty());
  EXPECT_THAT(Commit(2, {Put("blue", 2)}), IsOk());
}

TEST_P(StoreTest, TheLogReturnsWholeChangesInOrder) {
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

TEST_P(StoreTest, OfTheLogNoMoreIsReadAtOnceThanMemoryIsThereFor) {
  const std::string large(1 << 20, 'x');
  for (int revision = 1; revision <= 10; ++revision) {
    ASSERT_THAT(Commit(revision, {Put("red", revision, large)}), IsOk());
  }
  int64_t revision = 0;
  for (const size_t expected : {4, 4, 2}) {
    const auto changes = store_->ChangesAfter(revision, 500);
    ASSERT_THAT(changes, IsOk());
    ASSERT_THAT(*changes, SizeIs(expected));
    EXPECT_THAT(changes->front().revision, Eq(revision + 1));
    revision = changes->back().revision;
  }
  EXPECT_THAT(revision, Eq(10));
}

TEST_P(StoreTest, CompactionDropsOldChangesAndSaysSo) {
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

TEST_P(StoreTest, CompactionNeverGoesBackNorAhead) {
  ASSERT_THAT(Commit(1, {Put("red", 1)}), IsOk());
  ASSERT_THAT(Commit(2, {Put("red", 2)}), IsOk());
  ASSERT_THAT(store_->Compact(1), IsOk());
  ASSERT_THAT(store_->Compact(0), IsOk());
  ASSERT_THAT(store_->Compact(9), IsOk());
  EXPECT_THAT(Load().compacted_revision, Eq(1));
}

TEST_P(StoreTest, TellsWhichRevisionsAreOld) {
  EXPECT_THAT(*store_->RevisionBefore(kNow), Eq(0));
  for (int revision = 1; revision <= 5; ++revision) {
    ASSERT_THAT(Commit(revision, {Put("red", revision)}, "",
                       kNow + revision * absl::Hours(1)),
                IsOk());
  }
  EXPECT_THAT(*store_->RevisionBefore(kNow), Eq(0));
  EXPECT_THAT(*store_->RevisionBefore(kNow + absl::Hours(3)), Eq(2));
  EXPECT_THAT(*store_->RevisionBefore(kNow + absl::Minutes(181)), Eq(3));
  EXPECT_THAT(*store_->RevisionBefore(kNow + absl::Hours(9)), Eq(5));
  // What a clock that goes back says is old, is not, if older ones are not.
  ASSERT_THAT(Commit(6, {Put("red", 6)}, "", kNow), IsOk());
  EXPECT_THAT(*store_->RevisionBefore(kNow + absl::Hours(3)), Eq(2));
}

TEST_P(StoreTest, RemembersRequestsForADay) {
  ASSERT_THAT(Commit(1, {Put("red", 1)}, "first"), IsOk());
  ASSERT_THAT(Commit(1, {}, "changes nothing"), IsOk());
  Reopen();
  const auto first = *store_->FindRequest("first", kNow + absl::Hours(23));
  ASSERT_TRUE(first.has_value());
  EXPECT_THAT(first->revision, Eq(1));
  EXPECT_THAT(first->digest, Eq("of first"));
  EXPECT_THAT((*store_->FindRequest("changes nothing", kNow))->revision, Eq(1));
  EXPECT_FALSE(store_->FindRequest("second", kNow)->has_value());
  EXPECT_FALSE(
      store_->FindRequest("first", kNow + absl::Hours(25))->has_value());
}

TEST_P(StoreTest, TheAuditIsReadBackAsWritten) {
  const AuditRecord record = Audit(1, "sender", "alice", {"blue", "red"});
  ASSERT_THAT(CommitAudit(record), IsOk());
  Reopen();
  const Store::AuditPage page = ReadAudit({});
  ASSERT_THAT(page.entries, SizeIs(1));
  EXPECT_THAT(page.entries[0].SerializeAsString(),
              Eq(record.entry.SerializeAsString()));
  EXPECT_FALSE(page.next.has_value());
}

TEST_P(StoreTest, TheAuditIsFoundByObjectTenantActorAndRevision) {
  ASSERT_THAT(CommitAudit(Audit(1, "a", "alice", {"red"})), IsOk());
  ASSERT_THAT(CommitAudit(Audit(2, "b", "bob", {"blue", "red"})), IsOk());
  ASSERT_THAT(CommitAudit(Audit(3, "a", "bob", {"blue"})), IsOk());
  ASSERT_THAT(CommitAudit(Audit(4, "red", "alice", {})), IsOk());
  const auto find = [this](auto set) {
    Store::AuditQuery query;
    set(&query);
    return RevisionsOf(ReadAudit(query));
  };
  EXPECT_THAT(find([](auto* query) { query->from.revision = 3; }),
              ElementsAre(3, 4));
  EXPECT_THAT(find([](auto* query) {
                query->object = ObjectKey{v1::KIND_BINDING, "a"};
              }),
              ElementsAre(1, 3));
  EXPECT_THAT(find([](auto* query) { query->tenant = "red"; }),
              ElementsAre(1, 2));
  EXPECT_THAT(find([](auto* query) { query->actor = "alice"; }),
              ElementsAre(1, 4));
  EXPECT_THAT(find([](auto* query) {
                query->tenant = "blue";
                query->actor = "bob";
                query->from.revision = 3;
              }),
              ElementsAre(3));
}

TEST_P(StoreTest, TheAuditIsReadInPagesOfABoundedLook) {
  for (int revision = 1; revision <= 9; ++revision) {
    ASSERT_THAT(CommitAudit(Audit(revision, "a",
                                  revision % 3 == 0 ? "alice" : "bob", {})),
                IsOk());
  }
  Store::AuditQuery query;
  query.limit = 4;
  Store::AuditPage page = ReadAudit(query);
  EXPECT_THAT(RevisionsOf(page), ElementsAre(1, 2, 3, 4));
  ASSERT_TRUE(page.next.has_value());
  query.from = *page.next;
  EXPECT_THAT(RevisionsOf(ReadAudit(query)), ElementsAre(5, 6, 7, 8));

  query = Store::AuditQuery();
  query.actor = "alice";
  query.max_scan = 2;
  std::vector<int64_t> found;
  int pages = 0;
  do {
    page = ReadAudit(query);
    for (const int64_t revision : RevisionsOf(page)) found.push_back(revision);
    if (page.next.has_value()) query.from = *page.next;
    ++pages;
  } while (page.next.has_value());
  EXPECT_THAT(found, ElementsAre(3, 6, 9));
  EXPECT_THAT(pages, Eq(5));
}

TEST_P(StoreTest, OldEntriesLeaveTheAuditSomeAtATime) {
  for (int revision = 1; revision <= 6; ++revision) {
    ASSERT_THAT(CommitAudit(Audit(revision, "a", "alice", {"red", "blue"},
                                  kNow + revision * absl::Hours(1))),
                IsOk());
  }
  const absl::Time limit = kNow + absl::Minutes(270);
  EXPECT_THAT(*store_->CompactAudit(limit, 3), Eq(3));
  EXPECT_THAT(*store_->CompactAudit(limit, 3), Eq(1));
  EXPECT_THAT(*store_->CompactAudit(limit, 3), Eq(0));
  EXPECT_THAT(RevisionsOf(ReadAudit({})), ElementsAre(5, 6));
  Store::AuditQuery of_tenant;
  of_tenant.tenant = "blue";
  EXPECT_THAT(RevisionsOf(ReadAudit(of_tenant)), ElementsAre(5, 6));
}

TEST_P(StoreTest, ABackupIsAWholeCopyWithAnEpochOfItsOwn) {
  ASSERT_THAT(CommitAudit(Audit(1, "a", "alice", {"red"})), IsOk());
  ASSERT_THAT(Commit(2, {Put("blue", 2, "Blue")}, "id"), IsOk());
  const std::string epoch = Load().epoch;
  std::filesystem::create_directory(dir_ + "/restored");
  const std::string copy = dir_ + "/restored/" + GetParam().file;

  EXPECT_THAT(*store_->Backup(copy), Eq(2));

  struct stat info{};
  ASSERT_EQ(stat(copy.c_str(), &info), 0);
  EXPECT_THAT(info.st_mode & 0777, Eq(0600u));
  ASSERT_THAT(Commit(3, {Delete("blue")}), IsOk());
  std::filesystem::copy_file(copy, dir_ + "/kept.db");
  store_ = Open(dir_ + "/restored");
  const Store::Head restored = Load();
  EXPECT_THAT(restored.revision, Eq(2));
  EXPECT_THAT(restored.epoch, Ne(epoch));
  EXPECT_THAT(objects_, SizeIs(2));
  EXPECT_THAT(ReadAudit({}).entries, SizeIs(1));
  EXPECT_TRUE(store_->FindRequest("id", kNow)->has_value());
  // Only once: it is a store like any other now.
  store_ = nullptr;
  store_ = Open(dir_ + "/restored");
  EXPECT_THAT(Load().epoch, Eq(restored.epoch));
  // The same backup restored elsewhere begins yet another history.
  std::filesystem::create_directory(dir_ + "/again");
  std::filesystem::copy_file(dir_ + "/kept.db",
                             dir_ + "/again/" + GetParam().file);
  store_ = Open(dir_ + "/again");
  EXPECT_THAT(Load().epoch, Ne(restored.epoch));
}

TEST_P(StoreTest, ABackupTakenWhileChangesGoOnIsOfOneRevision) {
  // Some megabytes, so that changes come in between.
  int64_t revision = 0;
  while (revision < 40) {
    ++revision;
    std::vector<Change::Item> items;
    for (int i = 0; i < 50; ++i) {
      items.push_back(Put(absl::StrCat("t", i * 40 + revision % 40), revision,
                          std::string(2000, 'x')));
    }
    ASSERT_THAT(Commit(revision, std::move(items)), IsOk());
  }
  std::atomic<bool> done = false;
  std::atomic<int> during = 0;
  std::thread writer([&] {
    while (!done) {
      ++revision;
      // Two objects that always change together.
      EXPECT_THAT(Commit(revision, {Put("t0", revision, "x"),
                                    Put("t1999", revision, "x")}),
                  IsOk());
      ++during;
    }
  });
  while (during == 0) std::this_thread::yield();
  const std::string copy = dir_ + "/restored/" + GetParam().file;
  std::filesystem::create_directory(dir_ + "/restored");
  const auto copied = store_->Backup(copy);
  done = true;
  writer.join();
  ASSERT_THAT(copied, IsOk());
  EXPECT_THAT(during.load(), Ge(2));
  store_ = Open(dir_ + "/restored");
  EXPECT_THAT(Load().revision, Eq(*copied));
  EXPECT_THAT(objects_, SizeIs(2000));
  EXPECT_THAT(objects_["t0"].meta().mod_revision(), Eq(*copied));
  EXPECT_THAT(objects_["t1999"].meta().mod_revision(), Eq(*copied));
  const auto changes = store_->ChangesAfter(0, static_cast<int>(*copied));
  ASSERT_THAT(changes, IsOk());
  EXPECT_THAT(changes->size(), Eq(static_cast<size_t>(*copied)));
}

TEST_P(StoreTest, ABackupThatCannotBeWrittenLeavesNothingBehind) {
  EXPECT_THAT(
      store_->Backup(dir_ + "/none/copy").status(),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/none/copy")));
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/none"));
  EXPECT_THAT(Commit(1, {Put("red", 1)}), IsOk());
}

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteIn(const std::string& dir) {
  return OpenSqliteStore(dir + "/registry.db");
}

INSTANTIATE_TEST_SUITE_P(All, StoreTest,
                         testing::Values(Implementation{"Sqlite", OpenSqliteIn,
                                                        "registry.db"}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace insula::tenant_registry
