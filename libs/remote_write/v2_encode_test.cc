#include "libs/remote_write/v2_encode.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "io/prometheus/write/v2/types.pb.h"
#include "libs/remote_write/v2_decode.h"
#include "libs/remote_write/wire.h"
#include "libs/status/status_matchers.h"
#include "prometheus/remote.pb.h"

namespace insula::remote_write {
namespace {

namespace v2 = io::prometheus::write::v2;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr absl::StatusCode kNoPlace = absl::StatusCode::kFailedPrecondition;

prometheus::TimeSeries* Add(
    const std::vector<std::pair<std::string, std::string>>& labels,
    prometheus::WriteRequest* request) {
  prometheus::TimeSeries* const series = request->add_timeseries();
  for (const auto& [name, value] : labels) {
    series->add_labels()->set_name(name);
    series->mutable_labels(series->labels_size() - 1)->set_value(value);
  }
  return series;
}

v2::Request Encoded(const std::string& body) {
  v2::Request request;
  const auto wire = EncodeV2(body);
  EXPECT_THAT(wire, IsOk());
  EXPECT_TRUE(request.ParseFromString(wire.value_or("?")));
  return request;
}

std::string Text(const v2::Request& request,
                 const google::protobuf::RepeatedField<uint32_t>& refs) {
  std::string text;
  for (int i = 0; i < refs.size(); i += 2) {
    const int last = request.symbols_size() - 1;
    absl::StrAppend(
        &text, request.symbols(std::min<int>(static_cast<int>(refs[i]), last)),
        "=",
        request.symbols(std::min<int>(static_cast<int>(refs[i + 1]), last)),
        ",");
  }
  return text;
}

TEST(V2EncodeTest, WritesEachSymbolOnceAndTheEmptyOneFirst) {
  prometheus::WriteRequest request;
  Add({{"__name__", "up"}, {"job", "a"}}, &request)->add_samples();
  Add({{"__name__", "down"}, {"job", "a"}}, &request)->add_samples();
  const v2::Request encoded = Encoded(request.SerializeAsString());
  EXPECT_EQ(encoded.symbols(0), "");
  EXPECT_THAT(std::vector<std::string>(encoded.symbols().begin(),
                                       encoded.symbols().end()),
              UnorderedElementsAre("", "__name__", "up", "job", "a", "down"));
  ASSERT_EQ(encoded.timeseries_size(), 2);
  EXPECT_EQ(Text(encoded, encoded.timeseries(0).labels_refs()),
            "__name__=up,job=a,");
  EXPECT_EQ(Text(encoded, encoded.timeseries(1).labels_refs()),
            "__name__=down,job=a,");
}

TEST(V2EncodeTest, WritesSamplesExemplarsAndHistograms) {
  prometheus::WriteRequest request;
  auto* const series = Add({{"__name__", "up"}}, &request);
  const double stale = std::bit_cast<double>(uint64_t{0x7ff0000000000002});
  series->add_samples()->set_value(stale);
  series->mutable_samples(0)->set_timestamp(5);
  series->add_histograms()->set_sum(1.5);
  auto* const exemplar = series->add_exemplars();
  exemplar->add_labels()->set_name("trace_id");
  exemplar->mutable_labels(0)->set_value("x");
  exemplar->set_value(-0.0);
  exemplar->set_timestamp(6);

  const v2::Request encoded = Encoded(request.SerializeAsString());
  // Never both in one series.
  ASSERT_EQ(encoded.timeseries_size(), 2);
  const auto& samples = encoded.timeseries(0);
  const auto& histograms = encoded.timeseries(1);
  ASSERT_EQ(samples.samples_size(), 1);
  EXPECT_EQ(samples.histograms_size(), 0);
  EXPECT_EQ(std::bit_cast<uint64_t>(samples.samples(0).value()),
            uint64_t{0x7ff0000000000002});
  EXPECT_EQ(samples.samples(0).timestamp(), 5);
  ASSERT_EQ(samples.exemplars_size(), 1);
  EXPECT_EQ(Text(encoded, samples.exemplars(0).labels_refs()), "trace_id=x,");
  EXPECT_EQ(std::bit_cast<uint64_t>(samples.exemplars(0).value()),
            std::bit_cast<uint64_t>(-0.0));
  EXPECT_EQ(samples.exemplars(0).timestamp(), 6);
  EXPECT_EQ(histograms.samples_size(), 0);
  ASSERT_EQ(histograms.histograms_size(), 1);
  EXPECT_EQ(histograms.histograms(0).sum(), 1.5);
  EXPECT_EQ(histograms.exemplars_size(), 0);
  EXPECT_EQ(Text(encoded, histograms.labels_refs()), "__name__=up,");
}

TEST(V2EncodeTest, MetadataGoesToEachSeriesOfItsFamily) {
  prometheus::WriteRequest request;
  for (const char* name : {"latency_bucket", "latency_sum", "other"}) {
    Add({{"__name__", name}}, &request)->add_samples();
  }
  auto* const metadata = request.add_metadata();
  metadata->set_type(3);
  metadata->set_metric_family_name("latency");
  metadata->set_help("Latency.");
  metadata->set_unit("seconds");
  const v2::Request encoded = Encoded(request.SerializeAsString());
  ASSERT_EQ(encoded.timeseries_size(), 3);
  for (int i = 0; i < 2; ++i) {
    const auto& found = encoded.timeseries(i).metadata();
    EXPECT_EQ(found.type(), 3);
    EXPECT_EQ(encoded.symbols(static_cast<int>(found.help_ref())), "Latency.");
    EXPECT_EQ(encoded.symbols(static_cast<int>(found.unit_ref())), "seconds");
  }
  EXPECT_FALSE(encoded.timeseries(2).has_metadata());
}

// 2.0 to 1.0 and back.
TEST(V2EncodeTest, GivesBackWhatWasDecoded) {
  v2::Request request;
  for (const char* symbol :
       {"", "__name__", "c_total", "h", "a", "b", "Help.", "le", "h_bucket"}) {
    request.add_symbols(symbol);
  }
  const auto add = [&](std::vector<uint32_t> refs) {
    v2::TimeSeries* const series = request.add_timeseries();
    for (const uint32_t ref : refs) series->add_labels_refs(ref);
    return series;
  };
  v2::TimeSeries* const counter = add({1, 2, 4, 5});
  counter->add_samples()->set_value(3);
  counter->mutable_samples(0)->set_timestamp(20);
  counter->mutable_samples(0)->set_start_timestamp(10);
  counter->add_exemplars()->add_labels_refs(4);
  counter->mutable_exemplars(0)->add_labels_refs(5);
  counter->mutable_metadata()->set_type(1);
  counter->mutable_metadata()->set_help_ref(6);
  v2::TimeSeries* const native = add({1, 3});
  native->add_histograms()->set_timestamp(20);
  native->mutable_histograms(0)->set_start_timestamp(11);
  add({1, 8, 7, 5})->add_samples()->set_value(4);
  request.mutable_timeseries(2)->mutable_metadata()->set_type(3);
  request.mutable_timeseries(2)->mutable_metadata()->set_help_ref(6);

  const std::string wire = request.SerializeAsString();
  V2Decoder decoder{Bounds()};
  const auto decoded = decoder.Decode(wire);
  ASSERT_THAT(decoded, IsOk());
  const v2::Request again = Encoded(std::string(decoded->body));
  ASSERT_EQ(again.timeseries_size(), 3);
  EXPECT_EQ(again.timeseries(0).samples(0).SerializeAsString(),
            counter->samples(0).SerializeAsString());
  EXPECT_EQ(again.timeseries(1).histograms(0).SerializeAsString(),
            native->histograms(0).SerializeAsString());
  EXPECT_EQ(again.timeseries(0).exemplars_size(), 1);
  EXPECT_EQ(again.timeseries(0).metadata().type(), 1);
  EXPECT_EQ(again.timeseries(2).metadata().type(), 3);
  EXPECT_EQ(again.symbols(
                static_cast<int>(again.timeseries(0).metadata().help_ref())),
            "Help.");
  EXPECT_EQ(Text(again, again.timeseries(0).labels_refs()),
            "__name__=c_total,a=b,");
}

TEST(V2EncodeTest, WhatHasNoPlaceIn2Stays1) {
  prometheus::WriteRequest only_metadata;
  only_metadata.add_metadata()->set_metric_family_name("up");
  EXPECT_THAT(EncodeV2(only_metadata.SerializeAsString()),
              StatusIs(kNoPlace, HasSubstr("metadata")));

  prometheus::WriteRequest no_samples;
  Add({{"__name__", "up"}}, &no_samples)->add_exemplars();
  EXPECT_THAT(EncodeV2(no_samples.SerializeAsString()),
              StatusIs(kNoPlace, HasSubstr("without samples")));

  prometheus::WriteRequest plain;
  Add({{"__name__", "up"}}, &plain)->add_samples();
  // Field 9 of a series, and of a label.
  std::string series = plain.timeseries(0).SerializeAsString();
  AppendBytesField(9, "?", &series);
  std::string request;
  AppendBytesField(1, series, &request);
  EXPECT_THAT(EncodeV2(request), StatusIs(kNoPlace, HasSubstr("a series")));
  std::string label;
  AppendBytesField(9, "?", &label);
  series.clear();
  AppendBytesField(1, label, &series);
  request.clear();
  AppendBytesField(1, series, &request);
  EXPECT_THAT(EncodeV2(request), StatusIs(kNoPlace, HasSubstr("a label")));
}

TEST(V2EncodeTest, WhatIsCutOffIsMalformed) {
  prometheus::WriteRequest request;
  auto* const series = Add({{"__name__", "up"}, {"a", "b"}}, &request);
  series->add_samples()->set_value(1);
  const std::string wire = request.SerializeAsString();
  for (size_t size = 1; size < wire.size(); ++size) {
    EXPECT_THAT(EncodeV2(wire.substr(0, size)),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << size;
  }
}

// Parts that are copied are looked at, too.
TEST(V2EncodeTest, WhatIsMalformedWithinASeriesIsMalformed) {
  prometheus::TimeSeries series;
  auto* const label = series.add_labels();
  label->set_name("__name__");
  label->set_value("up");
  const std::string bad("\x09\0\0\0\0\0\0\xf0\x3f\x01\x18", 11);
  for (const uint32_t field : {2u, 3u, 4u}) {  // A part of each kind.
    std::string message = series.SerializeAsString();
    AppendBytesField(2, "", &message);
    AppendBytesField(field, bad, &message);
    std::string request;
    AppendBytesField(1, message, &request);
    EXPECT_THAT(EncodeV2(request), StatusIs(absl::StatusCode::kInvalidArgument))
        << field;
  }
}

}  // namespace
}  // namespace insula::remote_write
