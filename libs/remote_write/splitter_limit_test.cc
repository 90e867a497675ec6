// The limit of active series, as a split applies it.
#include <gmock/gmock.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/limits/active_series.h"
#include "libs/remote_write/encode.h"
#include "libs/remote_write/splitter.h"
#include "libs/remote_write/wire.h"
#include "libs/status/status_matchers.h"

namespace insula::remote_write {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Labels = std::vector<std::pair<std::string, std::string>>;

std::string Series(const Labels& labels, int64_t timestamp = 1000) {
  std::string series;
  for (const auto& [name, value] : labels) AppendLabel(name, value, &series);
  AppendSample(1, timestamp, &series);
  AppendSample(2, timestamp + 1, &series);
  return series;
}

std::string Request(const std::vector<std::string>& all) {
  std::string request;
  for (const std::string& series : all) AppendSeries(series, &request);
  return request;
}

class SplitterLimitTest : public testing::Test {
 protected:
  SplitterLimitTest() {
    red_.active_series = &active_;
    plan_.find = [this](absl::Span<const absl::string_view>) -> const Routes& {
      return to_red_;
    };
  }

  SplitResult Split(const std::string& request) {
    auto result = splitter_.Split(request, plan_);
    EXPECT_THAT(result, IsOk());
    return result.ok() ? *std::move(result) : SplitResult();
  }

  std::atomic<int64_t> bytes_ = 0;
  limits::ActiveSeries active_{&bytes_, 1 << 20};
  Destination red_{.name = "red"};
  const Routes to_red_{.destinations = {&red_}};
  Plan plan_;
  Splitter splitter_{Bounds()};
};

const Labels kA = {{"__name__", "a"}, {"job", "x"}};
const Labels kB = {{"__name__", "b"}, {"job", "x"}};
const Labels kC = {{"__name__", "c"}, {"job", "x"}};

TEST_F(SplitterLimitTest, RefusesNewSeriesAndKeepsKnownOnes) {
  red_.max_active_series = 2;
  const std::string known = Request({Series(kA), Series(kB)});
  EXPECT_TRUE(Split(known).unchanged);
  EXPECT_EQ(active_.count(), 2u);

  std::string request;
  AppendMetadata(1, "a", "help", &request);
  request += Request({Series(kC, 1), Series(kA, 2)});
  AppendMetadata(1, "b", "help", &request);
  request += Request({Series(kB, 3), Series(kC, 4)});
  const SplitResult result = Split(request);

  std::string expected;
  AppendMetadata(1, "a", "help", &expected);
  expected += Request({Series(kA, 2)});
  AppendMetadata(1, "b", "help", &expected);
  expected += Request({Series(kB, 3)});
  ASSERT_EQ(result.parts.size(), 1u);
  EXPECT_EQ(result.parts[0].body, expected);
  EXPECT_FALSE(result.unchanged);
  EXPECT_EQ(result.parts[0].counts,
            (Counts{.series = 2, .samples = 4, .metadata = 2}));
  ASSERT_EQ(result.refused.size(), 1u);
  EXPECT_EQ(ReasonName(result.refused[0].reason), "per_user_series_limit");
  EXPECT_EQ(result.refused[0].destination, &red_);
  EXPECT_EQ(result.refused[0].counts, (Counts{.series = 2, .samples = 4}));
  EXPECT_THAT(result.refused[0].examples, ElementsAre("c"));
}

TEST_F(SplitterLimitTest, ARequestOfNewSeriesOnlyHasNoPart) {
  red_.max_active_series = 1;
  Split(Request({Series(kA)}));
  const SplitResult result = Split(Request({Series(kB), Series(kC)}));
  EXPECT_THAT(result.parts, IsEmpty());
  EXPECT_EQ(result.refused[0].counts, (Counts{.series = 2, .samples = 4}));
}

TEST_F(SplitterLimitTest, CountsSeriesByTheLabelsThatAreSentOn) {
  red_.enforced_labels = {{"job", "x"}, {"zone", "1"}};
  plan_.removed_labels = {"team"};
  // Six ways to send one series: enforced labels there or not, one to be
  // removed, other samples, and labels behind a sample.
  std::string scattered;
  AppendLabel("__name__", "a", &scattered);
  AppendSample(1, 1, &scattered);
  AppendLabel("job", "x", &scattered);
  const std::string ways[] = {
      Series(kA),
      Series({{"__name__", "a"}}),
      Series({{"__name__", "a"}, {"job", "x"}, {"zone", "1"}}),
      Series({{"__name__", "a"}, {"job", "x"}, {"team", "t"}, {"zone", "1"}}),
      Series({{"__name__", "a"}, {"team", "other"}}, 77),
      scattered};
  for (const std::string& way : ways) {
    Split(Request({way}));
    EXPECT_EQ(active_.count(), 1u);
  }
  Split(Request({Series(kB)}));
  EXPECT_EQ(active_.count(), 2u);
}

TEST_F(SplitterLimitTest, OfAMalformedOrInvalidSeriesNothingIsCounted) {
  Split(Request({Series({{"no_name", "a"}})}));
  EXPECT_FALSE(splitter_.Split(Request({Series(kA)}) + "garbage", plan_).ok());
  EXPECT_EQ(active_.count(), 0u);
}

TEST_F(SplitterLimitTest, EachTenantHasItsOwnLimit) {
  std::atomic<int64_t> bytes = 0;
  limits::ActiveSeries of_blue(&bytes, 1 << 20);
  Destination blue{
      .name = "blue", .active_series = &of_blue, .max_active_series = 1};
  const Routes both{.destinations = {&red_, &blue}};
  plan_.find = [&both](absl::Span<const absl::string_view>) -> const Routes& {
    return both;
  };
  const std::string request = Request({Series(kA), Series(kB), Series(kA)});
  const SplitResult result = Split(request);
  EXPECT_EQ(active_.count(), 2u);
  EXPECT_EQ(of_blue.count(), 1u);
  ASSERT_EQ(result.parts.size(), 2u);
  EXPECT_TRUE(result.parts[0].unchanged);
  EXPECT_EQ(result.parts[1].body, Request({Series(kA), Series(kA)}));
}

}  // namespace
}  // namespace insula::remote_write
