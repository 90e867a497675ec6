// Debian's Prometheus and Parse() take the same expressions and mean the same
// by them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "libs/promql/parser.h"
#include "libs/promql/pretty.h"
#include "libs/promql/printer.h"
#include "libs/promql/query_files.h"
#include "libs/promql/testdata_cases.h"
#include "tests/promql/mutations.h"
#include "tests/promql/servers.h"

namespace insula::promql {
namespace {

std::string ReadFile(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Each expression of Prometheus' own tests, once.
const std::vector<std::string>& Corpus() {
  static const auto* const corpus = [] {
    std::set<std::string> texts;
    for (const auto& file : std::filesystem::directory_iterator(
             absl::StrCat(TESTDATA_DIR, "/promqltest"))) {
      if (file.path().extension() != ".test") continue;
      for (const FileQuery& query :
           QueriesOfEvaluationTest(ReadFile(file.path()))) {
        texts.insert(query.text);
      }
    }
    return new std::vector<std::string>(texts.begin(), texts.end());
  }();
  return *corpus;
}

// What faults are put into: the corpus, and the cases of our own tests, which
// come to corners that it does not.
std::vector<std::string> Seeds() {
  std::vector<std::string> seeds = Corpus();
  for (const Case& c :
       ReadCases(absl::StrCat(TESTDATA_DIR, "/../../libs/promql/testdata"),
                 "parse.test")) {
    seeds.push_back(c.query);
  }
  return seeds;
}

// Where the two are known to differ: part of the error of the one that refuses.
struct KnownDifference {
  bool ours;  // We refuse.
  std::string error;
};

std::vector<KnownDifference> KnownDifferences() {
  std::vector<KnownDifference> known;
  const std::string text =
      ReadFile(absl::StrCat(TESTDATA_DIR, "/promql_differences.txt"));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, "ours: ")) {
      known.push_back({true, std::string(line)});
    } else if (absl::ConsumePrefix(&line, "theirs: ")) {
      known.push_back({false, std::string(line)});
    }
  }
  EXPECT_FALSE(known.empty());
  return known;
}

class GrammarOracleTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new Server({}); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }

  static Server* server_;
};

Server* GrammarOracleTest::server_ = nullptr;

TEST_F(GrammarOracleTest, MeansTheSameByEveryExpressionOfPrometheusOwnTests) {
  int accepted = 0;
  for (const std::string& query : Corpus()) {
    const absl::StatusOr<std::string> theirs = server_->Format(query);
    const absl::StatusOr<ExprPtr> ours = Parse(query);
    ASSERT_EQ(ours.ok(), theirs.ok()) << query << "\n"
                                      << ours.status() << "\n"
                                      << theirs.status();
    if (!ours.ok()) continue;
    ++accepted;
    const absl::StatusOr<std::string> printed = server_->Format(Print(**ours));
    ASSERT_TRUE(printed.ok()) << Print(**ours) << printed.status();
    EXPECT_EQ(*printed, *theirs) << query << "\n" << Print(**ours);
    const absl::StatusOr<std::string> pretty = PrettyPrint(**ours);
    ASSERT_TRUE(pretty.ok()) << pretty.status();
    EXPECT_EQ(*pretty, *theirs) << query;
  }
  std::cout << accepted << " of " << Corpus().size()
            << " expressions accepted by both\n";
  EXPECT_GE(accepted, 1200);
}

TEST_F(GrammarOracleTest, AgreesAboutExpressionsWithFaults) {
  const auto from_environment = [](const char* name, int otherwise) {
    const char* const given = std::getenv(name);
    int number = 0;
    return given != nullptr && absl::SimpleAtoi(given, &number) ? number
                                                                : otherwise;
  };
  const int wanted = from_environment("INSULA_MUTATIONS", 5000);
  const int seed = from_environment("INSULA_SEED", 1);
  const std::vector<KnownDifference> known = KnownDifferences();
  std::mt19937 random(seed);
  const std::vector<std::string> seeds = Seeds();
  Mutator mutator(&seeds, &random);
  std::map<std::string, int> differences;
  int accepted = 0, unexplained = 0;
  for (int i = 0; i < wanted; ++i) {
    const std::string query = mutator.Next();
    const absl::StatusOr<std::string> theirs = server_->Format(query);
    const absl::StatusOr<ExprPtr> ours = Parse(query);
    if (ours.ok() != theirs.ok()) {
      const auto& error = ours.ok() ? theirs.status() : ours.status();
      const auto found = std::find_if(
          known.begin(), known.end(), [&](const KnownDifference& d) {
            return d.ours == !ours.ok() &&
                   absl::StrContains(error.message(), d.error);
          });
      if (found != known.end()) {
        ++differences[found->error];
        continue;
      }
      ADD_FAILURE() << "INSULA_SEED=" << seed << ", expression " << i << ": "
                    << absl::CHexEscape(query) << "\nours: " << ours.status()
                    << "\ntheirs: " << theirs.status();
      ASSERT_LT(++unexplained, 20);
      continue;
    }
    if (!ours.ok()) continue;
    ++accepted;
    const absl::StatusOr<std::string> printed = server_->Format(Print(**ours));
    ASSERT_TRUE(printed.ok()) << Print(**ours) << printed.status();
    EXPECT_EQ(*printed, *theirs) << absl::CHexEscape(query) << "\n"
                                 << Print(**ours);
  }
  std::cout << wanted << " expressions, " << accepted << " accepted by both";
  for (const auto& [error, count] : differences) {
    std::cout << "; " << count << " differ: " << error;
  }
  std::cout << "\n";
  // Both sides of the border are tried.
  EXPECT_GE(accepted, wanted / 10);
  EXPECT_LE(accepted, wanted * 9 / 10);
}

}  // namespace
}  // namespace insula::promql
