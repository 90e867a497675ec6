// The real ingest-gateway is killed under load, its power cut, and its stores
// fail and come back: what it has answered with 204 arrives.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/e2e/harness/constellation.h"
#include "tests/ingest_faults/gateway_under_test.h"
#include "tests/ingest_faults/moody_store.h"
#include "tests/ingest_faults/power.h"
#include "tests/ingest_faults/taken_series.h"

namespace insula::e2e {
namespace {

using ingest_faults::ForEachSeries;
using ingest_faults::GatewayUnderTest;
using ingest_faults::kMoods;
using ingest_faults::Mood;
using ingest_faults::MoodyStore;
using ingest_faults::Power;
using ingest_faults::Setting;
using ::testing::IsEmpty;

// Several senders, as long as this lives; each body has a series of its own of
// both tenants.
class Senders {
 public:
  Senders(const Constellation* constellation, int64_t life)
      : constellation_(*constellation) {
    for (int i = 0; i < 3; ++i) {
      threads_.emplace_back(
          [this, life, i] { Run(absl::StrCat(life, "-", i)); });
    }
  }
  ~Senders() { Stop(); }

  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  int acknowledged() const { return acknowledged_; }
  // "TENANT/ID" of what was answered with 204. After Stop().
  const std::set<std::string>& ids() const { return ids_; }

 private:
  void Run(const std::string& name) {
    for (int n = 0; !stop_; ++n) {
      const std::string id = absl::StrCat(name, "-", n);
      std::vector<Series> series;
      for (const char* tenant : {"red", "blue"}) {
        series.push_back(
            {{{"__name__", "faults"}, {"id", id}, {"namespace", tenant}},
             1,
             absl::Now()});
      }
      const HttpAnswer answer =
          constellation_.Write(Constellation::kSender, WriteBody(series));
      if (answer.status != 204) continue;
      ++acknowledged_;
      const std::lock_guard<std::mutex> lock(mutex_);
      ids_.insert("red/" + id);
      ids_.insert("blue/" + id);
    }
  }

  const Constellation& constellation_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> acknowledged_ = 0;
  std::mutex mutex_;
  std::set<std::string> ids_;
  std::vector<std::thread> threads_;
};

// A gateway in front of a store that is well for blue and not for red, which
// lives and dies again and again.
class GatewayFaultsTest : public testing::Test {
 protected:
  void SetMode(absl::string_view mode) { gateway_.SetQueue(mode); }

  void Start() {
    const absl::Time before = absl::Now();
    constellation_.StartGateway();
    slowest_start_ = std::max(slowest_start_, absl::Now() - before);
  }

  // The store is of one mood when the gateway starts, and of another one in the
  // middle of its life, which ends by a kill under load.
  void LiveAndDie(int64_t life) {
    store_.SetMood("red", AnyMood());
    Start();
    if (HasFatalFailure()) return;
    Senders senders(&constellation_, life);
    const int wanted = 10 + static_cast<int>(random_() % 40);
    EXPECT_TRUE(
        WaitUntil([&] { return senders.acknowledged() >= wanted / 2; }));
    store_.SetMood("red", AnyMood());
    EXPECT_TRUE(WaitUntil([&] { return senders.acknowledged() >= wanted; }));
    constellation_.gateway->Kill();
    senders.Stop();
    answered_ += senders.ids().size();
    owed_.insert(senders.ids().begin(), senders.ids().end());
    Settle();
    // Of earlier lives; late ones of this life come in the next.
    if (life % 10 == 9) arrived_.clear();
  }

