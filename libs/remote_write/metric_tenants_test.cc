#include "libs/remote_write/metric_tenants.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/remote_write/encode.h"

namespace insula::remote_write {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::string Body(const std::vector<std::string>& metrics) {
  std::string body;
  for (const std::string& metric : metrics) {
    std::string series;
    AppendLabel("A", "before __name__", &series);
    AppendLabel("__name__", metric, &series);
    AppendSeries(series, &body);
  }
  return body;
}

TEST(MetricTenantsTest, KnowsWhoHasAFamily) {
  MetricTenants memory{{}};
  memory.Note("sender", "red", Body({"up", "up", "latency_bucket"}));
  memory.Note("sender", "blue", Body({"latency_count", "requests_total"}));
  EXPECT_THAT(memory.Find("sender", "up"), ElementsAre("red"));
  EXPECT_THAT(memory.Find("sender", "latency"), ElementsAre("blue", "red"));
  EXPECT_THAT(memory.Find("sender", "requests"), ElementsAre("blue"));
  EXPECT_THAT(memory.Find("sender", "requests_total"), ElementsAre("blue"));
  EXPECT_THAT(memory.Find("sender", "down"), IsEmpty());
}

TEST(MetricTenantsTest, TellsASenderNothingOfOthers) {
  MetricTenants memory{{}};
  memory.Note("one", "red", Body({"up"}));
  EXPECT_THAT(memory.Find("other", "up"), IsEmpty());
  EXPECT_THAT(memory.Find("", "up"), IsEmpty());
}

TEST(MetricTenantsTest, ForgetsTheOldestWhenFull) {
  MetricTenants memory({.max_metrics = 20});
  for (int i = 0; i < 100; ++i) {
    memory.Note("sender", "red", Body({absl::StrCat("m", i), "always"}));
    EXPECT_LE(memory.size(), 20u);
    EXPECT_THAT(memory.Find("sender", absl::StrCat("m", i)),
                ElementsAre("red"));
    EXPECT_THAT(memory.Find("sender", "always"), ElementsAre("red"));
  }
  EXPECT_THAT(memory.Find("sender", "m0"), IsEmpty());
  EXPECT_THAT(memory.Find("sender", "m97"), ElementsAre("red"));
}

TEST(MetricTenantsTest, RemembersABoundedNumberOfTenants) {
  MetricTenants memory{{}};
  for (int i = 0; i < 200; ++i) {
    memory.Note("sender", absl::StrCat("tenant-", i), Body({"up"}));
  }
  EXPECT_THAT(memory.Find("sender", "up"), SizeIs(MetricTenants::kMaxTenants));
}

TEST(MetricTenantsTest, OneRequestOfSomeIsDue) {
  MetricTenants memory({.one_of = 3});
  std::vector<bool> due;
  for (int i = 0; i < 6; ++i) due.push_back(memory.IsDue());
  EXPECT_THAT(due, ElementsAre(true, false, false, true, false, false));
}

}  // namespace
}  // namespace insula::remote_write
