#include "libs/range_cache/extent.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "libs/range_cache/json_scanner.h"
#include "libs/status/status_matchers.h"

namespace insula::range_cache {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Optional;

constexpr absl::string_view kHead =
    R"({"status":"success","data":{"resultType":"matrix","result":[)";
constexpr absl::string_view kTail = "]}}";

// 1000 s to 1040 s.
const Steps kSteps{1'000'000, 10'000, 5};

std::string Body(absl::string_view series) {
  return absl::StrCat(kHead, series, kTail);
}

Matrix Read(absl::string_view body, const Steps& steps = kSteps) {
  auto matrix = ReadMatrix(body, steps);
  EXPECT_TRUE(matrix.ok()) << matrix.status() << " " << body;
  return matrix.ok() ? *std::move(matrix) : Matrix();
}

Part All(Extent extent) {
  Part part;
  part.steps = extent.steps;
  part.extent = std::make_shared<const Extent>(std::move(extent));
  return part;
}

std::string Print(const std::vector<Part>& parts) {
  return PrintMatrix(parts, {}, {}, 1 << 20).value_or("too large");
}

constexpr absl::string_view kTwoSeries =
    R"({"metric":{"__name__":"up","job":"a\"\\b"},"values":[[1000,"1"],[1010,"NaN"],[1040,"+Inf"]]},)"
    R"({"metric":{"__name__":"up","job":"\u00e9"},"values":[[1020,"2"]],"histograms":[[1030,{"count":"1","buckets":[[3,"0","1","2"]]}]]})";

TEST(ReadMatrixTest, PrintsWhatItHasRead) {
  for (const absl::string_view series :
       {kTwoSeries, absl::string_view(""),
        absl::string_view(R"({"metric":{},"values":[[1000,"1"]]})")}) {
    const std::string body = Body(series);
    EXPECT_THAT(Print({All(Read(body).extent)}), Eq(body));
  }
}

TEST(ReadMatrixTest, TakesFractionsOfSeconds) {
  const std::string body =
      Body(R"({"metric":{"a":"b"},"values":[[1.500,"1"],[2.503,"2"]]})");
  const Steps steps{1500, 1003, 2};
  EXPECT_THAT(Print({All(Read(body, steps).extent)}), Eq(body));
}

TEST(ReadMatrixTest, TakesWhiteSpaceAndSortsSeries) {
  const Matrix matrix = Read(
      "{ \"data\" : {\n\"result\":[ {\"values\":[ [1000 , \"1\"] ],"
      "\"metric\":{\"b\":\"x\"} }, {\"metric\":{\"a\":\"y\"},"
      "\"values\":[[1010,\"2\"]]}],\"resultType\":\"matrix\"},"
      "\"status\":\"success\"} ");
  EXPECT_THAT(Print({All(matrix.extent)}),
              Eq(Body(R"({"metric":{"a":"y"},"values":[[1010,"2"]]},)"
                      R"({"metric":{"b":"x"},"values":[[1000 , "1"]]})")));
}

TEST(ReadMatrixTest, SortsAsPrometheusDoes) {
  // By pairs of name and value; who has fewer labels first.
  const std::vector<std::string> labels = {R"({})",
                                           R"({"a":"b"})",
                                           R"({"a":"b","c":"d"})",
                                           R"({"a":"b\u0000"})",
                                           R"({"a":"b\u0001"})",
                                           R"({"a":"bc"})",
                                           R"({"aa":"a"})",
                                           R"({"b":"a"})"};
  std::string sorted;
  std::string reversed;
  for (const std::string& one : labels) {
    const std::string series =
        absl::StrCat("{\"metric\":", one, ",\"values\":[[1000,\"1\"]]}");
    sorted = absl::StrCat(sorted, sorted.empty() ? "" : ",", series);
    reversed = absl::StrCat(series, reversed.empty() ? "" : ",", reversed);
  }
  EXPECT_THAT(Print({All(Read(Body(reversed)).extent)}), Eq(Body(sorted)));
}

