#include "services/query_frontend/plain_matrix.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/tenancy/read_policy.h"
#include "services/query_frontend/answer_data.h"
#include "services/query_frontend/json.h"

namespace insula::query_frontend {
namespace {

constexpr char kHead[] =
    R"({"status":"success","data":{"resultType":"matrix","result":[)";

std::string Matrix(absl::string_view series) {
  return absl::StrCat(kHead, series, "]}}");
}

const std::string& Answer() {
  static const auto& answer = *new std::string(
      Matrix(R"({"metric":{"__name__":"up","a":""},"values":[[1760003000,"1"],)"
             R"([1760003060.123,"-1.5e+06"],[0,"NaN"]]},)"
             R"({"metric":{},"values":[[0.5,"+Inf"]]})"));
  return answer;
}

// Whether the answer is valid, a matrix, and to be handed on as it is.
bool IsTaken(const std::string& body) {
  const auto answer = ReadAnswer(
      200, body, ReadResult(/*range_query=*/true, /*raw=*/false, nullptr));
  return answer.ok() && answer->body == body && answer->withheld.empty();
}

TEST(IsPlainMatrixTest, IsTrueOfWhatPrometheusWrites) {
  EXPECT_TRUE(IsPlainMatrix(Answer()));
  EXPECT_TRUE(IsPlainMatrix(Matrix("")));
  EXPECT_TRUE(IsTaken(Answer()));
  EXPECT_TRUE(IsTaken(Matrix("")));
}

TEST(IsPlainMatrixTest, IsFalseOfOthers) {
  const auto points = [](absl::string_view text) {
    return Matrix(absl::StrCat(R"({"metric":{},"values":[)", text, "]}"));
  };
  ASSERT_TRUE(IsPlainMatrix(points(R"([1,"1"])")));
  for (
      const std::string& body : std::vector<std::string>{
          "",
          kHead,
          "]}}",
          R"({"status":"success","data":{"resultType":"matrix","result":]}})",
          Matrix("").substr(1),
          absl::StrCat(Matrix(""), " "),
          Matrix(","),
          Matrix("1"),
          Matrix(R"({"metric":{}})"),
          Matrix(R"({"values":[[1,"1"]]})"),
          Matrix(R"({"metric":{"a"},"values":[[1,"1"]]})"),
          Matrix(R"({"metric":{"a":"b",},"values":[[1,"1"]]})"),
          Matrix(R"({"metric":{"a":"b\n"},"values":[[1,"1"]]})"),
          Matrix("{\"metric\":{\"a\":\"\n\"},\"values\":[[1,\"1\"]]}"),
          Matrix("{\"metric\":{\"a\":\"\xff\"},\"values\":[[1,\"1\"]]}"),
          Matrix(R"({"metric":{},"values":[[1,"1"]],"values":[[1,"1"]]})"),
          points(R"([1,"1"],)"),
          points(R"([1,1])"),
          points(R"([01,"1"])"),
          points(R"([1.,"1"])"),
          points(R"([.5,"1"])"),
          points(R"([-1,"1"])"),
          points(R"([1e3,"1"])"),
          points(R"([1234567890123456,"1"])"),
          points(R"([1.123456789012345,"1"])"),
          points(R"([1,"1)"),
          points(R"([1,"1","2"])"),
          points(R"([1])"),
          points("[]"),
          R"({"status":"success","data":{"resultType":"vector","result":[]}})",
          R"({"status":"error","data":{"resultType":"matrix","result":[]}})"}) {
    EXPECT_FALSE(IsPlainMatrix(body)) << body;
  }
}

TEST(IsPlainMatrixTest, WhatItTakesTheReaderTakesAsItIs) {
  // Every change of a byte, cut and insertion.
  int taken = 0;
  const auto check = [&taken](const std::string& body) {
    if (!IsPlainMatrix(body)) return;
    ++taken;
    EXPECT_TRUE(IsTaken(body)) << body;
  };
  for (size_t i = 0; i < Answer().size(); ++i) {
    check(Answer().substr(0, i));
    check(Answer().substr(i));
    std::string cut = Answer();
    check(cut.erase(i, 1));
    for (const char c :
         absl::string_view("\0\x1f\x7f\x80\xff\"\\,:[]{}019.-e x", 22)) {
      std::string changed = Answer();
      changed[i] = c;
      check(changed);
      std::string longer = Answer();
      check(longer.insert(i, 1, c));
    }
  }
  EXPECT_GT(taken, 100);
}

}  // namespace
}  // namespace insula::query_frontend
