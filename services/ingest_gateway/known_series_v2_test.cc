// Series of remote write 2.0 that were sent before, and what is known of them.
#include <gmock/gmock.h>

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "libs/remote_write/v2_decode.h"
#include "libs/status/status_matchers.h"
#include "services/ingest_gateway/fake_store.h"
#include "services/ingest_gateway/v2_requests.h"
#include "services/ingest_gateway/write_v2_fixture.h"

namespace insula::ingest_gateway {
namespace {

namespace v2 = io::prometheus::write::v2;
using testing::HasSubstr;
using testing::SizeIs;

constexpr int kSeries = 8;
constexpr int64_t kTime = 1'764'000'000'000;

// What senders mostly send: a sample a series, of a time of our days. The
// numbers of the symbols are others each time.
V2Builder Usual(double value) {
  V2Builder builder;
  if (value > 1) {
    for (const char* text : {"pod-3", "blue", "red", "pod"}) {
      builder.Symbol(text);
    }
  }
  for (int i = 0; i < kSeries; ++i) {
    auto* const sample = builder
                             .Add({{"__name__", "up"},
                                   {"namespace", i % 2 == 0 ? "red" : "blue"},
                                   {"pod", absl::StrCat("pod-", i)}})
                             ->add_samples();
    sample->set_value(value);
    sample->set_timestamp(kTime + i);
  }
  return builder;
}

// The same as a message of 1.0.
std::string AsV1(const V2Builder& builder) {
  remote_write::V2Decoder decoder{remote_write::Bounds()};
  const std::string message = builder.request.SerializeAsString();
  const auto decoded = decoder.Decode(message);
  EXPECT_THAT(decoded, IsOk());
  return std::string(decoded->body);
}

// What the stores get, by tenant.
std::map<std::string, std::string> Bodies(FakeStore* store) {
  std::map<std::string, std::string> bodies;
  for (const FakeStore::Seen& seen : store->TakeSeen()) {
    EXPECT_TRUE(bodies.try_emplace(seen.tenant, seen.body).second);
  }
  return bodies;
}

class KnownSeriesOfV2Test : public WriteV2Fixture {
 protected:
  KnownSeriesOfV2Test() {
    (*TenantNamed("red")->mutable_enforced_labels())["cluster"] = "c1";
    EXPECT_EQ(WriteV2("sender", Usual(1)).status, 204);
    EXPECT_EQ(Known(), 0);
    store_.TakeSeen();
  }

  double Known() { return Metric("ingest_gateway_series_known_total"); }

  // Writes it to a handler that knows all but `others` of its series, and to
  // one that knows nothing: that must be the same.
  void ExpectAsIfUnknown(const V2Builder& request, int others) {
    const auto known = WriteV2("sender", request);
    const auto sent = Bodies(&store_);
    EXPECT_EQ(Known(), request.request.timeseries_size() - others);

    Restart();
    const auto unknown = WriteV2("sender", request);
    EXPECT_EQ(Known(), 0);
    EXPECT_THAT(sent, SizeIs(2));
    EXPECT_EQ(sent, Bodies(&store_));
    EXPECT_EQ(known.status, unknown.status);
    EXPECT_EQ(known.body, unknown.body);
    EXPECT_EQ(Written(known), Written(unknown));
  }
};

TEST_F(KnownSeriesOfV2Test, ArriveAsOthersDo) {
  ExpectAsIfUnknown(Usual(2), /*others=*/0);
}

TEST_F(KnownSeriesOfV2Test, AreReadAgainIfTheyBringMoreThanASample) {
  V2Builder builder = Usual(2);
  v2::Request& request = builder.request;
  request.mutable_timeseries(0)->add_exemplars()->set_value(1);
  request.mutable_timeseries(1)->mutable_samples(0)->set_start_timestamp(kTime -
                                                                         5);
  request.mutable_timeseries(2)->clear_samples();
  request.mutable_timeseries(2)->add_histograms()->set_timestamp(kTime);
  *request.mutable_timeseries(3)->add_samples() =
      request.timeseries(3).samples(0);
  ExpectAsIfUnknown(builder, /*others=*/4);
}

TEST_F(KnownSeriesOfV2Test, StandAmongSeriesThatAreRefused) {
  V2Builder builder = Usual(2);
  builder.AddSample(Of("d", "green"));                     // Not allowed.
  builder.AddSample({{"namespace", "red"}});               // No name.
  builder.Add(Of("e", "red"));                             // No samples.
  builder.AddSample(Of("up", "red"))->add_labels_refs(1);  // Half a label.
  ExpectAsIfUnknown(builder, /*others=*/4);
}

TEST_F(KnownSeriesOfV2Test, AreKnownWhenTheyComeAs1ThatTakesTheSameNames) {
  config_.utf8_names = true;
  Restart();
  EXPECT_EQ(WriteV2("sender", Usual(1)).status, 204);
  store_.TakeSeen();
  const auto response = Write("sender", Compressed(AsV1(Usual(2))));
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(Known(), kSeries);
}

// What 2.0 takes says nothing of what 1.0 does.
TEST_F(KnownSeriesOfV2Test, AreReadAgainWhenTheyComeAs1ThatTakesFewerNames) {
  V2Builder builder;
  auto* const sample =
      builder.Add({{"__name__", "http.latency"}, {"namespace", "red"}})
          ->add_samples();
  sample->set_value(1);
  sample->set_timestamp(kTime);
  EXPECT_EQ(WriteV2("sender", builder).status, 204);
  EXPECT_EQ(WriteV2("sender", builder).status, 204);
  EXPECT_EQ(Known(), 1);
  for (int i = 0; i < 2; ++i) {
    const auto response = Write("sender", Compressed(AsV1(builder)));
    EXPECT_EQ(response.status, 400);
    EXPECT_THAT(response.body, HasSubstr("metric_name_invalid"));
  }
  EXPECT_EQ(Known(), 1);
}

}  // namespace
}  // namespace insula::ingest_gateway