  // It dies by itself, the N-th time that it comes to `place` (power_shim.cc),
  // under load; or, of a `removal`, once nothing more comes and the store takes
  // what waits: then a log is written to only to remove what has arrived.
  void LiveAndDieAt(const std::string& place, bool removal, int number,
                    int64_t life) {
    power_.SetMode("well");
    store_.SetMood("red", Mood::kFails);
    Start();
    if (HasFatalFailure()) return;
    const std::string death = absl::StrCat("die ", place, " ", number);
    Senders senders(&constellation_, life);
    EXPECT_TRUE(WaitUntil([&] { return senders.acknowledged() >= 20; }));
    if (removal) {
      senders.Stop();
      power_.SetMode(death);
      store_.SetMood("red", Mood::kWell);
    } else {
      power_.SetMode(death);
    }
    EXPECT_EQ(constellation_.gateway->Wait(absl::Minutes(1)), 128 + SIGKILL);
    senders.Stop();
    answered_ += senders.ids().size();
    owed_.insert(senders.ids().begin(), senders.ids().end());
    power_.SetMode("well");
    Settle();
  }

  void CutPower() {
    power_.Cut({constellation_.dir().path() + "/queue",
                constellation_.dir().path() + "/gateway"},
               &random_);
  }

  // A last life, in which the store is well, until nothing waits. What was
  // answered with 204 and has not arrived by then.
  std::set<std::string> Missing() {
    store_.SetMood("red", Mood::kWell);
    Start();
    EXPECT_TRUE(WaitUntil(
        [&] {
          Settle();
          return owed_.empty() || gateway_.Metric("insula_spool_records") == 0;
        },
        absl::Minutes(5)));
    Settle();  // What arrived before nothing waited.
    return owed_;
  }

  void Report(absl::string_view what, int64_t cycles) const {
    std::cout << cycles << " " << what << ", " << answered_
              << " samples answered with 204, " << owed_.size()
              << " lost; slowest start " << slowest_start_
              << "; writes met: well " << store_.CountOf(Mood::kWell)
              << ", 429 " << store_.CountOf(Mood::kBusy) << ", 503 "
              << store_.CountOf(Mood::kFails) << ", no answer "
              << store_.CountOf(Mood::kHangs) << ", reset "
              << store_.CountOf(Mood::kResets) << ", half an answer "
              << store_.CountOf(Mood::kHalfAnswers) << ", answer lost "
              << store_.CountOf(Mood::kLosesAnswer) << "\n";
  }

  GatewayUnderTest gateway_;
  MoodyStore& store_ = gateway_.store;
  Constellation& constellation_ = gateway_.constellation;
  Power power_{constellation_.dir().path()};
  std::mt19937 random_{static_cast<unsigned>(Setting("FAULT_SEED", 1))};
  std::set<std::string> owed_;  // Answered with 204, and not seen to arrive.
  size_t answered_ = 0;
  size_t again_ = 0;  // Arrived more than once.
  absl::Duration slowest_start_;

 private:
  // Well three times out of nine, so that queues get shorter, too.
  Mood AnyMood() {
    const int any = static_cast<int>(random_() % (kMoods + 2));
    return any < kMoods ? static_cast<Mood>(any) : Mood::kWell;
  }

  // Strikes off what has arrived.
  void Settle() {
    ForEachSeries(
        store_.Take(), [this](const std::string& tenant, const auto& series) {
          for (const auto& label : series.labels()) {
            if (label.name() == "id") {
              const std::string id = absl::StrCat(tenant, "/", label.value());
              if (!arrived_.insert(id).second) ++again_;
            }
          }
        });
    for (const std::string& id : arrived_) owed_.erase(id);
  }

