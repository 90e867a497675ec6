// A process that fills a spool is killed, again and again, and what it had not
// synced is taken from it, as by a power cut: every record that it was told is
// durable must be there, once, unaltered and in order.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "tests/e2e/harness/process.h"
#include "tests/ingest_faults/power.h"

namespace insula::spool {
namespace {

namespace fs = std::filesystem;

using ingest_faults::Power;
using ingest_faults::Setting;

class SpoolCrashTest : public testing::Test {
 protected:
  SpoolCrashTest()
      : queue_(dir_.path() + "/queue"),
        output_(dir_.path() + "/output"),
        power_(dir_.path()) {}

  std::unique_ptr<e2e::Process> Start(const char* what, bool safe) {
    fs::remove(output_);
    std::vector<std::string> args = power_.Environment();
    args.insert(args.end(), {WRITER, queue_, absl::StrCat(next_), what});
    if (!safe) args.push_back("unsafe");
    return std::make_unique<e2e::Process>("/usr/bin/env", args, output_);
  }

  std::vector<std::string> Lines() const {
    std::ifstream file(output_);
    std::stringstream text;
    text << file.rdbuf();
    std::vector<std::string> lines = absl::StrSplit(text.str(), '\n');
    lines.pop_back();  // Behind the last newline.
    return lines;
  }

  // Numbers that were said to be durable since the start.
  int64_t Acknowledged() const {
    int64_t count = 0;
    for (const std::string& line : Lines()) {
      int64_t number;
      if (absl::SimpleAtoi(line, &number)) ++count;
    }
    return count;
  }

  // Takes over what the last life has said. Records that are missing.
  std::vector<int64_t> Check() {
    std::set<int64_t> has;
    std::map<int64_t, int64_t> gone;  // Tenant: up to which it was removed.
    std::vector<int64_t> acknowledged;
    bool ready = false;
    for (const std::string& line : Lines()) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      int64_t number;
      int64_t tenant;
      if (words[0] == "has" && absl::SimpleAtoi(words[1], &number)) {
        EXPECT_TRUE(has.insert(number).second) << "twice: " << number;
      } else if (words[0] == "gone" && absl::SimpleAtoi(words[1], &tenant) &&
                 absl::SimpleAtoi(words[2], &number)) {
        gone[tenant] = number;
      } else if (words[0] == "ready") {
        ready = true;
      } else if (absl::SimpleAtoi(line, &number)) {
        acknowledged.push_back(number);
      } else if (absl::StartsWith(line, "error")) {
        ADD_FAILURE() << line;
      }
    }
    std::vector<int64_t> missing;
    // Killed before it had told everything, it shows nothing to be missing.
    if (ready) {
      for (const int64_t number : durable_) {
        if (!has.contains(number)) missing.push_back(number);
      }
      for (const int64_t number : missing) durable_.erase(number);
    }
    for (const auto& [tenant, upto] : gone) {
      std::erase_if(durable_, [tenant = tenant, upto = upto](int64_t number) {
        return number % 7 == tenant && number <= upto;
      });
    }
    for (const int64_t number : acknowledged) durable_.insert(number);
    total_ += static_cast<int64_t>(acknowledged.size());
    // Well above what was begun and not acknowledged, which may be there.
    if (!acknowledged.empty()) next_ = acknowledged.back();
    next_ += 10'000;
    return missing;
  }

  void CutPower() { power_.Cut({queue_}, &random_); }

  // One life: until so many more records are acknowledged, or a little after
  // the start.
  std::vector<int64_t> LiveAndDie(bool safe, bool power) {
    auto writer = Start("write", safe);
    const auto wanted = static_cast<int64_t>(random_() % 400);
    if (random_() % 8 == 0) {
      EXPECT_EQ(writer->Wait(absl::Milliseconds(random_() % 300)),
                std::nullopt);  // While it opens.
    } else {
      EXPECT_TRUE(e2e::WaitUntil([&] { return Acknowledged() >= wanted; }))
          << writer->LogTail();
    }
    writer->Kill();
    if (power) CutPower();
    return Check();
  }

  // What is there after the last life.
  std::vector<int64_t> LookOnce() {
    auto reader = Start("read", true);
    EXPECT_EQ(reader->Wait(absl::Minutes(2)), 0) << reader->LogTail();
    return Check();
  }

