// The registry is killed while it is written to, again and again: what it has
// acknowledged is there, and nothing is there by halves or twice.
//
// FAULT_CYCLES kills it so many times; FAULT_SEED makes other requests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <random>

#include "absl/time/clock.h"
#include "libs/status/status_matchers.h"
#include "tests/registry_faults/registry_under_test.h"

namespace insula::registry_faults {
namespace {

using registry_client::FollowedCopy;
using ::testing::IsEmpty;

constexpr int kWriters = 4;

class KillTest : public testing::Test {
 protected:
  void SetUp() override {
    seed_ = static_cast<uint64_t>(Setting("FAULT_SEED", 1));
    random_.seed(seed_);
    ASSERT_TRUE(registry_.Start());
    stub_ = registry_.NewStub();
    for (int i = 0; i < kWriters; ++i) {
      writers_.push_back(std::make_unique<Writer>(
          registry_, &ledger_, seed_ * 100 + static_cast<uint64_t>(i), i));
    }
  }

  uint64_t Below(uint64_t limit) { return random_() % limit; }

  // At once after a request was sent, or an answer came, or a little later: a
  // group is then being planned, written, synced, published, or answered.
  void KillAtSomeMoment() {
    const Ledger::Counts counts = ledger_.counts();
    if (Below(2) == 0) {
      ASSERT_TRUE(ledger_.WaitForSent(counts.sent + 10 + Below(80)));
    } else {
      ASSERT_TRUE(
          ledger_.WaitForAcknowledged(counts.acknowledged + 5 + Below(40)));
    }
    const absl::Time moment = absl::Now() + absl::Microseconds(Below(4000));
    while (absl::Now() < moment) continue;
    registry_.Kill();
  }

  // While nobody writes.
  void CheckEverything(bool history_of_follower) {
    const auto status = ReadStatus(stub_.get());
    ASSERT_THAT(status, IsOk());
    if (epoch_.empty()) epoch_ = status->epoch();
    EXPECT_EQ(status->epoch(), epoch_);
    registry_client::History& history = ledger_.history();
    ASSERT_THAT(history.Replay(status->revision()), IsOk());

    const auto objects = ReadObjects(stub_.get());
    ASSERT_THAT(objects, IsOk());
    EXPECT_THAT(history.CheckObjects(*objects), IsOk());

    const auto audit = ReadAudit(stub_.get(), audited_ + 1);
    ASSERT_THAT(audit, IsOk());
    EXPECT_THAT(history.CheckAudit(audited_ + 1, *audit), IsOk());
    audited_ = history.revision();
    CountWhatTookEffect(*audit);

    // One that begins anew, and one that goes on from where it was: the change
    // log and the digest are right.
    FollowedCopy fresh("fresh", {});
    ASSERT_THAT(FollowTo(stub_.get(), history.revision(), &fresh), IsOk());
    EXPECT_THAT(fresh.Check(history), IsOk());
    EXPECT_EQ(fresh.digests(), 1);
    ASSERT_THAT(FollowTo(stub_.get(), history.revision(), &follower_), IsOk());
    EXPECT_EQ(follower_.resets(), 1);
    if (history_of_follower) {
      EXPECT_THAT(follower_.Check(history), IsOk());
    }
    EXPECT_THAT(ledger_.faults(), IsEmpty());
  }

  // Requests that were without an answer, but made before the kill.
  void CountWhatTookEffect(const std::vector<v1::AuditEntry>& audit) {
    const std::set<std::string> unanswered = ledger_.unanswered();
    for (const v1::AuditEntry& entry : audit) {
      const absl::Time at = absl::FromUnixSeconds(entry.at().seconds()) +
                            absl::Nanoseconds(entry.at().nanos());
      if (at < killed_at_ && unanswered.contains(entry.request_id())) {
        took_effect_.insert(entry.request_id());
      }
    }
  }

  uint64_t seed_ = 0;
  std::mt19937_64 random_;
  RegistryUnderTest registry_;
  std::unique_ptr<v1::TenantRegistry::Stub> stub_;
  Ledger ledger_;
  std::vector<std::unique_ptr<Writer>> writers_;
  FollowedCopy follower_{"follower", {}};
  std::string epoch_;
  int64_t audited_ = 0;
  absl::Time killed_at_;
  std::set<std::string> took_effect_;
};

TEST_F(KillTest, WhatIsAcknowledgedIsThereOnceAndWhole) {
  const int64_t cycles = Setting("FAULT_CYCLES", 10);
  int64_t killed_while_starting = 0;
  for (int64_t cycle = 1; cycle <= cycles; ++cycle) {
    SCOPED_TRACE(absl::StrCat("FAULT_SEED=", seed_, ", cycle ", cycle));
    for (const auto& writer : writers_) writer->Resume();
    KillAtSomeMoment();
    killed_at_ = absl::Now();
    if (Below(4) == 0) {
      registry_.StartAndKill(absl::Milliseconds(Below(400)));
      ++killed_while_starting;
    }
    ASSERT_TRUE(registry_.Start());
    // They send again what was not answered.
    for (const auto& writer : writers_) writer->Pause();
    CheckEverything(cycle % 20 == 0 || cycle == cycles);
    ASSERT_FALSE(HasFailure()) << registry_.LogTail();
  }
  const Ledger::Counts counts = ledger_.counts();
  std::cout << cycles << " cycles, " << killed_while_starting
            << " of them with a kill while starting: " << counts.acknowledged
            << " changes acknowledged, all there once; " << counts.unanswered
            << " without an answer at a kill, " << took_effect_.size()
            << " of which had taken effect; " << counts.repeated
            << " repeated though answered, " << counts.refused << " refused\n";
  EXPECT_EQ(counts.acknowledged, ledger_.history().revision());
  EXPECT_GT(counts.unanswered, 0);
}

}  // namespace
}  // namespace insula::registry_faults
