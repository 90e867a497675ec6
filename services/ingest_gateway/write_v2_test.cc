// Writes of remote write 2.0, in and out.

#include <gmock/gmock.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/ingest_gateway/fake_store.h"
#include "services/ingest_gateway/v2_requests.h"
#include "services/ingest_gateway/write_v2_fixture.h"

namespace insula::ingest_gateway {
namespace {

namespace v1 = registry::v1;
namespace v2 = io::prometheus::write::v2;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

http::Headers WrittenHeaders(int samples, int histograms, int exemplars) {
  return {
      {absl::StrCat(kPrefix, "Samples-Written"), absl::StrCat(samples)},
      {absl::StrCat(kPrefix, "Histograms-Written"), absl::StrCat(histograms)},
      {absl::StrCat(kPrefix, "Exemplars-Written"), absl::StrCat(exemplars)}};
}

using WriteV2Test = WriteV2Fixture;

// Three series of red and one of blue.
V2Builder Mixed() {
  V2Builder builder;
  auto* const series = builder.AddSample(Of("a", "red"));
  series->add_samples()->set_timestamp(2000);
  series->add_exemplars()->set_value(1);
  builder.Add(Of("h", "red"))->add_histograms()->set_timestamp(1000);
  builder.AddSample(Of("b", "blue"));
  builder.AddSample(Of("c", "red"));
  return builder;
}

TEST_F(WriteV2Test, GivesEachTenantItsSeriesAndSaysWhatWasWritten) {
  const auto response = WriteV2("sender", Mixed());
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(Written(response), "4 1 1");
  EXPECT_THAT(Arrived(),
              UnorderedElementsAre(
                  Pair("red", ElementsAre("__name__=a,namespace=red",
                                          "__name__=h,namespace=red",
                                          "__name__=c,namespace=red")),
                  Pair("blue", ElementsAre("__name__=b,namespace=blue"))));
}

TEST_F(WriteV2Test, SendersOf1AreToldNothingOfTheKind) {
  EXPECT_EQ(Written(Write("sender", BodyOf({"red"}))), "- - -");
  store_.SetMood("red", {.status = 500});
  EXPECT_EQ(Written(Write("sender", BodyOf({"red"}))), "- - -");
}

TEST_F(WriteV2Test, CountsWhatWasKeptWhenSomeIsRefused) {
  V2Builder builder = Mixed();
  builder.AddSample({{"namespace", "red"}});  // No name.
  builder.AddSample(Of("d", "green"));        // Not allowed.
  builder.Add(Of("e", "red"));                // No samples.
  builder.Add(Of("f", "red"))->add_histograms()->set_count_int(9);
  const auto response = WriteV2("sender", builder);
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Written(response), "4 1 1");
  EXPECT_THAT(
      response.body,
      AllOf(HasSubstr("4 of 8 series"), HasSubstr("missing_metric_name"),
            HasSubstr("tenant_not_allowed"), HasSubstr("no_samples"),
            HasSubstr("native_histogram_invalid")));
}

TEST_F(WriteV2Test, CountsOnlyThePartsThatAreKept) {
  store_.SetMood("red", {.status = 503});
  const auto response = WriteV2("sender", Mixed());
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(Written(response), "1 0 0");
  store_.SetMood("red", {.status = 400});
  EXPECT_EQ(Written(WriteV2("sender", Mixed())), "1 0 0");
}

TEST_F(WriteV2Test, ARetryCountsWhatWasKeptBefore) {
  store_.SetMood("red", {.status = 503});
  EXPECT_EQ(Written(WriteV2("sender", Mixed())), "1 0 0");
  store_.SetMood("red", {});
  store_.TakeSeen();
  const auto response = WriteV2("sender", Mixed());
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(Written(response), "4 1 1");
  EXPECT_THAT(TenantsReached(), ElementsAre("red"));
}

TEST_F(WriteV2Test, EveryRefusalHasTheHeaders) {
  EXPECT_EQ(WriteV2("sender", "\xff").status, 400);
  EXPECT_EQ(Written(WriteV2("sender", "\xff")), "0 0 0");
  const auto unknown = WriteV2("nobody", Mixed());
  EXPECT_EQ(unknown.status, 401);
  EXPECT_EQ(Written(unknown), "0 0 0");
  config_.max_series = 2;
  Restart();
  const auto large = WriteV2("sender", Mixed());
  EXPECT_EQ(large.status, 413);
  EXPECT_EQ(Written(large), "0 0 0");
}

TEST_F(WriteV2Test, TheContentTypeAloneSaysHowToReadIt) {
  http::Request request =
      Request("sender", Compressed(Mixed().request.SerializeAsString()));
  request.headers.Set("X-Prometheus-Remote-Write-Version", "2.0.0");
  const auto response = Handle(std::move(request));
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("2.0"));
  EXPECT_EQ(Written(response), "- - -");

