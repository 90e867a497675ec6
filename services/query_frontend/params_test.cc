#include "services/query_frontend/params.h"

#include <gmock/gmock.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"

namespace insula::query_frontend {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr char kForm[] = "application/x-www-form-urlencoded";

http::Request Get(absl::string_view query) {
  http::Request request;
  request.method = "GET";
  request.target = absl::StrCat("/api/v1/x?", query);
  return request;
}

http::Request Post(absl::string_view query, absl::string_view body) {
  http::Request request = Get(query);
  request.method = "POST";
  request.headers.Set("Content-Type", kForm);
  request.body = http::Buffer(body);
  return request;
}

TEST(ParamsTest, ReadsAQueryFromUrlAndBodyInTheUsersWords) {
  for (const http::Request& request :
       {Get("query=up%7Ba%3D%22b+c%22%7D&time=1760003000.1&timeout=5s&limit=3"),
        Post("query=up%7Ba%3D%22b+c%22%7D&limit=3",
             "time=1760003000.1&timeout=5s")}) {
    const auto params = ParseParams(Endpoint::kQuery, request);
    ASSERT_THAT(params, IsOk());
    EXPECT_EQ(params->query, "up{a=\"b c\"}");
    EXPECT_THAT(params->rest,
                ElementsAre(Pair("limit", "3"), Pair("time", "1760003000.1"),
                            Pair("timeout", "5s")));
  }
}

TEST(ParamsTest, UnitesTheMatchesOfUrlAndBody) {
  const auto params =
      ParseParams(Endpoint::kSeries,
                  Post("match%5B%5D=a&match[]=b&start=1", "match[]=c&end=2"));
  ASSERT_THAT(params, IsOk());
  EXPECT_THAT(params->matches, ElementsAre("a", "b", "c"));
  EXPECT_THAT(params->rest, ElementsAre(Pair("end", "2"), Pair("start", "1")));
}

TEST(ParamsTest, TakesLookbackDeltaAndStatsWhereQueriesAreEvaluated) {
  const auto query = ParseParams(Endpoint::kQuery,
                                 Get("query=up&lookback_delta=1h&stats=all"));
  ASSERT_THAT(query, IsOk());
  EXPECT_EQ(query->lookback, absl::Hours(1));
  EXPECT_THAT(query->rest,
              ElementsAre(Pair("lookback_delta", "1h"), Pair("stats", "all")));
  EXPECT_THAT(ParseParams(Endpoint::kQuery, Get("query=up&lookback_delta=x")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("error parsing lookback delta duration: ")));
  const auto labels =
      ParseParams(Endpoint::kLabels, Get("lookback_delta=1h&stats=all"));
  ASSERT_THAT(labels, IsOk());
  EXPECT_THAT(labels->rest, IsEmpty());
}

TEST(ParamsTest, DropsWhatPrometheusDoesNotTakeAtTheEndpoint) {
  const auto params = ParseParams(
      Endpoint::kQuery,
      Get("query=up&dedup=true&dedup=false&replicaLabels[]=namespace&"
          "storeMatch[]=x&partial_response=true&shard_info=x&"
          "engine=thanos&extra_label=namespace%3Dblue&"
          "extra_filters[]=%7B%7D&namespace=blue&Query=x&QUERY=y&start=z&"
          "match[]=up"));
  ASSERT_THAT(params, IsOk());
  EXPECT_EQ(params->query, "up");
  EXPECT_THAT(params->matches, IsEmpty());
  EXPECT_THAT(params->rest, IsEmpty());
}

TEST(ParamsTest, IgnoresTheBodyOfAGet) {
  http::Request request = Post("query=up", "query=down&time=5&%zz");
  request.method = "GET";
  const auto params = ParseParams(Endpoint::kQuery, request);
  ASSERT_THAT(params, IsOk());
  EXPECT_EQ(params->query, "up");
  EXPECT_THAT(params->rest, IsEmpty());
}

TEST(ParamsTest, TakesAnEmptyValueForNone) {
  const auto params =
      ParseParams(Endpoint::kQuery, Get("query=&time=&timeout=&limit="));
  ASSERT_THAT(params, IsOk());
  EXPECT_EQ(params->query, "");
  EXPECT_THAT(params->rest, IsEmpty());
}

struct Bad {
  Endpoint endpoint;
  std::string url;
  std::string body;
  std::string error;
};

class BadParamsTest : public testing::TestWithParam<Bad> {};

TEST_P(BadParamsTest, AreRefused) {
  const Bad& bad = GetParam();
  EXPECT_THAT(
      ParseParams(bad.endpoint, Post(bad.url, bad.body)),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.error)))
      << bad.url << " " << bad.body;
}

constexpr char kTwice[] = "is given more than once";
constexpr char kResolution[] =
    "exceeded maximum resolution of 11,000 points per timeseries. Try "
    "decreasing the query resolution (?step=XX)";

