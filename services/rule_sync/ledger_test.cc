#include "services/rule_sync/ledger.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "libs/status/status_matchers.h"

namespace insula::rule_sync {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class LedgerTest : public testing::Test {
 protected:
  LedgerTest() {
    dir_ = std::filesystem::temp_directory_path() / "insula-ledger.XXXXXX";
    EXPECT_NE(mkdtemp(dir_.data()), nullptr);
    path_ = dir_ + "/ledger.json";
    ruler_.type = UnitSpec::Type::kRuler;
    ruler_.target_id = "ruler";
    ruler_.url = "http://ruler";
    ruler_.header = "X-Scope-OrgID";
    ruler_.org_id = "(a)'\"";
    ruler_.timeout = absl::Milliseconds(1500);
    prometheus_.target_id = "main";
    prometheus_.url = "http://prometheus";
  }
  ~LedgerTest() override { std::filesystem::remove_all(dir_); }

  std::string dir_;
  std::string path_;
  UnitSpec ruler_;
  UnitSpec prometheus_;
};

TEST_F(LedgerTest, RemembersUntilItIsToldToForget) {
  auto ledger = Ledger::Open(path_);
  ASSERT_THAT(ledger, IsOk());
  EXPECT_THAT(ledger->units(), IsEmpty());
  ASSERT_THAT(ledger->Change({ruler_, prometheus_}, {}), IsOk());

  ledger = Ledger::Open(path_);
  ASSERT_THAT(ledger, IsOk());
  ASSERT_THAT(ledger->units(), SizeIs(2));
  EXPECT_EQ(ledger->units().at(ruler_.Id()), ruler_);
  EXPECT_EQ(ledger->units().at(prometheus_.Id()), prometheus_);

  prometheus_.url = "http://moved";
  ASSERT_THAT(ledger->Change({prometheus_}, {ruler_.Id(), "unknown"}), IsOk());
  ledger = Ledger::Open(path_);
  ASSERT_THAT(ledger->units(), SizeIs(1));
  EXPECT_EQ(ledger->units().at(prometheus_.Id()), prometheus_);
}

TEST_F(LedgerTest, WithoutAPathNothingIsKept) {
  auto ledger = Ledger::Open("");
  ASSERT_THAT(ledger, IsOk());
  EXPECT_THAT(ledger->Change({ruler_}, {}), IsOk());
  EXPECT_THAT(ledger->units(), SizeIs(1));
}

TEST_F(LedgerTest, ADamagedFileIsNotTakenForAnEmptyOne) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"units":{}})", R"({"units":[{}]})",
        R"({"units":[{"type":"loki","target_id":"","url":"","header":"",)"
        R"("org_id":"","timeout_ms":1}]})",
        R"({"units":[{"type":"ruler","target_id":1,"url":"","header":"",)"
        R"("org_id":"","timeout_ms":1}]})"}) {
    std::ofstream(path_) << text;
    EXPECT_THAT(Ledger::Open(path_), StatusIs(absl::StatusCode::kDataLoss))
        << text;
  }
}

TEST_F(LedgerTest, AChangeThatCantBeWrittenIsNone) {
  auto ledger = Ledger::Open(dir_ + "/no/such/directory/ledger.json");
  ASSERT_THAT(ledger, IsOk());
  EXPECT_FALSE(ledger->Change({ruler_}, {}).ok());
  EXPECT_THAT(ledger->units(), IsEmpty());
}

}  // namespace
}  // namespace insula::rule_sync
