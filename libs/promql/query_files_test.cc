#include "libs/promql/query_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace insula::promql {
namespace {

std::vector<std::string> Found(absl::string_view text) {
  std::vector<std::string> found;
  for (const FileQuery& query : QueriesOfEvaluationTest(text)) {
    found.push_back(absl::StrCat(query.line, " ", query.text));
  }
  return found;
}

TEST(QueryFilesTest, FindsTheExpressionsOfEvaluations) {
  EXPECT_THAT(Found("load 5m\n  a 1+1x10\n\neval instant at 5m sum(a)\n  a 1\n"
                    "  eval range from 0 to 10m step 1m  a + b  \r\n"
                    "eval_fail instant at 0 a\neval_ordered instant b\n"),
              testing::ElementsAre("4 sum(a)", "6 a + b", "7 a", "8 b"));
}

TEST(QueryFilesTest, PassesOverWhatIsNoEvaluation) {
  EXPECT_THAT(Found("# eval instant at 5m a\nevaluate instant at 5m a\n"
                    "eval instant at 5m\neval range from 0 to 5 a\neval"),
              testing::IsEmpty());
}

// Counted by another program.
TEST(QueryFilesTest, FindsEveryEvaluationOfPrometheusOwnTests) {
  size_t found = 0;
  for (const auto& file : std::filesystem::directory_iterator(TESTDATA_DIR)) {
    if (file.path().extension() != ".test") continue;
    std::stringstream text;
    text << std::ifstream(file.path()).rdbuf();
    found += QueriesOfEvaluationTest(text.str()).size();
  }
  EXPECT_EQ(found, 2214u);
}

}  // namespace
}  // namespace insula::promql