  const auto other = WriteV2("sender", Message({{{"__name__", "up"}}}));
  EXPECT_EQ(other.status, 400);
  EXPECT_THAT(other.body, HasSubstr("1.0"));
}

TEST_F(WriteV2Test, AnyUtf8IsAName) {
  V2Builder builder;
  builder.AddSample({{"__name__", "http.latency in s"}, {"ein wörtchen", "x"}});
  builder.AddSample({{"__name__", "a"}, {"b\xff", "x"}});
  const auto response = WriteV2("only-red", builder);
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Written(response), "1 0 0");
  EXPECT_THAT(response.body, HasSubstr("label_invalid"));
  EXPECT_THAT(Arrived().at("red"),
              ElementsAre("__name__=http.latency in s,ein wörtchen=x"));
}

TEST_F(WriteV2Test, StoresGet1UnlessTheyTake2) {
  WriteV2("only-red", Mixed());
  const auto seen = store_.TakeSeen();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].headers.Get("Content-Type"), "application/x-protobuf");
  EXPECT_EQ(seen[0].headers.Get("X-Prometheus-Remote-Write-Version"), "0.1.0");
}

v2::Request ParseV2(const FakeStore::Seen& seen) {
  std::string message;
  v2::Request request;
  EXPECT_TRUE(snappy::Uncompress(seen.body.data(), seen.body.size(), &message));
  EXPECT_TRUE(request.ParseFromString(message));
  return request;
}

TEST_F(WriteV2Test, StoresThatTake2GetIt) {
  Store()->set_write_protocol(v1::Upstream::WRITE_PROTOCOL_2);
  store_.SetMood("red", {.written = WrittenHeaders(3, 1, 1)});
  store_.SetMood("blue", {.written = WrittenHeaders(1, 0, 0)});
  V2Builder builder = Mixed();
  builder.request.mutable_timeseries(0)
      ->mutable_samples(0)
      ->set_start_timestamp(77);
  const auto response = WriteV2("sender", builder);
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(Written(response), "4 1 1");

  const auto seen = store_.TakeSeen();
  ASSERT_EQ(seen.size(), 2u);
  for (const FakeStore::Seen& each : seen) {
    EXPECT_EQ(each.headers.Get("Content-Type"), kV2Type);
    EXPECT_EQ(each.headers.Get("X-Prometheus-Remote-Write-Version"), "2.0.0");
    EXPECT_EQ(each.headers.Get("Content-Encoding"), "snappy");
    const v2::Request request = ParseV2(each);
    if (each.tenant == "red") {
      EXPECT_EQ(request.timeseries(0).samples(0).start_timestamp(), 77);
    }
    // No symbol of another tenant's.
    for (const std::string& symbol : request.symbols()) {
      EXPECT_NE(symbol, each.tenant == "red" ? "blue" : "red");
      EXPECT_NE(symbol, each.tenant == "red" ? "b" : "a");
    }
  }
}

TEST_F(WriteV2Test, PassesOnWhatTheStoreSaysItWrote) {
  Store()->set_write_protocol(v1::Upstream::WRITE_PROTOCOL_2);
  store_.SetMood("red", {.status = 400, .written = WrittenHeaders(2, 0, 0)});
  store_.SetMood("blue", {.written = WrittenHeaders(99, 99, 99)});
  const auto response = WriteV2("sender", Mixed());
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Written(response), "3 0 0");
}

