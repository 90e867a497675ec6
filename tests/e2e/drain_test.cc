// SIGTERM under load: what was answered with 2xx is in the store.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/harness/constellation.h"

namespace insula::e2e {
namespace {

using ::testing::Eq;
using ::testing::Gt;
using ::testing::IsEmpty;
using ::testing::IsSubsetOf;
using ::testing::Optional;

constexpr int kSeriesPerBody = 20;
// The drain timeout is 20 s.
constexpr absl::Duration kDrained = absl::Minutes(1);

// Several senders, each body with series of its own of both tenants.
class Senders {
 public:
  Senders(const Constellation* constellation, int count)
      : constellation_(*constellation) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, i] { Run(i); });
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
  int refused() const { return refused_; }
  // The `id` of every series of a body that was answered with 2xx. After
  // Stop().
  std::set<std::string> acknowledged_ids() const { return ids_; }

 private:
  void Run(int sender) {
    for (int n = 0; !stop_; ++n) {
      std::vector<Series> series;
      std::vector<std::string> ids;
      for (int k = 0; k < kSeriesPerBody; ++k) {
        ids.push_back(absl::StrCat(sender, "-", n, "-", k));
        series.push_back({{{"__name__", "drained"},
                           {"id", ids.back()},
                           {"namespace", k % 2 == 0 ? "red" : "blue"}},
                          1,
                          absl::Now()});
      }
      const HttpAnswer answer =
          constellation_.Write(Constellation::kSender, WriteBody(series));
      if (answer.status / 100 == 2) {
        ++acknowledged_;
        const std::lock_guard<std::mutex> lock(mutex_);
        ids_.insert(ids.begin(), ids.end());
      } else {
        ++refused_;
      }
    }
  }

  const Constellation& constellation_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> acknowledged_ = 0;
  std::atomic<int> refused_ = 0;
  std::mutex mutex_;
  std::set<std::string> ids_;
  std::vector<std::thread> threads_;
};

class DrainTest : public testing::Test {
 protected:
  void SetUp() override { constellation_.StartAll(); }

  std::set<std::string> StoredIds() {
    std::set<std::string> ids;
    const std::string result = constellation_.AskStore("drained[1h]");
    for (const auto& one : nlohmann::json::parse(result)) {
      ids.insert(one["metric"]["id"].get<std::string>());
    }
    return ids;
  }

  Constellation constellation_;
};

TEST_F(DrainTest, UnderLoadTheGatewayEndsWithZeroAndEveryAnsweredBodyIsStored) {
  Senders senders(&constellation_, 4);
  ASSERT_TRUE(WaitUntil([&] { return senders.acknowledged() > 50; }));

  constellation_.gateway->Signal(SIGTERM);
  EXPECT_THAT(constellation_.gateway->Wait(kDrained), Optional(0));
  senders.Stop();

  EXPECT_THAT(senders.acknowledged_ids(), IsSubsetOf(StoredIds()));
}

TEST_F(DrainTest, WithTheStoreDownNothingIsAnsweredWith2xxThatIsNotStored) {
  Senders senders(&constellation_, 4);
  ASSERT_TRUE(WaitUntil([&] { return senders.acknowledged() > 20; }));
  // An orderly end: Debian's Prometheus keeps what it accepted.
  constellation_.store->Signal(SIGTERM);
  ASSERT_THAT(constellation_.store->Wait(absl::Seconds(60)), Optional(0));
  const int before = senders.refused();
  ASSERT_TRUE(WaitUntil([&] { return senders.refused() > before + 10; }));

  constellation_.gateway->Signal(SIGTERM);
  EXPECT_THAT(constellation_.gateway->Wait(kDrained), Optional(0));
  senders.Stop();

  constellation_.StartStore();
  const std::set<std::string> acknowledged = senders.acknowledged_ids();
  EXPECT_THAT(acknowledged.size(), Gt(0u));
  EXPECT_THAT(acknowledged, IsSubsetOf(StoredIds()));
}

TEST_F(DrainTest, TheFrontendAnswersWhatItHadBegun) {
  std::atomic<bool> stop = false;
  std::atomic<int> good = 0;
  std::atomic<int> cut = 0;
  std::thread reader([&] {
    while (!stop) {
      const HttpAnswer answer =
          constellation_.Query(Constellation::kRed, "count(up) or vector(1)");
      // Refused connections are fine once it stopped listening; half an answer
      // or an error never is.
      if (answer.status == 200) {
        ++good;
      } else if (!answer.head.empty()) {
        ++cut;
      }
    }
  });
  EXPECT_TRUE(WaitUntil([&] { return good > 20; }));
  constellation_.frontend->Signal(SIGTERM);
  EXPECT_THAT(constellation_.frontend->Wait(kDrained), Optional(0));
  stop = true;
  reader.join();
  EXPECT_THAT(cut.load(), Eq(0));
}

}  // namespace
}  // namespace insula::e2e
