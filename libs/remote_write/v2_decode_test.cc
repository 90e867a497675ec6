#include "libs/remote_write/v2_decode.h"

#include <gmock/gmock.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "io/prometheus/write/v2/types.pb.h"
#include "libs/remote_write/wire.h"
#include "libs/status/status_matchers.h"
#include "prometheus/remote.pb.h"

namespace insula::remote_write {
namespace {

namespace v2 = io::prometheus::write::v2;
using namespace std::string_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

using Labels = std::vector<std::pair<std::string, std::string>>;

constexpr absl::StatusCode kMalformed = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kTooLarge = absl::StatusCode::kResourceExhausted;

// Makes 2.0 requests with their symbols.
class Builder {
 public:
  Builder() { request.add_symbols(""); }

  uint32_t Symbol(const std::string& text) {
    const auto [it, added] =
        refs_.try_emplace(text, static_cast<uint32_t>(request.symbols_size()));
    if (added) request.add_symbols(text);
    return it->second;
  }

  template <typename Message>
  void AddLabels(const Labels& labels, Message* message) {
    for (const auto& [name, value] : labels) {
      message->add_labels_refs(Symbol(name));
      message->add_labels_refs(Symbol(value));
    }
  }

  v2::TimeSeries* Add(const Labels& labels) {
    v2::TimeSeries* const series = request.add_timeseries();
    AddLabels(labels, series);
    return series;
  }

  v2::TimeSeries* AddSample(const Labels& labels, double value = 1,
                            int64_t timestamp = 1000) {
    v2::TimeSeries* const series = Add(labels);
    series->add_samples()->set_value(value);
    series->mutable_samples(0)->set_timestamp(timestamp);
    return series;
  }

  void AddExemplar(const Labels& labels, double value, v2::TimeSeries* series) {
    v2::Exemplar* const exemplar = series->add_exemplars();
    AddLabels(labels, exemplar);
    exemplar->set_value(value);
    exemplar->set_timestamp(2000);
  }

  v2::Request request;

 private:
  std::map<std::string, uint32_t> refs_ = {{"", 0}};
};

class V2DecodeTest : public testing::Test {
 protected:
  absl::StatusOr<V2Request> Decode(const std::string& wire) {
    wire_ = wire;
    return decoder_.Decode(wire_);
  }
  absl::StatusOr<V2Request> Decode(const Builder& builder) {
    return Decode(builder.request.SerializeAsString());
  }

  template <typename Request>
  V2Request Decoded(const Request& request) {
    auto decoded = Decode(request);
    EXPECT_THAT(decoded, IsOk());
    return decoded.ok() ? *std::move(decoded) : V2Request();
  }

  static prometheus::WriteRequest Parse(const V2Request& request) {
    prometheus::WriteRequest parsed;
    EXPECT_TRUE(parsed.ParseFromArray(request.body.data(),
                                      static_cast<int>(request.body.size())));
    return parsed;
  }

