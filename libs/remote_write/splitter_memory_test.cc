// What is known of series from earlier requests changes nothing but the cost.
#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/remote_write/encode.h"
#include "libs/remote_write/splitter.h"
#include "libs/status/status_matchers.h"

namespace insula::remote_write {
namespace {

using testing::SizeIs;

constexpr int kSeries = 20;
constexpr int64_t kTime = 1'764'000'000'000;

class SplitterMemoryTest : public testing::Test {
 protected:
  SplitterMemoryTest() {
    red_.name = "red";
    blue_.name = "blue";
    plan_.deciding_labels = {"namespace"};
    plan_.find =
        [this](absl::Span<const absl::string_view> values) -> const Routes& {
      ++finds_;
      return values[0] == "red" ? to_red_ : to_blue_;
    };
  }

  // Neighbours are of different tenants.
  static std::string Request(double value) {
    std::string request;
    for (int i = 0; i < kSeries; ++i) {
      std::string series;
      AppendLabel("__name__", "up", &series);
      AppendLabel("namespace", i % 2 == 0 ? "red" : "blue", &series);
      AppendLabel("pod", absl::StrCat("pod-", i), &series);
      AppendSample(value, kTime, &series);
      AppendSeries(series, &request);
    }
    return request;
  }

  SplitResult Split(double value) {
    request_ = Request(value);
    auto result = splitter_.Split(request_, plan_);
    EXPECT_THAT(result, IsOk());
    return result.ok() ? *std::move(result) : SplitResult();
  }

  // What the splitter says that knows nothing from before.
  void ExpectAsIfUnknown(const SplitResult& result) {
    Splitter fresh{Bounds()};
    const auto expected = fresh.Split(request_, plan_);
    ASSERT_THAT(expected, IsOk());
    EXPECT_EQ(expected->known_series, 0);
    EXPECT_EQ(result.received, expected->received);
    EXPECT_EQ(result.routed_series, expected->routed_series);
    ASSERT_EQ(result.parts.size(), expected->parts.size());
    for (size_t i = 0; i < result.parts.size(); ++i) {
      EXPECT_EQ(result.parts[i].destination, expected->parts[i].destination);
      EXPECT_EQ(result.parts[i].body, expected->parts[i].body);
      EXPECT_EQ(result.parts[i].counts, expected->parts[i].counts);
    }
    ASSERT_EQ(result.refused.size(), expected->refused.size());
    for (size_t i = 0; i < result.refused.size(); ++i) {
      EXPECT_EQ(result.refused[i].reason, expected->refused[i].reason);
      EXPECT_EQ(result.refused[i].counts, expected->refused[i].counts);
      EXPECT_EQ(result.refused[i].examples, expected->refused[i].examples);
    }
  }

  Destination red_;
  Destination blue_;
  Routes to_red_ = {.destinations = {&red_}};
  Routes to_blue_ = {.destinations = {&blue_}};
  Plan plan_;
  int finds_ = 0;
  SeriesMemoryBudget budget_{1 << 20};
  Splitter splitter_{Bounds(), &budget_};
  std::string request_;
};

TEST_F(SplitterMemoryTest, KnowsWhatWasSentBefore) {
  EXPECT_EQ(Split(1).known_series, 0);

  const SplitResult second = Split(2);

  EXPECT_EQ(second.known_series, kSeries);
  ExpectAsIfUnknown(second);
}

TEST_F(SplitterMemoryTest, AsksForEachCombinationOnceARequest) {
  Split(1);
  finds_ = 0;

  Split(2);

  EXPECT_EQ(finds_, 2);
}

TEST_F(SplitterMemoryTest, EnforcedLabelsAreThoseOfThisRequest) {
  Split(1);
  for (const std::vector<Label>& enforced : std::vector<std::vector<Label>>{
           {{"a", "x"}},
           {{"cluster", "1"}, {"tenant", "red"}},
           {{"pod", "pod-4"}},  // Which one series has, and others not.
           {{"namespace", "red"}, {"zone", "b"}},
           {{"namespace", "blue"}}}) {
    red_.enforced_labels = enforced;
    const SplitResult result = Split(2);
    ExpectAsIfUnknown(result);
  }
}

TEST_F(SplitterMemoryTest, LimitsAreThoseOfThisRequest) {
  Split(1);
  for (const SeriesLimits& limits :
       std::vector<SeriesLimits>{{.max_label_names = 2},
                                 {.max_label_name_bytes = 8},
                                 {.max_label_value_bytes = 5}}) {
    red_.limits = limits;
    const SplitResult result = Split(2);
    EXPECT_GE(result.known_series, kSeries / 2);
    EXPECT_THAT(result.refused, SizeIs(1));
    ExpectAsIfUnknown(result);
  }
}

TEST_F(SplitterMemoryTest, WhereASeriesGoesIsAskedInThisRequest) {
  Split(1);
  to_red_ = {.refused = {Reason::kTenantSuspended}};
  ExpectAsIfUnknown(Split(2));
  to_red_ = {.destinations = {&red_, &blue_}};
  const SplitResult both = Split(3);
  EXPECT_EQ(both.known_series, kSeries);
  ExpectAsIfUnknown(both);
  to_red_ = {.destinations = {&red_}, .refused = {Reason::kTenantUnknown}};
  ExpectAsIfUnknown(Split(4));
  plan_.deciding_labels = {"pod"};
  ExpectAsIfUnknown(Split(5));
}

TEST_F(SplitterMemoryTest, DropsTheRemovedLabelsOfKnownSeries) {
  plan_.removed_labels = {"namespace", "pod"};
  Split(1);

  const SplitResult second = Split(2);

  EXPECT_EQ(second.known_series, kSeries);
  ExpectAsIfUnknown(second);
}

TEST_F(SplitterMemoryTest, CountsKnownSeriesAsActiveLikeOthers) {
  limits::ActiveSeriesOfTenants tenants({});
  const auto set = tenants.Get("red", absl::UnixEpoch());
  red_.active_series = set.get();
  red_.enforced_labels = {{"a", "x"}};
  plan_.removed_labels = {"namespace"};
  Split(1);
  const uint64_t before = set->count();

  EXPECT_EQ(Split(2).known_series, kSeries);

  EXPECT_EQ(before, uint64_t{kSeries / 2});
  EXPECT_EQ(set->count(), before);
}

TEST_F(SplitterMemoryTest, BoundsHoldForKnownSeries) {
  Split(1);
  const Bounds bounds = {.max_series = kSeries - 1};
  Splitter small(bounds, &budget_);
  const std::string request = Request(2);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(small.Split(request, plan_),
                StatusIs(absl::StatusCode::kResourceExhausted));
  }
}

}  // namespace
}  // namespace insula::remote_write
