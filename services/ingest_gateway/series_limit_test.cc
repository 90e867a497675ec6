// The limit of active series of a tenant, as senders and operators see it.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/remote_write/encode.h"
#include "services/ingest_gateway/write_fixture.h"

namespace insula::ingest_gateway {
namespace {

namespace v1 = registry::v1;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

std::string BodyOf(const std::vector<std::string>& metrics,
                   const std::string& tenant) {
  std::string message;
  for (const std::string& metric : metrics) {
    std::string series;
    remote_write::AppendLabel("__name__", metric, &series);
    remote_write::AppendLabel("namespace", tenant, &series);
    remote_write::AppendSample(1, 1, &series);
    remote_write::AppendSeries(series, &message);
  }
  std::string body;
  snappy::Compress(message.data(), message.size(), &body);
  return body;
}

class SeriesLimitTest : public WriteFixture {
 protected:
  SeriesLimitTest() {
    SetLimit(2);
    TenantNamed("red")->set_limits_id("few");
  }
  void SetLimit(uint64_t series) {
    Add(v1::KIND_LIMITS, "few")
        ->mutable_limits()
        ->set_max_active_series(series);
  }
};

TEST_F(SeriesLimitTest, NewSeriesAreRefusedAndKnownOnesGoOn) {
  EXPECT_EQ(Write("sender", BodyOf({"a", "b"}, "red")).status, 204);
  EXPECT_EQ(Write("sender", BodyOf({"a", "b", "c"}, "blue")).status, 204);
  Arrived();

  const auto response = Write("sender", BodyOf({"a", "c", "b", "d"}, "red"));
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body,
              HasSubstr("tenant 'red': per_user_series_limit: 2 series, "
                        "2 samples (limit 2): 'c', 'd'"));
  EXPECT_THAT(Arrived(), ElementsAre(Pair(
                             "red", ElementsAre("__name__=a,namespace=red",
                                                "__name__=b,namespace=red"))));
  EXPECT_EQ(Metric("ingest_gateway_active_series{tenant=\"red\"}"), 2);
  EXPECT_EQ(Metric("ingest_gateway_active_series{tenant=\"blue\"}"), 3);
  EXPECT_EQ(Metric("ingest_gateway_samples_refused_total{reason="
                   "\"per_user_series_limit\"}"),
            2);
  EXPECT_GT(Metric("ingest_gateway_active_series_bytes"), 0);
}

TEST_F(SeriesLimitTest, ALimitThatIsRaisedHoldsForTheNextWrite) {
  EXPECT_EQ(Write("sender", BodyOf({"a", "b", "c"}, "red")).status, 400);
  SetLimit(3);
  EXPECT_EQ(Write("sender", BodyOf({"a", "b", "c"}, "red")).status, 204);
}

TEST_F(SeriesLimitTest, SeriesThatAreNotSentAnyMoreMakeRoom) {
  EXPECT_EQ(Write("sender", BodyOf({"a", "b"}, "red")).status, 204);
  clock_.Advance(absl::Minutes(10));
  EXPECT_EQ(Write("sender", BodyOf({"a", "c"}, "red")).status, 400);
  clock_.Advance(absl::Minutes(10));
  EXPECT_EQ(Write("sender", BodyOf({"a", "c"}, "red")).status, 204);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Metric("ingest_gateway_active_series{tenant=\"red\"}"), 0);
}

TEST_F(SeriesLimitTest, ATenantMadeAgainBeginsAnew) {
  EXPECT_EQ(Write("sender", BodyOf({"a", "b"}, "red")).status, 204);
  AddTenant("red")->set_limits_id("few");
  EXPECT_EQ(Write("sender", BodyOf({"c", "d"}, "red")).status, 204);
}

}  // namespace
}  // namespace insula::ingest_gateway