  std::string wire_;
  V2Decoder decoder_{Bounds()};
};

auto IsRefused(Reason reason, const Counts& counts) {
  return AllOf(Field(&Refused::destination, nullptr),
               Field(&Refused::reason, reason),
               Field(&Refused::counts, counts));
}

Labels Up() { return {{"__name__", "up"}, {"job", "a"}}; }

std::string Text(const prometheus::TimeSeries& series) {
  std::string text;
  for (const auto& label : series.labels()) {
    absl::StrAppend(&text, label.name(), "=", label.value(), ",");
  }
  return text;
}

TEST_F(V2DecodeTest, WritesLabelsSamplesExemplarsAndHistograms) {
  Builder builder;
  v2::TimeSeries* const series = builder.AddSample(Up(), 2.5, 1234);
  series->add_samples()->set_timestamp(1235);
  builder.AddExemplar({{"trace_id", "x"}}, 7, series);
  v2::TimeSeries* const histogram = builder.Add({{"__name__", "h"}});
  histogram->add_histograms()->set_timestamp(99);

  const V2Request decoded = Decoded(builder);
  EXPECT_THAT(decoded.refused, IsEmpty());
  const prometheus::WriteRequest request = Parse(decoded);
  ASSERT_EQ(request.timeseries_size(), 2);
  const auto& first = request.timeseries(0);
  EXPECT_EQ(Text(first), "__name__=up,job=a,");
  ASSERT_EQ(first.samples_size(), 2);
  EXPECT_EQ(first.samples(0).value(), 2.5);
  EXPECT_EQ(first.samples(0).timestamp(), 1234);
  EXPECT_EQ(first.samples(1).timestamp(), 1235);
  ASSERT_EQ(first.exemplars_size(), 1);
  EXPECT_EQ(first.exemplars(0).labels(0).name(), "trace_id");
  EXPECT_EQ(first.exemplars(0).labels(0).value(), "x");
  EXPECT_EQ(first.exemplars(0).value(), 7);
  EXPECT_EQ(first.exemplars(0).timestamp(), 2000);
  ASSERT_EQ(request.timeseries(1).histograms_size(), 1);
  EXPECT_EQ(request.timeseries(1).histograms(0).timestamp(), 99);
}

TEST_F(V2DecodeTest, KeepsTheBitsOfValues) {
  const std::vector<uint64_t> patterns = {
      0x7ff0000000000002,  // The stale marker.
      0x7ff8000000000001, 0xfff8dead0000beef,
      0x8000000000000000,  // -0.0
      0x7ff0000000000000, 0x0000000000000001};
  Builder builder;
  v2::TimeSeries* const series = builder.Add(Up());
  for (const uint64_t bits : patterns) {
    series->add_samples()->set_value(std::bit_cast<double>(bits));
  }
  v2::TimeSeries* const stale = builder.Add({{"__name__", "h"}});
  stale->add_histograms()->set_sum(std::bit_cast<double>(patterns[0]));

  const V2Request decoded = Decoded(builder);
  const prometheus::WriteRequest request = Parse(decoded);
  ASSERT_EQ(request.timeseries_size(), 2);
  std::vector<uint64_t> arrived;
  for (const auto& sample : request.timeseries(0).samples()) {
    arrived.push_back(std::bit_cast<uint64_t>(sample.value()));
  }
  EXPECT_EQ(arrived, patterns);
  EXPECT_EQ(std::bit_cast<uint64_t>(request.timeseries(1).histograms(0).sum()),
            patterns[0]);
}

TEST_F(V2DecodeTest, StartTimestampsTravelAlong) {
  Builder builder;
  builder.AddSample(Up())->mutable_samples(0)->set_start_timestamp(777);
  builder.Add({{"__name__", "h"}})->add_histograms()->set_start_timestamp(-888);

  const V2Request decoded = Decoded(builder);
  // A reader of 1.0 skips them; one of 2.0 finds them in the messages.
  const prometheus::WriteRequest request = Parse(decoded);
  v2::Sample sample;
  ASSERT_TRUE(sample.ParseFromString(
      request.timeseries(0).samples(0).SerializeAsString()));
  EXPECT_EQ(sample.start_timestamp(), 777);
  v2::Histogram histogram;
  ASSERT_TRUE(histogram.ParseFromString(
      request.timeseries(1).histograms(0).SerializeAsString()));
  EXPECT_EQ(histogram.start_timestamp(), -888);
}

TEST_F(V2DecodeTest, SymbolsMayComeLast) {
  Builder builder;
  builder.AddSample(Up());
  v2::Request symbols;
  symbols.mutable_symbols()->Swap(builder.request.mutable_symbols());
  const V2Request decoded = Decoded(builder.request.SerializeAsString() +
                                    symbols.SerializeAsString());
  EXPECT_EQ(Text(Parse(decoded).timeseries(0)), "__name__=up,job=a,");
}

TEST_F(V2DecodeTest, RefsMayBeUnpacked) {
  std::string series;
  for (const char ref : {1, 2}) series += "\x08"s + ref;
  AppendBytesField(2, "\x09\0\0\0\0\0\0\xf0\x3f"s, &series);
  std::string wire;
  for (const char* symbol : {"", "__name__", "up"}) {
    AppendBytesField(4, symbol, &wire);
  }
  AppendBytesField(5, series, &wire);
  const V2Request decoded = Decoded(wire);
  EXPECT_EQ(Text(Parse(decoded).timeseries(0)), "__name__=up,");
}

TEST_F(V2DecodeTest, ABadSeriesIsRefusedAndTheRestKept) {
  Builder builder;
  builder.AddSample({{"__name__", "first"}});
  builder.AddSample({{"__name__", "odd"}})->add_labels_refs(0);
  builder.AddSample({{"__name__", "far"}})->add_labels_refs(4000);
  builder.request.mutable_timeseries(2)->add_labels_refs(0);
  builder.AddSample({{"__name__", "mixed"}})->add_histograms();
  builder.Add({{"__name__", "nothing"}});
  builder.Add({{"__name__", "bad"}})->add_histograms()->set_count_int(5);
  builder.Add({{"__name__", "fine"}})->add_histograms()->set_schema(40);
  builder.AddSample({{"__name__", "last"}});

  const V2Request decoded = Decoded(builder);
  const prometheus::WriteRequest request = Parse(decoded);
  ASSERT_EQ(request.timeseries_size(), 2);
  EXPECT_EQ(Text(request.timeseries(0)), "__name__=first,");
  EXPECT_EQ(Text(request.timeseries(1)), "__name__=last,");
  EXPECT_THAT(
      decoded.refused,
      ElementsAre(
          IsRefused(Reason::kLabelRefsInvalid, {.series = 2, .samples = 2}),
          IsRefused(Reason::kMixedSamples,
                    {.series = 1, .samples = 2, .histograms = 1}),
          IsRefused(Reason::kNoSamples, {.series = 1}),
          IsRefused(Reason::kHistogramInvalid,
                    {.series = 1, .samples = 1, .histograms = 1}),
          IsRefused(Reason::kHistogramSchemaInvalid,
                    {.series = 1, .samples = 1, .histograms = 1})));
  EXPECT_THAT(decoded.refused[0].examples, ElementsAre("odd", "far"));
}

TEST_F(V2DecodeTest, ARefThatIs32BitsOnlyOnceCutIsRefused) {
  std::string series;
  std::string refs;
  AppendVarint((uint64_t{1} << 32) + 1, &refs);
  AppendVarint(2, &refs);
  AppendBytesField(1, refs, &series);
  AppendBytesField(2, "", &series);
  std::string wire;
  for (const char* symbol : {"", "__name__", "up"}) {
    AppendBytesField(4, symbol, &wire);
  }
  AppendBytesField(5, series, &wire);
  const V2Request decoded = Decoded(wire);
  EXPECT_THAT(decoded.refused,
              ElementsAre(IsRefused(Reason::kLabelRefsInvalid, {1, 1})));
}

TEST_F(V2DecodeTest, ABadExemplarOrMetadataCostsOnlyItself) {
  Builder builder;
  v2::TimeSeries* const series = builder.AddSample(Up());
  builder.AddExemplar({{"a", "b"}}, 1, series);
  builder.AddExemplar({{"c", "d"}}, 2, series);
  series->mutable_exemplars(0)->add_labels_refs(0);
  series->mutable_metadata()->set_help_ref(999);

  const V2Request decoded = Decoded(builder);
  const prometheus::WriteRequest request = Parse(decoded);
  ASSERT_EQ(request.timeseries_size(), 1);
  ASSERT_EQ(request.timeseries(0).exemplars_size(), 1);
  EXPECT_EQ(request.timeseries(0).exemplars(0).value(), 2);
  EXPECT_EQ(request.metadata_size(), 0);
  EXPECT_THAT(
      decoded.refused,
      ElementsAre(IsRefused(Reason::kExemplarInvalid, {.exemplars = 1}),
                  IsRefused(Reason::kMetadataInvalid, {.metadata = 1})));
}

TEST_F(V2DecodeTest, ExemplarsWithoutSamplesGoToTheSeriesOfTheirLabels) {
  Builder builder;
  builder.AddExemplar({{"n", "1"}}, 1, builder.Add(Up()));
  v2::TimeSeries* const other = builder.AddSample({{"__name__", "other"}});
  builder.AddExemplar({{"n", "0"}}, 0, other);
  builder.AddSample(Up());
  builder.AddSample(Up(), 2, 2000);
  builder.AddExemplar({{"n", "2"}}, 2, builder.Add(Up()));

  const V2Request decoded = Decoded(builder);
  EXPECT_THAT(decoded.refused, IsEmpty());
  EXPECT_EQ(decoded.joined_exemplars, 2);
  const prometheus::WriteRequest request = Parse(decoded);
  ASSERT_EQ(request.timeseries_size(), 3);
  EXPECT_EQ(request.timeseries(0).exemplars_size(), 1);
  ASSERT_EQ(request.timeseries(1).exemplars_size(), 2);
  EXPECT_EQ(request.timeseries(1).exemplars(0).value(), 1);
  EXPECT_EQ(request.timeseries(1).exemplars(1).value(), 2);
  EXPECT_EQ(request.timeseries(1).samples_size(), 1);
  EXPECT_EQ(request.timeseries(2).exemplars_size(), 0);
}

TEST_F(V2DecodeTest, TheSameLabelsByOtherSymbolsAreTheSame) {
  Builder builder;
  builder.AddSample({{"__name__", "up"}});
  v2::TimeSeries* const loose = builder.request.add_timeseries();
  builder.request.add_symbols("__name__");
  builder.request.add_symbols("up");
  loose->add_labels_refs(3);
  loose->add_labels_refs(4);
  builder.AddExemplar({}, 5, loose);
  const V2Request decoded = Decoded(builder);
  EXPECT_EQ(decoded.joined_exemplars, 1);
  EXPECT_EQ(Parse(decoded).timeseries(0).exemplars_size(), 1);
}

TEST_F(V2DecodeTest, ExemplarsWithoutASeriesAreRefused) {
  Builder builder;
  builder.AddExemplar({{"n", "1"}}, 1, builder.Add({{"__name__", "gone"}}));
  builder.AddExemplar({{"n", "2"}}, 1, builder.Add({{"__name__", "gone"}}));
  builder.AddSample(Up());
  const V2Request decoded = Decoded(builder);
  EXPECT_EQ(Parse(decoded).timeseries_size(), 1);
  ASSERT_THAT(decoded.refused,
              ElementsAre(IsRefused(Reason::kNoSamples,
                                    {.series = 2, .exemplars = 2})));
  EXPECT_THAT(decoded.refused[0].examples, ElementsAre("gone"));
}

TEST_F(V2DecodeTest, MetadataBecomesOneEntryAFamily) {
  Builder builder;
  const auto add = [&](const char* metric, int type, const char* help,
                       const char* unit) {
    v2::Metadata* const metadata =
        builder.AddSample({{"__name__", metric}})->mutable_metadata();
    metadata->set_type(type);
    metadata->set_help_ref(builder.Symbol(help));
    metadata->set_unit_ref(builder.Symbol(unit));
  };
  add("requests_total", 1, "Requests.", "");
  add("requests_total", 1, "Others.", "");
  add("latency_bucket", 3, "Latency.", "seconds");
  add("latency_sum", 3, "Latency.", "seconds");
  add("latency_count", 3, "Latency.", "seconds");
  add("size_sum", 5, "", "");
  add("item_count", 2, "A gauge.", "");
  add("silent", 0, "", "");
  add("_count", 3, "No name is left.", "");

  const V2Request decoded = Decoded(builder);
  std::vector<std::string> all;
  const prometheus::WriteRequest request = Parse(decoded);
  for (const auto& metadata : request.metadata()) {
    all.push_back(absl::StrCat(metadata.type(), " ",
                               metadata.metric_family_name(), " ",
                               metadata.help(), " ", metadata.unit()));
  }
  EXPECT_THAT(
      all, ElementsAre("1 requests_total Requests. ",
                       "3 latency Latency. seconds", "5 size  ",
                       "2 item_count A gauge. ", "3 _count No name is left. "));
}

TEST_F(V2DecodeTest, UnknownFieldsAreDroppedAndCounted) {
  Builder builder;
  builder.AddSample(Up());
  std::string wire = builder.request.SerializeAsString();
  AppendBytesField(9, "?", &wire);
  std::string series = builder.request.timeseries(0).SerializeAsString();
  series += "\x30\x05";  // created_timestamp of drafts.
  AppendBytesField(5, series, &wire);
  const V2Request decoded = Decoded(wire);
  EXPECT_EQ(decoded.dropped_fields, 2);
  EXPECT_EQ(Parse(decoded).timeseries_size(), 2);
}

TEST_F(V2DecodeTest, AnEmptyRequestIsOne) {
  const V2Request decoded = Decoded(""s);
  EXPECT_EQ(decoded.body, "");
  EXPECT_THAT(decoded.refused, IsEmpty());
}

TEST_F(V2DecodeTest, TheFirstSymbolIsEmpty) {
  Builder builder;
  builder.AddSample(Up());
  builder.request.set_symbols(0, "x");
  EXPECT_THAT(Decode(builder), StatusIs(kMalformed, HasSubstr("first symbol")));
}

TEST_F(V2DecodeTest, WithoutSymbolsRefsAreRefused) {
  v2::Request request;
  request.add_timeseries()->add_labels_refs(0);
  request.mutable_timeseries(0)->add_labels_refs(0);
  request.mutable_timeseries(0)->add_samples();
  const V2Request decoded = Decoded(request.SerializeAsString());
  EXPECT_THAT(decoded.refused,
              ElementsAre(IsRefused(Reason::kLabelRefsInvalid, {1, 1})));
}

TEST_F(V2DecodeTest, ARequestOf1SaysSo) {
  prometheus::WriteRequest request;
  request.add_timeseries()->add_samples();
  EXPECT_THAT(Decode(request.SerializeAsString()),
              StatusIs(kMalformed, HasSubstr("prometheus.WriteRequest")));
}

TEST_F(V2DecodeTest, WhatIsCutOffAnywhereIsMalformedOrShorter) {
  Builder builder;
  v2::TimeSeries* const series = builder.AddSample(Up(), 1e9, 1700000000000);
  builder.AddExemplar({{"a", "b"}}, 1, series);
  series->mutable_metadata()->set_type(2);
  const std::string wire = builder.request.SerializeAsString();
  for (size_t size = 0; size < wire.size(); ++size) {
    // A buffer of its own, so that ASan guards its end.
    const std::vector<char> part(wire.begin(), wire.begin() + size);
    const auto decoded =
        decoder_.Decode(absl::string_view(part.data(), part.size()));
    if (decoded.ok()) {
      EXPECT_EQ(Parse(*decoded).timeseries_size(), 0) << size;
    } else {
      EXPECT_THAT(decoded, StatusIs(kMalformed, HasSubstr("2.0 request")));
    }
  }
}

TEST_F(V2DecodeTest, BrokenPartsAreMalformed) {
  const struct {
    uint32_t number;
    const char* what;
    std::string content;
  } cases[] = {
      {1, "a ref that does not end", "\x80"},
      {2, "a value of 4 bytes", "\x0d\0\0\0\0"s},
      {2, "a start timestamp that is text", "\x1a\x01x"},
      {3, "spans that are no messages", "\x42\x01\xff"},
      {3, "a sum that is a varint", "\x18\x01"},
      {4, "an exemplar's value that is a varint", "\x10\x01"},
      {5, "a help_ref that is text", "\x1a\x01x"},
      {5, "a group", "\x0b"},
  };
  for (const auto& c : cases) {
    std::string series;
    AppendBytesField(c.number, c.content, &series);
    std::string wire;
    AppendBytesField(4, "", &wire);
    AppendBytesField(5, series, &wire);
    EXPECT_THAT(Decode(wire), StatusIs(kMalformed, HasSubstr("broken series")))
        << c.what;
  }
}

TEST(V2DecodeBoundsTest, WhatIsTooLargeIsRefused) {
  Bounds bounds;
  bounds.max_series = 3;
  bounds.max_labels = 8;
  bounds.max_samples = 4;
  bounds.max_output_bytes = 2000;
  V2Decoder decoder(bounds);
  const auto status = [&](const Builder& builder) {
    return decoder.Decode(builder.request.SerializeAsString()).status();
  };
  Builder series;
  for (int i = 0; i < 3; ++i) series.AddSample(Up());
  EXPECT_THAT(status(series), IsOk());
  series.AddSample(Up());
  EXPECT_THAT(status(series), StatusIs(kTooLarge, HasSubstr("3 series")));

  Builder labels;
  labels.AddSample(
      {{"a", "b"}, {"a", "b"}, {"a", "b"}, {"a", "b"}, {"a", "b"}});
  EXPECT_THAT(status(labels), IsOk());
  labels.AddSample({{"a", "b"}, {"a", "b"}, {"a", "b"}, {"a", "b"}});
  EXPECT_THAT(status(labels), StatusIs(kTooLarge, HasSubstr("8 labels")));

  Builder samples;
  for (int i = 0; i < 5; ++i) {
    if (i == 0) samples.Add(Up());
    samples.request.mutable_timeseries(0)->add_samples();
  }
  EXPECT_THAT(status(samples), StatusIs(kTooLarge, HasSubstr("4 samples")));

  Builder exemplars;
  for (int i = 0; i < 5; ++i) {
    if (i == 0) exemplars.AddSample(Up());
    exemplars.request.mutable_timeseries(0)->add_exemplars();
  }
  EXPECT_THAT(status(exemplars), StatusIs(kTooLarge, HasSubstr("exemplars")));

  // A symbol is sent once and written out often.
  Builder long_symbol;
  long_symbol.AddSample({{"a", std::string(600, 'x')}});
  EXPECT_THAT(status(long_symbol), IsOk());
  long_symbol.AddSample({{"a", std::string(600, 'x')}});
  long_symbol.AddSample(
      {{"a", std::string(600, 'x')}, {"b", std::string(600, 'x')}});
  EXPECT_THAT(status(long_symbol),
              StatusIs(kTooLarge, HasSubstr("2000 bytes")));
}

TEST(V2DecodeBoundsTest, SymbolsAreBounded) {
  std::string wire;
  for (size_t i = 0; i <= V2Decoder::kMaxSymbols; ++i) wire += "\x22\0"s;
  V2Decoder decoder{Bounds()};
  EXPECT_THAT(decoder.Decode(wire), StatusIs(kTooLarge, HasSubstr("symbols")));
  wire.resize(wire.size() - 2);
  EXPECT_THAT(decoder.Decode(wire), IsOk());
}

TEST_F(V2DecodeTest, NothingOfARequestIsInTheNext) {
  Builder first;
  first.AddExemplar({{"n", "1"}}, 1, first.Add(Up()));
  first.AddSample({{"__name__", "a"}})->mutable_metadata()->set_type(1);
  ASSERT_THAT(Decode(first), IsOk());
  Builder second;
  second.AddSample(Up());
  second.AddSample({{"__name__", "a"}})->mutable_metadata()->set_type(1);
  decoder_.Shrink();
  const V2Request decoded = Decoded(second);
  EXPECT_THAT(decoded.refused, IsEmpty());
  EXPECT_EQ(decoded.joined_exemplars, 0);
  const prometheus::WriteRequest request = Parse(decoded);
  EXPECT_EQ(request.timeseries_size(), 2);
  EXPECT_EQ(request.timeseries(0).exemplars_size(), 0);
  EXPECT_EQ(request.metadata_size(), 1);
}

}  // namespace
}  // namespace insula::remote_write
