// The disk is full, or the file of the store is not what it was.
//
// The disk is played by the kernel's limit on the size of a file: writes beyond
// it fail, some of them half done.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"
#include "tests/registry_faults/registry_under_test.h"

namespace insula::registry_faults {
namespace {

using registry_client::FollowedCopy;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DiskTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(registry_.Start());
    stub_ = registry_.NewStub();
  }

  // No file of the process may be written beyond so many bytes.
  void LimitFiles(rlim_t bytes) {
    rlimit limit{};
    ASSERT_EQ(prlimit(registry_.pid(), RLIMIT_FSIZE, nullptr, &limit), 0);
    limit.rlim_cur = bytes;
    ASSERT_EQ(prlimit(registry_.pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
  }

  absl::Status Apply(const std::string& id) {
    v1::ApplyRequest request;
    request.set_request_id(absl::StrCat("request-", id));
    v1::Object* const object = request.add_operations()->mutable_put();
    object->mutable_meta()->set_kind(v1::KIND_TENANT);
    object->mutable_meta()->set_id(id);
    object->mutable_tenant()->set_display_name(id);
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    v1::ApplyResponse response;
    const grpc::Status status = stub_->Apply(&context, request, &response);
    if (!status.ok()) {
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                          status.error_message());
    }
    return ledger_.history().Record(response.revision(), request);
  }

  // Objects, audit, change log and digest are what was acknowledged.
  void CheckEverything() {
    const auto status = ReadStatus(stub_.get());
    ASSERT_THAT(status, IsOk());
    registry_client::History& history = ledger_.history();
    ASSERT_THAT(history.Replay(status->revision()), IsOk());
    const auto objects = ReadObjects(stub_.get());
    ASSERT_THAT(objects, IsOk());
    EXPECT_THAT(history.CheckObjects(*objects), IsOk());
    const auto audit = ReadAudit(stub_.get(), 1);
    ASSERT_THAT(audit, IsOk());
    EXPECT_THAT(history.CheckAudit(1, *audit), IsOk());
    FollowedCopy fresh("fresh", {});
    ASSERT_THAT(FollowTo(stub_.get(), history.revision(), &fresh), IsOk());
    EXPECT_THAT(fresh.Check(history), IsOk());
    ASSERT_THAT(FollowTo(stub_.get(), history.revision(), &follower_), IsOk());
    EXPECT_THAT(follower_.Check(history), IsOk());
  }

  RegistryUnderTest registry_;
  std::unique_ptr<v1::TenantRegistry::Stub> stub_;
  Ledger ledger_;
  FollowedCopy follower_{"follower", {}};
};

TEST_F(DiskTest, AFullDiskRefusesChangesUntilThereIsRoom) {
  for (int i = 0; i < 5; ++i) ASSERT_THAT(Apply(absl::StrCat("t", i)), IsOk());
  CheckEverything();

  LimitFiles(4096);
  for (int i = 5; i < 10; ++i) {
    EXPECT_THAT(Apply(absl::StrCat("t", i)),
                StatusIs(absl::StatusCode::kUnavailable,
                         HasSubstr("nothing was changed")));
  }
  // Reading and watching go on.
  CheckEverything();
  EXPECT_EQ(ledger_.history().revision(), 5);

  LimitFiles(RLIM_INFINITY);
  for (int i = 5; i < 10; ++i) ASSERT_THAT(Apply(absl::StrCat("t", i)), IsOk());
  CheckEverything();
  EXPECT_EQ(ledger_.history().revision(), 10);
}

TEST_F(DiskTest, WhatAFullDiskRefusedIsNotThereAfterAKill) {
  for (int i = 0; i < 5; ++i) ASSERT_THAT(Apply(absl::StrCat("t", i)), IsOk());
  CheckEverything();
  // Each a few bytes further: a page, or a part of it, gets to the file.
  const rlim_t size =
      std::filesystem::file_size(registry_.store_path() + "-wal");
  for (const rlim_t more : {0, 1, 24, 100, 4096, 4120, 4121, 8240, 12'000}) {
    LimitFiles(size + more);
    EXPECT_THAT(Apply("t5"), StatusIs(absl::StatusCode::kUnavailable)) << more;
    EXPECT_THAT(Apply("t6"), StatusIs(absl::StatusCode::kUnavailable)) << more;
  }
  registry_.Kill();
  ASSERT_TRUE(registry_.Start());
  stub_ = registry_.NewStub();
  CheckEverything();
  EXPECT_EQ(ledger_.history().revision(), 5);
  ASSERT_THAT(Apply("t5"), IsOk());
  CheckEverything();
}

TEST_F(DiskTest, ADiskThatIsFullNowAndThenWhileManyWriteAndOneKills) {
  std::vector<std::unique_ptr<Writer>> writers;
  for (int i = 0; i < 4; ++i) {
    writers.push_back(std::make_unique<Writer>(
        registry_, &ledger_,
        static_cast<uint64_t>(Setting("FAULT_SEED", 1) + i), i));
  }
  int64_t refused = 0;
  const int64_t cycles = Setting("FAULT_CYCLES", 6);
  for (int64_t cycle = 0; cycle < cycles; ++cycle) {
    for (const auto& writer : writers) writer->Resume();
    ASSERT_TRUE(
        ledger_.WaitForAcknowledged(ledger_.counts().acknowledged + 20));
    const rlim_t size =
        std::filesystem::file_size(registry_.store_path() + "-wal");
    const int64_t before = ledger_.counts().unanswered;
    LimitFiles(cycle % 2 == 0 ? 4096
                              : size + 1000 * static_cast<rlim_t>(cycle));
    // All of them meet it.
    ASSERT_TRUE(e2e::WaitUntil(
        [&] { return ledger_.counts().unanswered >= before + 4; }));
    refused += ledger_.counts().unanswered - before;
    if (cycle % 3 == 2) {
      registry_.Kill();
      ASSERT_TRUE(registry_.Start());
      stub_ = registry_.NewStub();
    } else {
      LimitFiles(RLIM_INFINITY);
    }
    for (const auto& writer : writers) writer->Pause();
    CheckEverything();
    EXPECT_THAT(ledger_.faults(), IsEmpty());
    ASSERT_FALSE(HasFailure()) << registry_.LogTail();
  }
  std::cout << cycles << " times full: " << refused << " changes refused, "
            << ledger_.counts().acknowledged << " acknowledged\n";
}

class DamagedFileTest : public DiskTest {
 protected:
  void SetUp() override {
    DiskTest::SetUp();
    for (int i = 0; i < 50; ++i) {
      ASSERT_THAT(Apply(absl::StrCat("t", i)), IsOk());
    }
    // Everything is in one file then.
    ASSERT_EQ(registry_.Stop(), 0) << registry_.LogTail();
  }

  void Spoil(const std::function<void(std::string*)>& spoil) {
    std::string bytes;
    {
      std::ifstream file(registry_.store_path(), std::ios::binary);
      bytes.assign(std::istreambuf_iterator<char>(file), {});
    }
    ASSERT_GT(bytes.size(), 16'384u);
    spoil(&bytes);
    std::ofstream(registry_.store_path(), std::ios::binary) << bytes;
  }
  void Execute(const char* sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(registry_.store_path().c_str(), &database),
              SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql, nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(database);
    sqlite3_close(database);
  }
  // It says which file, and what to do.
  void ExpectRefused() {
    EXPECT_EQ(registry_.StartInVain(), 1);
    EXPECT_THAT(registry_.LogTail(), AllOf(HasSubstr(registry_.store_path()),
                                           HasSubstr("put a backup in its "
                                                     "place")));
  }
};

TEST_F(DamagedFileTest, ABeginningThatIsOverwrittenIsRefused) {
  Spoil([](std::string* bytes) { bytes->replace(0, 16, "not a database!!"); });
  ExpectRefused();
}

TEST_F(DamagedFileTest, AFileThatWasCutIsRefused) {
  Spoil([](std::string* bytes) { bytes->resize(bytes->size() / 2); });
  ExpectRefused();
}

TEST_F(DamagedFileTest, PagesThatAreOverwrittenAreRefused) {
  Spoil([](std::string* bytes) {
    // All but the first, which has the schema.
    std::fill(bytes->begin() + 4096, bytes->end(), '\xa5');
  });
  ExpectRefused();
}

TEST_F(DamagedFileTest, AnObjectThatIsNoneIsRefused) {
  Execute("UPDATE object SET body=x'ff' WHERE id='t7'");
  ExpectRefused();
}

TEST_F(DamagedFileTest, AnObjectUnderAnothersNameIsRefused) {
  Execute("UPDATE object SET id='other' WHERE id='t7'");
  ExpectRefused();
}

TEST_F(DamagedFileTest, ARevisionThatIsNoneIsRefused) {
  Execute("UPDATE meta SET value='many' WHERE name='revision'");
  ExpectRefused();
}

TEST_F(DamagedFileTest, ARevisionThatIsMissingIsRefused) {
  Execute("DELETE FROM meta WHERE name='revision'");
  ExpectRefused();
}

TEST_F(DamagedFileTest, ARevisionBelowThoseOfTheObjectsIsRefused) {
  Execute("UPDATE meta SET value='7' WHERE name='revision'");
  ExpectRefused();
}

}  // namespace
}  // namespace insula::registry_faults
