#include "libs/limits/active_series.h"

#include <gmock/gmock.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace insula::limits {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);
constexpr int64_t kMuch = int64_t{1} << 40;

std::vector<uint64_t> Hashes(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> hashes(count);
  for (uint64_t& hash : hashes) hash = random();
  return hashes;
}

class ActiveSeriesTest : public testing::Test {
 protected:
  std::vector<size_t> Touch(const std::vector<uint64_t>& hashes,
                            uint64_t limit = 0) {
    std::vector<size_t> refused;
    set_.Touch(hashes, limit, &refused);
    return refused;
  }

  std::atomic<int64_t> bytes_ = 0;
  ActiveSeries set_{&bytes_, kMuch};
};

TEST_F(ActiveSeriesTest, RefusesOnlyNewSeriesAtTheLimit) {
  EXPECT_THAT(Touch({10, 20, 30, 40}, 3), ElementsAre(3));
  EXPECT_THAT(Touch({50, 30, 20, 10, 60, 10}, 3), ElementsAre(0, 4));
  EXPECT_EQ(set_.count(), 3u);
  // A limit that is lowered takes nobody's place away.
  EXPECT_THAT(Touch({10, 70}, 1), ElementsAre(1));
  EXPECT_THAT(Touch({10, 70}, 4), IsEmpty());
  EXPECT_EQ(set_.count(), 4u);
}

TEST_F(ActiveSeriesTest, ForgetsSeriesOfTheWindowBeforeTheLast) {
  Touch({10, 20, 30});
  set_.Rotate();
  EXPECT_EQ(set_.count(), 3u);
  Touch({20});
  set_.Rotate();
  EXPECT_EQ(set_.count(), 1u);
  EXPECT_THAT(Touch({20, 30}, 1), ElementsAre(1));
  set_.Rotate();
  set_.Rotate();
  EXPECT_EQ(set_.count(), 0u);
  EXPECT_EQ(bytes_, 0);
}

TEST_F(ActiveSeriesTest, TakesEveryHash) {
  const std::vector<uint64_t> odd = {0, 1, 2, 3, ~uint64_t{0}};
  Touch(odd);
  Touch(odd);
  // All but the lowest bit counts; 0 is taken for 2.
  EXPECT_EQ(set_.count(), 2u);
}

// As many entries of one line as can be: they go to the lines behind it.
TEST_F(ActiveSeriesTest, EntriesThatCrowdOneLineAreFound) {
  std::vector<uint64_t> crowd;
  for (uint64_t i = 1; i <= 500; ++i) crowd.push_back(~uint64_t{0} - 2 * i);
  Touch(crowd);
  EXPECT_EQ(set_.count(), 500u);
  EXPECT_THAT(Touch(crowd, 1), IsEmpty());
  set_.Rotate();
  EXPECT_THAT(Touch({crowd.begin(), crowd.begin() + 250}, 1), IsEmpty());
  set_.Rotate();
  EXPECT_EQ(set_.count(), 250u);
  EXPECT_THAT(Touch({crowd.begin(), crowd.begin() + 250}, 1), IsEmpty());
}

class ActiveSeriesExactnessTest : public testing::TestWithParam<size_t> {};