  std::set<std::string> arrived_;
};

TEST_F(GatewayFaultsTest, NothingThatWasAnsweredWith204IsLostWhenItIsKilled) {
  const int64_t cycles = Setting("FAULT_CYCLES", 4);
  for (int64_t life = 0; life < cycles && !HasFailure(); ++life) {
    LiveAndDie(life);
  }
  EXPECT_THAT(Missing(), IsEmpty());
  EXPECT_GT(answered_, static_cast<size_t>(cycles));
  EXPECT_LT(slowest_start_, absl::Seconds(30));  // Of a busy machine.
  Report("kills", cycles);
}

TEST_F(GatewayFaultsTest, NothingThatWasAnsweredWith204IsLostWhenPowerIsCut) {
  constellation_.gateway_environment = power_.Environment();
  const int64_t cycles = Setting("FAULT_CYCLES", 4);
  for (int64_t life = 0; life < cycles && !HasFailure(); ++life) {
    // In every other life all of it is on the disk before it is sent.
    SetMode(life % 2 == 0 ? "spill" : "always");
    LiveAndDie(life);
    CutPower();
  }
  EXPECT_THAT(Missing(), IsEmpty());
  EXPECT_GT(answered_, static_cast<size_t>(cycles));
  Report("power cuts", cycles);
}

TEST_F(GatewayFaultsTest,
       NothingThatWasAnsweredWith204IsLostWhereverInItsCodeItDies) {
  constellation_.gateway_environment = power_.Environment();
  const int64_t rounds = std::max<int64_t>(Setting("FAULT_CYCLES", 4) / 100, 1);
  int64_t life = 0;
  for (int64_t round = 0; round < rounds; ++round) {
    for (const int number : {1, 4}) {
      for (const char* place :
           {"log-write", "log-written", "log", "log-done"}) {
        SCOPED_TRACE(absl::StrCat(place, " ", number));
        LiveAndDieAt(place, /*removal=*/false, number, ++life);
        if (HasFailure()) return;
        if (life % 2 == 0) CutPower();
      }
    }
    // Between the store's answer and the removal, and behind that.
    const size_t again = again_;
    for (const char* place : {"log-write", "log-written"}) {
      SCOPED_TRACE(absl::StrCat("removal, ", place));
      LiveAndDieAt(place, /*removal=*/true, 1, ++life);
      if (HasFailure()) return;
    }
    EXPECT_THAT(Missing(), IsEmpty());
    EXPECT_GT(again_, again);
    constellation_.gateway->Kill();
  }
  Report("deaths at named places", life);
}

// As if it answered before the disk had it: this test would see that.
TEST_F(GatewayFaultsTest, AnsweringBeforeTheSyncWouldBeFound) {
  constellation_.gateway_environment = power_.Environment();
  power_.SetMode("lie");
  SetMode("always");
  std::set<std::string> missing;
  for (int64_t life = 0; life < 10 && missing.empty() && !HasFailure();
       ++life) {
    LiveAndDie(life);
    CutPower();
    missing = Missing();
    constellation_.gateway->Kill();
  }
  EXPECT_GT(missing.size(), 0u);
  std::cout << missing.size() << " of " << answered_ << " found to be lost\n";
}

TEST(PrometheusAwayTest, EverySampleArrivesWhenAPrometheusWasAway) {
  Constellation constellation;
  constellation.gateway_config =
      absl::StrCat("queue: {dir: ", constellation.dir().path(),
                   "/queue, direct_timeout: 1s, min_free: 1MiB}");
  constellation.StartStore();
  constellation.StartRegistry();
  constellation.StartGateway();
  if (testing::Test::HasFatalFailure()) return;
  Senders senders(&constellation, 0);
  ASSERT_TRUE(WaitUntil([&] { return senders.acknowledged() >= 20; }));
  constellation.store->Signal(SIGTERM);
  ASSERT_TRUE(constellation.store->Wait(absl::Minutes(1)).has_value());
  // Senders notice nothing.
  const int away = senders.acknowledged();
  ASSERT_TRUE(WaitUntil([&] { return senders.acknowledged() >= away + 50; }));
  constellation.StartStore();
  if (testing::Test::HasFatalFailure()) return;
  const int back = senders.acknowledged();
  ASSERT_TRUE(WaitUntil([&] { return senders.acknowledged() >= back + 20; }));
  senders.Stop();
  std::set<std::string> missing;
  EXPECT_TRUE(WaitUntil([&] {
    missing = senders.ids();
    const auto json = nlohmann::json::parse(
        constellation.AskStore("last_over_time(faults[1h])"), nullptr, false);
    if (!json.is_array()) return false;
    for (const auto& series : json) {
      missing.erase(
          absl::StrCat(series["metric"]["namespace"].get<std::string>(), "/",
                       series["metric"]["id"].get<std::string>()));
    }
    return missing.empty();
  }));
  EXPECT_THAT(missing, IsEmpty());
}

}  // namespace
}  // namespace insula::e2e
