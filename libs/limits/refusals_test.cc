#include "libs/limits/refusals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace insula::limits {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const absl::Time kStart = absl::FromUnixSeconds(1'000'000);

Refusal Because(const std::string& reason, int second = 0) {
  return {kStart + absl::Seconds(second), reason};
}

std::vector<std::string> Reasons(const std::vector<Refusal>& refusals) {
  std::vector<std::string> reasons;
  for (const Refusal& refusal : refusals) reasons.push_back(refusal.reason);
  return reasons;
}

std::vector<std::string> Names(const Refusals& refusals, size_t most = 100) {
  std::vector<std::string> names;
  for (const auto& tenant : refusals.Tenants(most)) {
    names.push_back(absl::StrCat(tenant.tenant, "=", tenant.refusals));
  }
  return names;
}

TEST(RefusalsTest, KeepsThemByTenantTheNewestFirst) {
  Refusals refusals;
  refusals.Add("red", Because("a"));
  refusals.Add("blue", Because("b"));
  refusals.Add("red", Because("c"));
  EXPECT_THAT(Reasons(refusals.Of("red")), ElementsAre("c", "a"));
  EXPECT_THAT(Reasons(refusals.Of("blue")), ElementsAre("b"));
  EXPECT_THAT(refusals.Of("green"), IsEmpty());
  EXPECT_THAT(refusals.Of(""), IsEmpty());
}

TEST(RefusalsTest, KeepsTheLastOfATenant) {
  Refusals refusals({.per_tenant = 3});
  for (int i = 0; i < 10; ++i) refusals.Add("", Because(absl::StrCat(i)));
  EXPECT_THAT(Reasons(refusals.Of("")), ElementsAre("9", "8", "7"));
}

TEST(RefusalsTest, ForgetsTheTenantThatWasQuietForLongest) {
  Refusals refusals({.per_tenant = 2, .in_all = 4});
  refusals.Add("red", Because("a"));
  refusals.Add("blue", Because("b"));
  refusals.Add("green", Because("c"));
  refusals.Add("red", Because("d"));
  EXPECT_THAT(Names(refusals), ElementsAre("red=2", "green=1", "blue=1"));
  refusals.Add("green", Because("e"));
  EXPECT_THAT(Names(refusals), ElementsAre("green=2", "red=2"));
  EXPECT_THAT(refusals.Of("blue"), IsEmpty());
}

TEST(RefusalsTest, HoldsNoMoreThanItsBoundWhoeverIsRefused) {
  Refusals refusals({.per_tenant = 100, .in_all = 50});
  for (int i = 0; i < 1000; ++i) {
    refusals.Add(absl::StrCat("t", i % 70), Because("a"));
  }
  size_t kept = 0;
  for (const auto& tenant : refusals.Tenants(1000)) kept += tenant.refusals;
  EXPECT_EQ(kept, 50);
  // One tenant alone is bounded by its own number.
  for (int i = 0; i < 1000; ++i) refusals.Add("one", Because("a"));
  EXPECT_THAT(Names(refusals), ElementsAre("one=100"));
}

TEST(RefusalsTest, CutsTexts) {
  Refusals refusals({.max_text_bytes = 10});
  Refusal refusal = Because("reason");
  refusal.example = std::string(1000, 'x');
  refusal.detail = std::string(1000, 'y');
  refusal.caller = std::string(1000, 'z');
  refusals.Add("red", refusal);
  const Refusal kept = refusals.Of("red")[0];
  EXPECT_EQ(kept.reason, "reason");
  EXPECT_THAT(kept.example, SizeIs(10));
  EXPECT_THAT(kept.detail, SizeIs(10));
  EXPECT_THAT(kept.caller, SizeIs(10));
}

TEST(RefusalsTest, TellsWhenTheLastOneWas) {
  Refusals refusals;
  refusals.Add("red", Because("a", 1));
  refusals.Add("red", Because("a", 5));
  refusals.Add("blue", Because("a", 3));
  const auto tenants = refusals.Tenants(1);
  ASSERT_THAT(tenants, SizeIs(1));
  EXPECT_EQ(tenants[0].tenant, "blue");
  EXPECT_EQ(refusals.Tenants(2)[1].last, kStart + absl::Seconds(5));
}

TEST(RefusalsTest, TakesThemFromManyThreads) {
  Refusals refusals({.per_tenant = 10, .in_all = 25});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&refusals, i] {
      for (int j = 0; j < 500; ++j) {
        refusals.Add(absl::StrCat("t", (i + j) % 5), Because("a"));
        refusals.Of("t0");
        refusals.Tenants(3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(refusals.Tenants(100).size(), 5);
  EXPECT_GE(refusals.Tenants(100).size(), 2);
}

}  // namespace
}  // namespace insula::limits