TEST_P(ActiveSeriesExactnessTest, CountsExactly) {
  const size_t count = GetParam();
  const double allowed = static_cast<double>(count) / 1000;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    std::atomic<int64_t> bytes = 0;
    ActiveSeries set(&bytes, kMuch);
    // Half as many again as the limit admits.
    const std::vector<uint64_t> hashes = Hashes(count + count / 2, seed);
    std::vector<size_t> refused;
    set.Touch(hashes, count, &refused);
    EXPECT_NEAR(static_cast<double>(set.count()), static_cast<double>(count),
                allowed);
    EXPECT_NEAR(static_cast<double>(refused.size()),
                static_cast<double>(count / 2), allowed);
    // Those that were admitted stay so, in any order; those refused too.
    set.Rotate();
    refused.clear();
    set.Touch(absl::MakeSpan(hashes).subspan(count), count, &refused);
    EXPECT_NEAR(static_cast<double>(refused.size()),
                static_cast<double>(count / 2), allowed);
    refused.clear();
    set.Touch(absl::MakeSpan(hashes).first(count), count, &refused);
    EXPECT_THAT(refused, IsEmpty());
    EXPECT_EQ(set.uncounted(), 0u);
    if (count >= 10'000) {
      EXPECT_LE(static_cast<double>(bytes) / static_cast<double>(count), 22.0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, ActiveSeriesExactnessTest,
                         testing::Values(100, 10'000, 1'000'000));

TEST(ActiveSeriesMemoryTest, NewSeriesAreLetThroughWhenTheMemoryIsUsedUp) {
  std::atomic<int64_t> bytes = 0;
  ActiveSeries set(&bytes, 1024);
  std::vector<size_t> refused;
  set.Touch(Hashes(1000, 1), 0, &refused);
  EXPECT_THAT(refused, IsEmpty());
  EXPECT_EQ(set.count(), 96u);
  EXPECT_EQ(set.uncounted(), 904u);
  EXPECT_EQ(bytes, 1024);
  // Those that are known still are, and the limit still holds.
  set.Touch(Hashes(1000, 1), 96, &refused);
  EXPECT_EQ(refused.size(), 904u);
}

TEST(ActiveSeriesOfTenantsTest, KeepsTenantsApartAndForgetsThem) {
  ActiveSeriesOfTenants tenants({.window = absl::Minutes(10)});
  std::vector<size_t> refused;
  tenants.Get("red", kStart)->Touch({{10, 20}}, 2, &refused);
  tenants.Get("blue", kStart)->Touch({{10, 20, 30}}, 2, &refused);
  EXPECT_THAT(refused, ElementsAre(2));
  EXPECT_THAT(tenants.Counts(kStart),
              ElementsAre(Pair("blue", 2), Pair("red", 2)));

  absl::Time now = kStart + absl::Minutes(10);
  tenants.Get("red", now)->Touch({{10}}, 0, &refused);
  EXPECT_EQ(tenants.CountOf("red", now), 2u);
  now += absl::Minutes(10);
  EXPECT_THAT(tenants.Counts(now), ElementsAre(Pair("red", 1)));
  EXPECT_EQ(tenants.CountOf("green", now), 0u);
  now += absl::Hours(5);
  EXPECT_THAT(tenants.Counts(now), IsEmpty());
  EXPECT_EQ(tenants.bytes(), 0);
}

TEST(ActiveSeriesOfTenantsTest, ATenantThatIsNeverCountedIsForgottenToo) {
  ActiveSeriesOfTenants tenants({.window = absl::Minutes(10)});
  std::vector<size_t> refused;
  tenants.Get("red", kStart)->Touch({{10, 20}}, 0, &refused);
  EXPECT_GT(tenants.bytes(), 0);
  tenants.Get("blue", kStart + absl::Hours(1));
  EXPECT_EQ(tenants.bytes(), 0);
}

TEST(ActiveSeriesOfTenantsTest, MayBeUsedByManyThreads) {
  ActiveSeriesOfTenants tenants({.window = absl::Seconds(1)});
  std::atomic<size_t> refused_in_all = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&tenants, &refused_in_all, t] {
      std::vector<size_t> refused;
      for (int round = 0; round < 50; ++round) {
        tenants.Get("red", kStart)
            ->Touch(Hashes(100, static_cast<uint64_t>(round * 4 + t)), 10'000,
                    &refused);
        tenants.Counts(kStart);
      }
      refused_in_all += refused.size();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(tenants.CountOf("red", kStart), 10'000u);
  EXPECT_EQ(refused_in_all, 10'000u);
}

}  // namespace
}  // namespace insula::limits
