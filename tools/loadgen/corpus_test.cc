#include "tools/loadgen/corpus.h"

#include <gmock/gmock.h>

#include <set>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "libs/remote_write/splitter.h"
#include "libs/remote_write/v2_decode.h"
#include "libs/status/status_matchers.h"
#include "prometheus/remote.pb.h"

namespace insula::loadgen {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::Le;
using testing::SizeIs;

const absl::Time kTime = absl::FromUnixSeconds(1'790'000'000);
constexpr Load kRuns;
constexpr Load kInterleaved = {.series_of_a_target = 1};

std::string Uncompressed(const std::string& body) {
  remote_write::Arena arena;
  const auto raw = remote_write::Decompress(body, 64 << 20, &arena);
  EXPECT_THAT(raw, IsOk());
  return raw.ok() ? std::string(*raw) : "";
}

prometheus::WriteRequest Parsed(const std::string& message) {
  prometheus::WriteRequest request;
  EXPECT_TRUE(request.ParseFromString(message));
  return request;
}

std::string LabelsOf(const prometheus::TimeSeries& series) {
  std::string text;
  for (const auto& label : series.labels()) {
    text += label.name() + '\1' + label.value() + '\2';
  }
  return text;
}

std::string LabelOf(const prometheus::TimeSeries& series,
                    const std::string& name) {
  for (const auto& label : series.labels()) {
    if (label.name() == name) return label.value();
  }
  return "";
}

struct Sizes {
  double raw = 0;
  double compressed = 0;
};

// Of a series, in bytes.
Sizes SizesOf(const Load& load) {
  const Corpus corpus(load);
  RequestMaker maker(&corpus, Protocol::kV1);
  const std::string body = maker.Make(0, kTime);
  return {static_cast<double>(Uncompressed(body).size()) / load.series,
          static_cast<double>(body.size()) / load.series};
}

TEST(CorpusTest, SeriesOfRunsAreAsLargeAsThoseOfOneTarget) {
  const Sizes sizes = SizesOf(kRuns);
  EXPECT_THAT(sizes.raw, AllOf(Ge(372), Le(388)));
  EXPECT_THAT(sizes.compressed, AllOf(Ge(33), Le(39)));
}

TEST(CorpusTest, InterleavedSeriesCompressLess) {
  const Sizes sizes = SizesOf(kInterleaved);
  EXPECT_THAT(sizes.raw, AllOf(Ge(440), Le(460)));
  EXPECT_THAT(sizes.compressed, AllOf(Ge(92), Le(108)));
}

TEST(CorpusTest, AllSeriesOfAPassDiffer) {
  for (const Load& load : {kRuns, kInterleaved}) {
    const Corpus corpus(load);
    absl::flat_hash_set<std::string> seen;
    std::string message;
    for (int n = 0; n < load.requests; ++n) {
      corpus.Write(n, kTime, &message);
      const prometheus::WriteRequest request = Parsed(message);
      for (const auto& series : request.timeseries()) {
        seen.insert(LabelsOf(series));
      }
    }
    EXPECT_THAT(seen, SizeIs(128'000));
  }
}

TEST(CorpusTest, TheNextPassHasTheSameSeriesWithOtherValuesAndTimes) {
  const Corpus corpus({.series = 40, .requests = 3});
  std::string message;
  corpus.Write(1, kTime, &message);
  const prometheus::WriteRequest first = Parsed(message);
  corpus.Write(1 + 3, kTime + absl::Seconds(15), &message);
  const prometheus::WriteRequest second = Parsed(message);

  ASSERT_EQ(second.timeseries_size(), 40);
  for (int i = 0; i < 40; ++i) {
    const auto& before = first.timeseries(i);
    const auto& after = second.timeseries(i);
    EXPECT_EQ(LabelsOf(after), LabelsOf(before));
    EXPECT_NE(after.samples(0).value(), before.samples(0).value());
    EXPECT_EQ(after.samples(0).timestamp() - before.samples(0).timestamp(),
              15'000);
    EXPECT_EQ(before.samples(0).timestamp(),
              absl::ToUnixMillis(kTime) - i / 20);
  }
}

TEST(CorpusTest, TellsWhereSeriesEndAndWhoseTheyAre) {
  const Corpus corpus({.tenants = 3, .series = 50, .requests = 2});
  std::string message;
  corpus.Write(1, kTime, &message);
  size_t begin = 0;
  std::set<int> tenants;
  for (const Corpus::Series& series : corpus.SeriesOf(1)) {
    const prometheus::WriteRequest one =
        Parsed(message.substr(begin, series.end - begin));
    ASSERT_EQ(one.timeseries_size(), 1);
    EXPECT_EQ(LabelOf(one.timeseries(0), "namespace"),
              "team-" + std::to_string(series.tenant));
    tenants.insert(series.tenant);
    begin = series.end;
  }
  EXPECT_EQ(begin, message.size());
  EXPECT_THAT(tenants, SizeIs(3));
}

TEST(CorpusTest, ARequestCanBeOfOneTenant) {
  const Corpus corpus({.tenants = 3,
                       .series = 50,
                       .requests = 4,
                       .one_tenant_a_request = true});
  for (int n = 0; n < 8; ++n) {
    for (const Corpus::Series& series : corpus.SeriesOf(n)) {
      EXPECT_EQ(series.tenant, n % 4 % 3);
    }
  }
}

TEST(CorpusTest, TwoDotZeroHasTheSameSeries) {
  const Corpus corpus({.series = 100, .requests = 2});
  RequestMaker v1(&corpus, Protocol::kV1);
  RequestMaker v2(&corpus, Protocol::kV2);
  const std::string request = Uncompressed(v2.Make(1, kTime));
  remote_write::V2Decoder decoder{remote_write::Bounds()};
  const auto decoded = decoder.Decode(request);

  ASSERT_THAT(decoded, IsOk());
  EXPECT_EQ(Parsed(std::string(decoded->body)).SerializeAsString(),
            Parsed(Uncompressed(v1.Make(1, kTime))).SerializeAsString());
}

}  // namespace
}  // namespace insula::loadgen