INSTANTIATE_TEST_SUITE_P(
    Ambiguous, BadParamsTest,
    testing::Values(
        Bad{Endpoint::kQuery, "query=a&query=b", "", kTwice},
        Bad{Endpoint::kQuery, "query=a&query=a", "", kTwice},
        Bad{Endpoint::kQuery, "query=a", "query=b", kTwice},
        Bad{Endpoint::kQuery, "", "query=a&query=b", kTwice},
        Bad{Endpoint::kQuery, "query=a&query=", "", kTwice},
        Bad{Endpoint::kQuery, "query=&query=a", "", kTwice},
        Bad{Endpoint::kQuery, "query=a&quer%79=b", "", kTwice},
        Bad{Endpoint::kQuery, "query=a&time=1", "time=1", kTwice},
        Bad{Endpoint::kQueryRange, "query=a&start=1&end=2&step=1", "step=2",
            kTwice},
        Bad{Endpoint::kSeries, "match[]=a&start=1&start=1", "", kTwice},
        Bad{Endpoint::kLabelValues, "limit=1&limit=2", "", kTwice},
        Bad{Endpoint::kQuery, "query=a;time=5", "", "insula: URL query"},
        Bad{Endpoint::kQuery, "query=a%zz", "", "insula: URL query"},
        Bad{Endpoint::kQuery, "query=a&b=%", "", "insula: URL query"},
        Bad{Endpoint::kQuery, "", "query=a;b", "insula: form in the body"},
        Bad{Endpoint::kQuery, "query=a", "x=%f", "insula: form in the body"}));

INSTANTIATE_TEST_SUITE_P(
    Values, BadParamsTest,
    testing::Values(
        Bad{Endpoint::kQuery, "query=a&time=x", "",
            "invalid parameter \"time\": invalid time value for 'time': cannot "
            "parse \"x\" to a valid timestamp"},
        Bad{Endpoint::kQuery, "query=a&time=1%00", "",
            "invalid parameter \"time\""},
        Bad{Endpoint::kQuery, "query=a&timeout=x", "",
            "invalid parameter \"timeout\": cannot parse \"x\" to a valid "
            "duration"},
        Bad{Endpoint::kQuery, "query=a&timeout=-1", "",
            "invalid parameter \"timeout\""},
        Bad{Endpoint::kQuery, "query=a&limit=-1", "",
            "invalid parameter \"limit\""},
        Bad{Endpoint::kQuery, "query=a&limit=1.5", "",
            "invalid parameter \"limit\""},
        Bad{Endpoint::kQuery, "query=a&limit=+1", "",
            "invalid parameter \"limit\""},
        Bad{Endpoint::kLabels, "start=x", "",
            "invalid parameter \"start\": invalid time value for 'start'"},
        Bad{Endpoint::kSeries, "match[]=up&end=x", "",
            "invalid parameter \"end\": invalid time value for 'end'"},
        Bad{Endpoint::kQueryRange, "query=a&end=2&step=1", "",
            "invalid parameter \"start\": cannot parse \"\" to a valid "
            "timestamp"},
        Bad{Endpoint::kQueryRange, "query=a&start=1&step=1", "",
            "invalid parameter \"end\": cannot parse \"\" to a valid "
            "timestamp"},
        Bad{Endpoint::kQueryRange, "query=a&start=1&end=2", "",
            "invalid parameter \"step\": cannot parse \"\" to a valid "
            "duration"},
        Bad{Endpoint::kQueryRange, "query=a&start=2&end=1&step=1", "",
            "invalid parameter \"end\": end timestamp must not be before start "
            "time"},
        Bad{Endpoint::kQueryRange, "query=a&start=1&end=2&step=0", "",
            "invalid parameter \"step\": zero or negative query resolution "
            "step widths are not accepted. Try a positive integer"},
        Bad{Endpoint::kQueryRange, "query=a&start=1&end=2&step=-5", "",
            "zero or negative"},
        Bad{Endpoint::kQueryRange, "query=a&start=0&end=11001&step=1", "",
            kResolution},
        Bad{Endpoint::kQueryRange, "query=a&start=0&end=1&step=1e-10", "",
            "zero or negative"},
        Bad{Endpoint::kQueryRange, "query=a&start=0&end=1&step=1e-9", "",
            kResolution},
        Bad{Endpoint::kQueryRange,
            "query=a&start=-292273086-05-16T16:47:06Z&end=1&step=1y", "",
            kResolution}));

TEST(ParamsTest, AllowsExactly11000Steps) {
  EXPECT_THAT(ParseParams(Endpoint::kQueryRange,
                          Get("query=a&start=0&end=11000&step=1")),
              IsOk());
  EXPECT_THAT(
      ParseParams(Endpoint::kQueryRange, Get("query=a&start=5&end=5&step=1ms")),
      IsOk());
}

TEST(ParamsTest, BoundsTheirNumber) {
  std::string many = "query=up";
  for (int i = 0; i < 2000; ++i) absl::StrAppend(&many, "&a=b");
  EXPECT_THAT(ParseParams(Endpoint::kQuery, Get(many)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ReadableBodyTest, IsAUrlencodedFormOrNothing) {
  http::Request request = Post("", "query=up");
  for (const char* type :
       {kForm, "Application/X-WWW-Form-Urlencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;charset=\"utf-8\"",
        "application/x-www-form-urlencoded;"}) {
    request.headers.Set("Content-Type", type);
    EXPECT_TRUE(HasReadableBody(Endpoint::kQuery, request)) << type;
  }
  for (const char* type :
       {"", "text/plain", "application/json", "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/x-www-form-urlencoded, multipart/form-data",
        "application/x-www-form-urlencodedx"}) {
    request.headers.Set("Content-Type", type);
    EXPECT_FALSE(HasReadableBody(Endpoint::kQuery, request)) << type;
  }
  request.headers.Remove("Content-Type");
  EXPECT_FALSE(HasReadableBody(Endpoint::kQuery, request));
  request.headers.Add("Content-Type", kForm);
  request.headers.Add("Content-Type", kForm);
  EXPECT_FALSE(HasReadableBody(Endpoint::kQuery, request));
  request.headers.Remove("Content-Type");
  request.body = http::Buffer();
  EXPECT_TRUE(HasReadableBody(Endpoint::kQuery, request));
}

}  // namespace
}  // namespace insula::query_frontend
