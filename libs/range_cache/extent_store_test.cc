#include "libs/range_cache/extent_store.h"

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace insula::range_cache {
namespace {

using ::testing::Eq;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1000);
constexpr size_t kPlenty = 1 << 20;

// Steps [from, to) of a grid of 10 s, with a point at each of `width` bytes.
std::shared_ptr<const Extent> Make(int64_t from, int64_t to, size_t width = 8,
                                   absl::Time read_at = kNow) {
  Extent extent;
  extent.steps = {from * 10'000, 10'000, to - from};
  extent.read_at = read_at;
  Series& series = extent.series.emplace_back();
  series.labels = "{}";
  for (int64_t i = from; i < to; ++i) {
    series.values.Add(
        static_cast<uint32_t>(i - from),
        absl::StrCat("[", i, ",\"", std::string(width, '1'), "\"]"));
  }
  Settle(&extent);
  return std::make_shared<const Extent>(std::move(extent));
}

// The points of an extent, "[3,..],[4,..]", without values.
std::string PointsOf(const ExtentStore::Extents& extents) {
  std::string out;
  for (const auto& extent : extents) {
    std::string text;
    extent->series[0].values.Print(
        0, static_cast<uint32_t>(extent->steps.count), false, &text);
    for (size_t at = text.find('['); at != std::string::npos;
         at = text.find('[', at + 1)) {
      out += text.substr(at + 1, text.find(',', at) - at - 1) + " ";
    }
  }
  return out;
}

TEST(ExtentStoreTest, GivesBackWhatWasPut) {
  ExtentStore store({});
  EXPECT_THAT(store.Find("k", kNow), IsEmpty());
  store.Put("t", "k", Make(3, 6), kPlenty, kNow);
  EXPECT_THAT(PointsOf(store.Find("k", kNow)), Eq("3 4 5 "));
  EXPECT_THAT(store.Find("K", kNow), IsEmpty());
}

TEST(ExtentStoreTest, KeepsOverlapsOnceAndInOrder) {
  ExtentStore store({});
  store.Put("t", "k", Make(10, 12), kPlenty, kNow);
  store.Put("t", "k", Make(3, 6), kPlenty, kNow);
  store.Put("t", "k", Make(5, 14), kPlenty, kNow);
  EXPECT_THAT(PointsOf(store.Find("k", kNow)),
              Eq("3 4 5 6 7 8 9 10 11 12 13 "));
  store.Put("t", "k", Make(0, 20), kPlenty, kNow);
  EXPECT_THAT(PointsOf(store.Find("k", kNow)),
              Eq("0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 "));
}

TEST(ExtentStoreTest, AKeyThatGrowsByAStepKeepsFewExtents) {
  ExtentStore store({});
  for (int64_t i = 0; i < 1000; ++i) {
    store.Put("t", "k", Make(i, i + 1), kPlenty, kNow);
    ASSERT_THAT(store.Find("k", kNow), SizeIs(Le(12)));
  }
  EXPECT_THAT(store.Find("k", kNow).back()->steps.last(), Eq(9'990'000));
  EXPECT_THAT(store.keys(), Eq(1));
}

TEST(ExtentStoreTest, KeysThatCollideStayApart) {
  ExtentStore store({.hash_mask = 0});
  for (int i = 0; i < 50; ++i) {
    store.Put(absl::StrCat("t", i), absl::StrCat("key", i), Make(i, i + 1),
              kPlenty, kNow);
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(PointsOf(store.Find(absl::StrCat("key", i), kNow)),
                Eq(absl::StrCat(i, " ")));
  }
  EXPECT_THAT(store.Find("key", kNow), IsEmpty());
  EXPECT_THAT(store.Find("key50", kNow), IsEmpty());
}

TEST(ExtentStoreTest, OverItsQuotaATenantLosesWhatItUsedLeastRecently) {
  ExtentStore store({});
  const size_t quota = 4000;
  for (const char* key : {"a", "b", "c"}) {
    store.Put("t", key, Make(0, 1, 400), quota, kNow);
  }
  store.Put("other", "x", Make(0, 1, 2000), quota, kNow);
  EXPECT_THAT(store.Find("a", kNow), SizeIs(1));
  store.Put("t", "d", Make(0, 1, 1200), quota, kNow);
  EXPECT_THAT(store.BytesOf("t"), Le(quota));
  EXPECT_THAT(store.Find("b", kNow), IsEmpty());
  EXPECT_THAT(store.Find("a", kNow), SizeIs(1));
  EXPECT_THAT(store.Find("d", kNow), SizeIs(1));
  EXPECT_THAT(store.Find("x", kNow), SizeIs(1));
  EXPECT_THAT(store.evictions().quota, Ge(1));
}

TEST(ExtentStoreTest, WhatIsLargerThanTheQuotaIsNotKept) {
  ExtentStore store({});
  store.Put("t", "small", Make(0, 1), 2000, kNow);
  store.Put("t", "large", Make(0, 1, 3000), 2000, kNow);
  EXPECT_THAT(store.Find("large", kNow), IsEmpty());
  EXPECT_THAT(store.Find("small", kNow), SizeIs(1));
  store.Put("t", "none", Make(0, 1), 0, kNow);
  EXPECT_THAT(store.Find("none", kNow), IsEmpty());
}

TEST(ExtentStoreTest, AQuotaThatShrinksHoldsAtTheNextPut) {
  ExtentStore store({});
  for (int i = 0; i < 20; ++i) {
    store.Put("t", absl::StrCat(i), Make(0, 1), kPlenty, kNow);
  }
  store.Put("t", "next", Make(0, 1), 2000, kNow);
  EXPECT_THAT(store.BytesOf("t"), Le(2000));
  EXPECT_THAT(store.Find("next", kNow), SizeIs(1));
}

TEST(ExtentStoreTest, WhoHoldsMostMakesRoomForAll) {
  ExtentStore store({.max_bytes = 20'000});
  store.Put("light", "x", Make(0, 1, 4000), kPlenty, kNow);
  for (int i = 0; i < 100; ++i) {
    store.Put("heavy", absl::StrCat(i), Make(0, 1, 500), kPlenty, kNow);
    EXPECT_THAT(store.bytes(), Le(20'000));
  }
  EXPECT_THAT(store.Find("x", kNow), SizeIs(1));
  EXPECT_THAT(store.Find("99", kNow), SizeIs(1));
  EXPECT_THAT(store.Find("0", kNow), IsEmpty());
  EXPECT_THAT(store.evictions().memory, Ge(1));
}

TEST(ExtentStoreTest, WhatIsOldGoes) {
  ExtentStore store({.ttl = absl::Minutes(5)});
  store.Put("t", "k", Make(0, 1, 8, kNow), kPlenty, kNow);
  store.Put("t", "k", Make(5, 6, 8, kNow + absl::Minutes(4)), kPlenty, kNow);
  EXPECT_THAT(store.Find("k", kNow + absl::Minutes(4)), SizeIs(2));
  EXPECT_THAT(PointsOf(store.Find("k", kNow + absl::Minutes(5))), Eq("5 "));
  EXPECT_THAT(store.Find("k", kNow + absl::Minutes(9)), IsEmpty());
  EXPECT_THAT(store.keys(), Eq(0));
  EXPECT_THAT(store.bytes(), Eq(0));
  EXPECT_THAT(store.evictions().expired, Eq(2));
}

TEST(ExtentStoreTest, DropForgetsOneTenant) {
  ExtentStore store({});
  for (int i = 0; i < 5; ++i) {
    store.Put("t", absl::StrCat("t", i), Make(0, 1), kPlenty, kNow);
  }
  store.Put("u", "u", Make(0, 1), kPlenty, kNow);
  store.Drop("t");
  store.Drop("nobody");
  EXPECT_THAT(store.BytesOf("t"), Eq(0));
  EXPECT_THAT(store.Find("t3", kNow), IsEmpty());
  EXPECT_THAT(store.Find("u", kNow), SizeIs(1));
  EXPECT_THAT(store.bytes(), Eq(store.BytesOf("u")));
}

}  // namespace
}  // namespace insula::range_cache
