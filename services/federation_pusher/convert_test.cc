#include "services/federation_pusher/convert.h"

#include <gmock/gmock.h>
#include <snappy.h>

#include <bit>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/status/status_matchers.h"
#include "prometheus/remote.pb.h"
#include "services/federation_pusher/run.h"

namespace insula::federation_pusher {
namespace {

namespace asio = boost::asio;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const absl::Time kScrapedAt = absl::FromUnixMillis(1'700'000'000'123);

prometheus::WriteRequest Decode(const Batch& batch) {
  std::string message;
  EXPECT_TRUE(
      snappy::Uncompress(batch.body.data(), batch.body.size(), &message));
  prometheus::WriteRequest request;
  EXPECT_TRUE(request.ParseFromString(message));
  return request;
}

// "a=1,b=2 VALUE@MILLISECONDS".
std::string Show(const prometheus::TimeSeries& series) {
  EXPECT_EQ(series.samples_size(), 1);
  const std::string labels = absl::StrJoin(
      series.labels(), ",", [](std::string* out, const auto& one) {
        absl::StrAppend(out, one.name(), "=", one.value());
      });
  return absl::StrCat(labels, " ", series.samples(0).value(), "@",
                      series.samples(0).timestamp());
}

class ConvertTest : public testing::Test {
 protected:
  ConvertTest() { options_.scraped_at = kScrapedAt; }

  absl::StatusOr<Converted> Run(std::string text) {
    asio::io_context context;
    auto result = asio::co_spawn(context, Convert(std::move(text), &options_),
                                 asio::use_future);
    context.run();
    return result.get();
  }

  std::vector<std::string> Series(const std::string& text) {
    const absl::StatusOr<Converted> converted = Run(text);
    EXPECT_THAT(converted, IsOk());
    std::vector<std::string> all;
    if (!converted.ok()) return all;
    for (const Batch& batch : converted->batches) {
      const prometheus::WriteRequest request = Decode(batch);
      for (const auto& series : request.timeseries()) {
        all.push_back(Show(series));
      }
    }
    return all;
  }

  void ExpectFailure(const std::string& text, Result result,
                     const std::string& what) {
    const absl::StatusOr<Converted> converted = Run(text);
    EXPECT_EQ(ResultOf(converted.status()), result) << converted.status();
    EXPECT_THAT(std::string(converted.status().message()), HasSubstr(what));
  }