  const e2e::TempDir dir_;
  const std::string queue_;
  const std::string output_;
  Power power_;
  std::mt19937 random_{static_cast<unsigned>(Setting("FAULT_SEED", 1))};
  std::set<int64_t> durable_;
  int64_t next_ = 0;
  int64_t total_ = 0;
};

TEST_F(SpoolCrashTest, NothingThatWasDurableIsLostWhenTheProcessIsKilled) {
  const int64_t cycles = Setting("FAULT_CYCLES", 8);
  for (int64_t i = 0; i < cycles; ++i) {
    ASSERT_THAT(LiveAndDie(true, false), testing::IsEmpty()) << "cycle " << i;
  }
  EXPECT_THAT(LookOnce(), testing::IsEmpty());
  EXPECT_GT(total_, cycles);
  std::cout << cycles << " kills, " << total_ << " records durable, 0 lost\n";
}

TEST_F(SpoolCrashTest, NothingThatWasDurableIsLostWhenThePowerIsCut) {
  const int64_t cycles = Setting("FAULT_CYCLES", 8);
  for (int64_t i = 0; i < cycles; ++i) {
    ASSERT_THAT(LiveAndDie(true, true), testing::IsEmpty()) << "cycle " << i;
  }
  EXPECT_THAT(LookOnce(), testing::IsEmpty());
  EXPECT_GT(total_, cycles);
  std::cout << cycles << " cuts, " << total_ << " records durable, 0 lost\n";
}

// Each place comes with each number as often, also while it opens.
TEST_F(SpoolCrashTest, NothingThatWasDurableIsLostWhereverInItsCodeItDies) {
  const int64_t rounds = std::max<int64_t>(Setting("FAULT_CYCLES", 8) / 16, 1);
  std::map<std::string, int> deaths;
  for (int64_t round = 0; round < rounds; ++round) {
    for (const std::string place :
         {"log", "log-done", "table", "table-done", "rename", "unlink"}) {
      for (const int number : {1, 2, 5}) {
        SCOPED_TRACE(absl::StrCat(place, " ", number));
        power_.SetMode(absl::StrCat("die ", place, " ", number));
        auto writer = Start("write", true);
        // Not all lives come to each place.
        ASSERT_TRUE(e2e::WaitUntil([&] {
          return !writer->Running() || Acknowledged() >= 400;
        })) << writer->LogTail();
        if (!writer->Running()) ++deaths[place];
        writer->Kill();
        power_.SetMode("well");
        if (round % 2 == 0) CutPower();
        ASSERT_THAT(Check(), testing::IsEmpty());
      }
    }
  }
  EXPECT_THAT(LookOnce(), testing::IsEmpty());
  for (const auto& [place, count] : deaths) {
    std::cout << place << ": died there " << count << " times\n";
  }
  EXPECT_THAT(deaths, testing::SizeIs(6));
}

TEST_F(SpoolCrashTest, ConfirmingBeforeTheSyncWouldBeFound) {
  size_t lost = 0;
  for (int i = 0; i < 40 && lost == 0; ++i)
    lost = LiveAndDie(false, true).size();
  lost += LookOnce().size();
  EXPECT_GT(lost, 0u);
}

TEST_F(SpoolCrashTest, ADiskThatFailsLosesNothingAndIsUsedAgainWhenItIsWell) {
  for (const char* mode : {"eio", "enospc"}) {
    SCOPED_TRACE(mode);
    auto writer = Start("write", true);
    ASSERT_TRUE(e2e::WaitUntil([&] { return Acknowledged() >= 50; }))
        << writer->LogTail();
    power_.SetMode(mode);
    // It says so, and goes on running.
    ASSERT_TRUE(e2e::WaitUntil([&] {
      return absl::StrContains(absl::StrJoin(Lines(), "\n"),
                               "can't be written");
    })) << writer->LogTail();
    const int64_t before = Acknowledged();
    power_.SetMode("well");
    ASSERT_TRUE(e2e::WaitUntil([&] { return Acknowledged() >= before + 50; }))
        << writer->LogTail();
    EXPECT_TRUE(writer->Running());
    writer->Kill();
    CutPower();
    EXPECT_THAT(Check(), testing::IsEmpty());
  }
  EXPECT_THAT(LookOnce(), testing::IsEmpty());
}

}  // namespace
}  // namespace insula::spool