TEST_F(WriteV2Test, FallsBackTo1OnA415AndRemembersIt) {
  Store()->set_write_protocol(v1::Upstream::WRITE_PROTOCOL_2);
  store_.SetMood("red", {.status_of_v2 = 415});
  const auto versions = [this] {
    std::vector<std::string> all;
    for (const FakeStore::Seen& seen : store_.TakeSeen()) {
      all.emplace_back(*seen.headers.Get("X-Prometheus-Remote-Write-Version"));
    }
    return all;
  };
  const auto response = WriteV2("only-red", Mixed());
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(Written(response), "4 1 1");
  EXPECT_THAT(versions(), ElementsAre("2.0.0", "0.1.0"));
  EXPECT_EQ(WriteV2("only-red", Mixed()).status, 204);
  EXPECT_THAT(versions(), ElementsAre("0.1.0"));
  EXPECT_EQ(Metric("ingest_gateway_protocol_fallbacks_total{reason="
                   "\"unsupported\"}"),
            1);
  clock_.Advance(absl::Minutes(6));
  store_.SetMood("red", {.written = WrittenHeaders(4, 1, 1)});
  EXPECT_EQ(WriteV2("only-red", Mixed()).status, 204);
  EXPECT_THAT(versions(), ElementsAre("2.0.0"));
}

TEST_F(WriteV2Test, A2xxThatDoesNotSayWhatWasWrittenIsNoSuccess) {
  Store()->set_write_protocol(v1::Upstream::WRITE_PROTOCOL_2);
  const auto response = Write("only-red", BodyOf({"red"}));
  EXPECT_EQ(response.status, 204);
  const auto seen = store_.TakeSeen();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].headers.Get("X-Prometheus-Remote-Write-Version"), "0.1.0");
  EXPECT_EQ(seen[1].body, BodyOf({"red"}));
  EXPECT_EQ(Metric("ingest_gateway_protocol_fallbacks_total{reason="
                   "\"unconfirmed\"}"),
            1);
}

TEST_F(WriteV2Test, Other5xxAndRefusalsAreNoReasonToFallBack) {
  Store()->set_write_protocol(v1::Upstream::WRITE_PROTOCOL_2);
  for (const int status : {400, 429, 500, 503}) {
    store_.SetMood("red", {.status = status});
    Write("only-red", BodyOf({"red"}));
    EXPECT_EQ(store_.TakeSeen().size(), 1u) << status;
  }
}

TEST_F(WriteV2Test, WhatHasNoPlaceIn2GoesAs1) {
  Store()->set_write_protocol(v1::Upstream::WRITE_PROTOCOL_2);
  std::string message;
  remote_write::AppendMetadata(1, "up", "Help.", &message);
  EXPECT_EQ(Write("only-red", Compressed(message)).status, 204);
  const auto seen = store_.TakeSeen();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].headers.Get("X-Prometheus-Remote-Write-Version"), "0.1.0");
  EXPECT_EQ(
      Metric("ingest_gateway_protocol_fallbacks_total{reason=\"no_place\"}"),
      1);
}

TEST_F(WriteV2Test, ExemplarsThatComeAloneAreJoinedAndCounted) {
  V2Builder builder;
  builder.AddSample(Of("a", "red"));
  builder.Add(Of("a", "red"))->add_exemplars()->set_value(3);
  builder.Add(Of("z", "red"))->add_exemplars()->set_value(4);
  const auto response = WriteV2("sender", builder);
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Written(response), "1 0 1");
  EXPECT_EQ(Metric("ingest_gateway_exemplars_joined_total"), 1);
}

TEST_F(WriteV2Test, AnUntouchedRequestIsNotForwardedAsItCame) {
  V2Builder builder;
  builder.AddSample({{"__name__", "up"}});
  EXPECT_EQ(WriteV2("only-red", builder).status, 204);
  EXPECT_THAT(Arrived(), ElementsAre(Pair("red", ElementsAre("__name__=up"))));
}

}  // namespace
}  // namespace insula::ingest_gateway