TEST(ReadMatrixTest, EscapesOfOneTextAreOneSeries) {
  EXPECT_THAT(Read(Body(R"({"metric":{"a":"\u00e9"},"values":[[1000,"1"]]})"))
                  .extent.series[0]
                  .sort_key,
              Eq(Read(Body("{\"metric\":{\"a\":\"\xc3\xa9\"},\"values\":"
                           "[[1000,\"1\"]]}"))
                     .extent.series[0]
                     .sort_key));
}

TEST(ReadMatrixTest, HandsOutWarningsAndInfos) {
  const Matrix matrix = Read(absl::StrCat(
      kHead, "]},\"warnings\":[\"a\",\"b\"],", "\"infos\":[\"c\"]}"));
  EXPECT_THAT(matrix.warnings, ElementsAre("\"a\"", "\"b\""));
  EXPECT_THAT(matrix.infos, ElementsAre("\"c\""));
  EXPECT_THAT(
      PrintMatrix({All(matrix.extent)}, matrix.warnings, matrix.infos, 1 << 20)
          .value(),
      Eq(absl::StrCat(kHead, "]},\"warnings\":[\"a\",\"b\"],",
                      "\"infos\":[\"c\"]}")));
}

TEST(ReadMatrixTest, RefusesWhatIsOdd) {
  const std::vector<std::string> odd = {
      "",
      "{}",
      "[]",
      R"({"status":"error","data":{"resultType":"matrix","result":[]}})",
      R"({"status":"success","data":{"resultType":"vector","result":[]}})",
      R"({"status":"success","data":{"resultType":"matrix"}})",
      R"({"status":"success"})",
      R"({"status":"success","data":{"resultType":"matrix","result":[]},"isPartial":true})",
      R"({"status":"success","data":{"resultType":"matrix","result":[],"stats":{}}})",
      R"({"status":"success","data":{"resultType":"matrix","result":[]},"status":"success"})",
      absl::StrCat(Body(""), "x"),
      Body(R"({"metric":{"a":"b"}})"),
      Body(R"({"values":[[1000,"1"]]})"),
      Body(R"({"metric":{"a":"b"},"values":[]})"),
      Body(R"({"metric":{"a":"b"},"values":[[1000,"1"]],"x":1})"),
      Body(R"({"metric":{"a":"b","a":"c"},"values":[[1000,"1"]]})"),
      Body(R"({"metric":{"a":1},"values":[[1000,"1"]]})"),
      Body(R"({"metric":{"a":"\ud800"},"values":[[1000,"1"]]})"),
      Body(R"({"metric":{"a":"b"},"values":[[1e3,"1"]]})"),
      Body(R"({"metric":{"a":"b"},"values":[[1000.,"1"]]})"),
      Body(R"({"metric":{"a":"b"},"values":[[1000.0001,"1"]]})"),
      Body(R"({"metric":{"a":"b"},"values":[[1001,"1"]]})"),
      Body(R"({"metric":{"a":"b"},"values":[[990,"1"]]})"),
      Body(R"({"metric":{"a":"b"},"values":[[1050,"1"]]})"),
      Body(R"({"metric":{"a":"b"},"values":[[99999999999999,"1"]]})"),
      Body(R"({"metric":{"a":"b"},"values":[[1010,"1"],[1000,"1"]]})"),
      Body(R"({"metric":{"a":"b"},"values":[[1010,"1"],[1010,"1"]]})"),
      Body(R"({"metric":{"a":"b"},"values":[[1000,1]]})"),
      Body(R"({"metric":{"a":"b"},"values":[[1000,"1",2]]})"),
      Body(R"({"metric":{"a":"b"},"histograms":[[1000,"1"]]})"),
      Body(
          R"({"metric":{"a":"b"},"values":[[1000,"1"]]},{"metric":{"a":"b"},"values":[[1010,"1"]]})"),
  };
  for (const std::string& body : odd) {
    EXPECT_THAT(ReadMatrix(body, kSteps).status().code(),
                Eq(absl::StatusCode::kInvalidArgument))
        << body;
  }
}