  ConvertOptions options_;
};

TEST_F(ConvertTest, TakesTheTimestampOfTheSampleOrThatOfTheScrape) {
  EXPECT_THAT(
      Series("# TYPE up untyped\nup 1 1000\nup2 0.5\n"),
      ElementsAre("__name__=up 1@1000", "__name__=up2 0.5@1700000000123"));
}

TEST_F(ConvertTest, SortsLabelsAndLeavesOutEmptyOnes) {
  EXPECT_THAT(Series("up{z=\"1\",instance=\"\",A=\"2\",b=\"3\"} 1 5\n"),
              ElementsAre("A=2,__name__=up,b=3,z=1 1@5"));
}

TEST_F(ConvertTest, LabelsOfTheJobReplaceThoseOfTheSeries) {
  options_.labels = {{"instance", "here"}, {"zone", "east"}};
  EXPECT_THAT(Series("up{instance=\"a:1\",job=\"j\"} 1 5\nx 2 5\n"),
              ElementsAre("__name__=up,instance=here,job=j,zone=east 1@5",
                          "__name__=x,instance=here,zone=east 2@5"));
}

TEST_F(ConvertTest, ClosesABatchThatHasEnoughSeries) {
  options_.max_series = 2;
  const auto converted = Run("a 1\nb 2\nc 3\nd 4\ne 5\n");
  ASSERT_THAT(converted, IsOk());
  EXPECT_EQ(converted->samples, 5);
  std::vector<int64_t> sizes;
  for (const Batch& batch : converted->batches) {
    sizes.push_back(batch.samples);
    EXPECT_EQ(Decode(batch).timeseries_size(), batch.samples);
  }
  EXPECT_THAT(sizes, ElementsAre(2, 2, 1));
}

TEST_F(ConvertTest, ClosesABatchThatIsLargeEnough) {
  options_.max_body_bytes = 150;
  const std::string value(60, 'v');
  const auto converted =
      Run(absl::StrCat("a{x=\"", value, "\"} 1\nb{x=\"", value, "\"} 1\nc{x=\"",
                       value, "\"} 1\n"));
  ASSERT_THAT(converted, IsOk());
  EXPECT_THAT(converted->batches, SizeIs(2));
}

TEST_F(ConvertTest, NothingIsNoBatch) {
  const auto converted = Run("");
  ASSERT_THAT(converted, IsOk());
  EXPECT_THAT(converted->batches, IsEmpty());
}

TEST_F(ConvertTest, ALargeTextIsReadInSlicesWithoutASeam) {
  std::string text;
  for (int i = 0; i < 40'000; ++i) {
    absl::StrAppend(&text, "metric{number=\"", i, "\"} ", i, " 1000\n");
  }
  ASSERT_GT(text.size(), 1u << 20);
  const std::vector<std::string> series = Series(text);
  ASSERT_THAT(series, SizeIs(40'000));
  for (int i = 0; i < 40'000; ++i) {
    ASSERT_EQ(series[i],
              absl::StrCat("__name__=metric,number=", i, " ", i, "@1000"));
  }
}

TEST_F(ConvertTest, SaysWhyAndConvertsNothing) {
  ExpectFailure("up 1\nup{a=\"1\" 1\n", Result::kSourceMalformed, "line 2");
  ExpectFailure("up 1\nx 2", Result::kSourceTruncated, "line 2");
  ExpectFailure("up 1\n<html>\n", Result::kSourceMalformed, "line 2");
  options_.max_samples = 2;
  ExpectFailure("a 1\nb 1\nc 1\n", Result::kSourceTooLarge,
                "scrape.max_samples");
  options_.max_line_bytes = 16;
  ExpectFailure("a 1\nb{x=\"0123456789\"} 1\n", Result::kSourceTooLarge,
                "line 2");
}

TEST_F(ConvertTest, RefusesASeriesThatComesTwice) {
  ExpectFailure("up{a=\"1\"} 1\nup{a=\"1\",b=\"\"} 2 7\n",
                Result::kSourceDuplicate, R"({__name__="up",a="1"})");
}

TEST_F(ConvertTest, RefusesLabelsOfTheJobThatMakeOneSeriesOfTwo) {
  options_.labels = {{"instance", "here"}};
  ExpectFailure("up{instance=\"a\"} 1\nup{instance=\"b\"} 1\n",
                Result::kSourceDuplicate, "spec.labels");
}

TEST_F(ConvertTest, AForeignTextOfADuplicateIsShownEscaped) {
  ExpectFailure("up{a=\"ü\\n\"} 1\nup{a=\"ü\\n\"} 1\n",
                Result::kSourceDuplicate, R"(a="\xc3\xbc\n")");
}

TEST(ConverterTest, TheBitsOfAValueStay) {
  const ConvertOptions options;
  constexpr uint64_t kBits[] = {0x7ff0000000000002,  // A staleness marker.
                                0x7ff8000000000001, 0x8000000000000000,
                                0x0000000000000001, 0xfff0000000000000};
  Converter converter(&options);
  for (const uint64_t bits : kBits) {
    const std::string name = absl::StrCat("m", bits);
    exposition::Sample sample;
    sample.name = name;
    sample.value = std::bit_cast<double>(bits);
    ASSERT_THAT(converter.OnSample(sample), IsOk());
  }
  const Converted converted = std::move(converter).Finish();
  ASSERT_THAT(converted.batches, SizeIs(1));
  const prometheus::WriteRequest request = Decode(converted.batches[0]);
  ASSERT_EQ(request.timeseries_size(), 5);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(std::bit_cast<uint64_t>(request.timeseries(i).samples(0).value()),
              kBits[i]);
  }
}

}  // namespace
}  // namespace insula::federation_pusher
