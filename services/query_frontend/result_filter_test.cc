#include "services/query_frontend/result_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"
#include "services/query_frontend/answer_data.h"
#include "services/query_frontend/json.h"

namespace insula::query_frontend {
namespace {

using ::testing::HasSubstr;

constexpr char kHead[] = R"({"status":"success","data":)";
constexpr char kData[] =
    R"({"resultType":"matrix","result":[{"metric":{"a":"}]\"{[\\",)"
    R"("b":"\\\""},"values":[[1,"2"],[3,"NaN"]]},{"metric":{},"values":[]}]})";

struct Filtered {
  std::string text;
  std::string withheld;
};

// What becomes of `pieces`.
absl::StatusOr<Filtered> Filter(const std::vector<std::string>& pieces) {
  ResultFilter filter;
  Filtered filtered;
  for (const std::string& piece : pieces) {
    const absl::StatusOr<absl::string_view> passed = filter.Pass(piece);
    if (!passed.ok()) return passed.status();
    absl::StrAppend(&filtered.text, *passed);
  }
  absl::StatusOr<ResultFilter::Ending> ending = filter.Finish();
  if (!ending.ok()) return ending.status();
  absl::StrAppend(&filtered.text, ending->text);
  filtered.withheld = ending->withheld;
  return filtered;
}

TEST(ResultFilterTest, KnowsTheAnswersOfAPrometheus) {
  const std::string matrix =
      absl::StrCat(kHead, R"({"resultType":"matrix","result":[)");
  const std::string vector =
      absl::StrCat(kHead, R"({"resultType":"vector","result":[)");
  EXPECT_TRUE(ResultFilter::CanPass(matrix, true));
  EXPECT_TRUE(ResultFilter::CanPass(matrix, false));
  EXPECT_TRUE(ResultFilter::CanPass(vector, false));
  EXPECT_FALSE(ResultFilter::CanPass(vector, true));
  EXPECT_FALSE(ResultFilter::CanPass(matrix.substr(1), true));
  EXPECT_FALSE(ResultFilter::CanPass(matrix.substr(0, 40), true));
  EXPECT_FALSE(ResultFilter::CanPass(
      R"({"status":"success","isPartial":true,"data":{"resultType":"matrix")",
      true));
  EXPECT_FALSE(
      ResultFilter::CanPass(R"({"status":"error","errorType":"x"})", true));
  EXPECT_FALSE(ResultFilter::CanPass("", true));
}

// Wherever the bytes are parted, it is the answer that the whole becomes.
TEST(ResultFilterTest, MakesWhatReadAnswerMakes) {
  std::mt19937 random(3);
  for (const char* tail :
       {"}", "}\n", R"(,"warnings":["PromQL warning: x","of the store"]})",
        R"(,"infos":["PromQL info: y"],"warnings":[]})",
        R"(,"warnings":["results truncated due to limit"]})"}) {
    const std::string document = absl::StrCat(kHead, kData, tail);
    const absl::StatusOr<Answer> whole =
        ReadAnswer(200, document, ReadResult(true, false, nullptr));
    ASSERT_THAT(whole, IsOk()) << tail;
    for (int i = 0; i < 200; ++i) {
      std::vector<std::string> pieces;
      for (size_t at = 0; at < document.size();) {
        const size_t size = 1 + random() % (i < 10 ? 1 : document.size());
        pieces.push_back(document.substr(at, size));
        at += size;
      }
      const absl::StatusOr<Filtered> filtered = Filter(pieces);
      ASSERT_THAT(filtered, IsOk());
      ASSERT_EQ(filtered->text, whole->body);
      ASSERT_EQ(filtered->withheld, whole->withheld);
    }
  }
}

TEST(ResultFilterTest, RefusesWhatDoesNotEndAsAnAnswer) {
  const std::string document = absl::StrCat(kHead, kData, "}");
  for (size_t size = 0; size < document.size(); ++size) {
    EXPECT_THAT(Filter({document.substr(0, size)}),
                StatusIs(absl::StatusCode::kInternal))
        << size;
  }
  for (const char* tail : {"]", "}}", R"(,"data":[]})", R"(,"warnings":)",
                           R"(,"status":"error"})", "x}", "\"}"}) {
    EXPECT_THAT(Filter({absl::StrCat(kHead, kData, tail)}),
                StatusIs(absl::StatusCode::kInternal))
        << tail;
  }
}

TEST(ResultFilterTest, BoundsWhatComesBehindTheData) {
  const std::string blanks(ResultFilter::kMaxTailBytes - 1, ' ');
  EXPECT_THAT(Filter({kHead, kData, blanks, "}"}), IsOk());
  EXPECT_THAT(Filter({kHead, kData, blanks, " ", "}"}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("65536")));
}

}  // namespace
}  // namespace insula::query_frontend