TEST(ReadMatrixTest, NoPrefixAndNoLostByteIsReadBeyondItsEnd) {
  const std::string body = Body(kTwoSeries);
  for (size_t size = 0; size < body.size(); ++size) {
    // A copy of its own, so that AddressSanitizer sees the end.
    const std::vector<char> prefix(body.begin(), body.begin() + size);
    EXPECT_FALSE(
        ReadMatrix(absl::string_view(prefix.data(), size), kSteps).ok());
    std::string lost = body;
    lost.erase(size, 1);
    const auto matrix = ReadMatrix(lost, kSteps);
    if (matrix.ok()) Print({All(matrix->extent)});
  }
}

TEST(ExtentTest, CutsAndJoinsAtEachStep) {
  const std::string body = Body(kTwoSeries);
  const Extent whole = Read(body).extent;
  for (int64_t count = 1; count < kSteps.count; ++count) {
    const Steps first{kSteps.first, kSteps.step, count};
    const Steps second{kSteps.at(count), kSteps.step, kSteps.count - count};
    const Extent left = Cut(whole, first);
    const Extent right = Cut(whole, second);
    EXPECT_THAT(Print({All(left), All(right)}), Eq(body));
    const Extent joined = Join(left, right);
    EXPECT_THAT(joined.steps, Eq(kSteps));
    EXPECT_THAT(Print({All(joined)}), Eq(body));
    // Parts of an extent, without copying them.
    const auto shared = std::make_shared<const Extent>(whole);
    EXPECT_THAT(Print({{shared, first}, {shared, second}}), Eq(body));
    EXPECT_THAT(Print({{shared, second}}), Eq(Print({All(right)})));
  }
}

TEST(ExtentTest, AJoinIsAsOldAsTheOlder) {
  const Extent whole = Read(Body(kTwoSeries)).extent;
  Extent left = Cut(whole, {kSteps.first, kSteps.step, 2});
  Extent right = Cut(whole, {kSteps.at(2), kSteps.step, 3});
  left.read_at = absl::UnixEpoch() + absl::Seconds(2);
  right.read_at = absl::UnixEpoch() + absl::Seconds(1);
  EXPECT_THAT(Join(left, right).read_at, Eq(right.read_at));
}

TEST(ExtentTest, KnowsWhatItHolds) {
  const std::string body = Body(kTwoSeries);
  const Extent whole = Read(body).extent;
  EXPECT_GT(whole.bytes, body.size() / 2);
  EXPECT_LT(Cut(whole, {kSteps.first, kSteps.step, 1}).bytes, whole.bytes);
}

TEST(PrintMatrixTest, IsBounded) {
  const std::string body = Body(kTwoSeries);
  const std::vector<Part> parts = {All(Read(body).extent)};
  EXPECT_TRUE(PrintMatrix(parts, {}, {}, body.size()).ok());
  const auto refused = PrintMatrix(parts, {}, {}, 100).status();
  EXPECT_THAT(refused.code(), Eq(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(refused.message(), HasSubstr("100 bytes"));
}

TEST(UnquoteTest, ReadsEscapes) {
  EXPECT_THAT(Unquote(R"("a\n\t\"\\\/\b\f\r")"),
              Optional(Eq("a\n\t\"\\/\b\f\r")));
  EXPECT_THAT(Unquote(R"("\u0041\u00e9\u20ac\ud83d\ude00")"),
              Optional(Eq("A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
  for (const absl::string_view bad :
       {"\"\\x\"", "\"\\u12\"", "\"\\ud83dx\"", "\"\\ude00\"", "\"\\\""}) {
    EXPECT_THAT(Unquote(bad), Eq(std::nullopt)) << bad;
  }
}

}  // namespace
}  // namespace insula::range_cache
