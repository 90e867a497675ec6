// Queries confined to a union of grants, sent to a Prometheus that holds every
// series, have the answers that a Prometheus gives which holds nothing but the
// granted ones.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "libs/promql/clause_union.h"
#include "libs/promql/confine_union.h"
#include "libs/promql/parser.h"
#include "libs/status/status_matchers.h"
#include "tests/promql/query_generator.h"
#include "tests/promql/servers.h"

namespace insula::promql {
namespace {

struct Policy {
  std::vector<std::string> clauses;
  std::vector<Series> visible;
  std::unique_ptr<Server> server;  // With nothing else.
};

Clauses Parsed(const Policy& policy) {
  Clauses clauses;
  for (const std::string& text : policy.clauses) {
    absl::StatusOr<Clause> clause = ParseMetricSelector(text);
    EXPECT_THAT(clause, IsOk()) << text;
    clauses.push_back(*clause);
  }
  return clauses;
}

int FromEnvironment(const char* name, int otherwise) {
  const char* const given = std::getenv(name);
  int number = 0;
  return given != nullptr && absl::SimpleAtoi(given, &number) ? number
                                                              : otherwise;
}

// One of each, started once.
class UnionOracleTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::mt19937 random(7);
    const std::vector<Series> all = MakeSeries(250, random);
    everything_ = new Server(all);
    policies_ = new std::vector<Policy>(8);
    std::vector<Policy>& p = *policies_;
    p[0].clauses = {"{pod=\"p1\"}", "{code=~\"5..\"}"};
    p[1].clauses = {"{ns=\"red\"}", "{ns=\"blue\",__name__=~\"a|b_total\"}"};
    p[2].clauses = {"{__name__=\"a\",ns=\"red\"}",
                    "{__name__=~\"b.*\",pod=~\"p1|p2\"}", "{__name__=\"c\"}"};
    p[3].clauses = {"{ns=\"red\",code!=\"404\"}", "{team=\"t\",pod!~\"p2.*\"}",
                    "{pod=\"p3\"}", "{ns=\"red\",code!=\"500\"}"};
    p[4].clauses = {"{__name__=~\"a|h_.*\"}",
                    "{code=~\"4..|5..\",team!=\"t\"}"};
    // The fifth reads nothing. One clause each:
    p[6].clauses = {"{ns=\"red\"}"};
    p[7].clauses = {"{ns=\"red\",team=\"t\",code!=\"404\"}"};
    for (Policy& policy : p) {
      const Clauses clauses = Parsed(policy);
      std::copy_if(
          all.begin(), all.end(), std::back_inserter(policy.visible),
          [&clauses](const Series& s) { return IsVisible(s, clauses); });
      policy.server = std::make_unique<Server>(policy.visible);
    }
  }
  static void TearDownTestSuite() {
    delete policies_;
    delete everything_;
  }

  // What `texts` answer together.
  static Answer Ask(const Server& server, const std::vector<std::string>& texts,
                    bool range, int64_t time) {
    std::vector<Answer> answers;
    for (const std::string& text : texts) {
      answers.push_back(range ? server.QueryRange(text, time)
                              : server.Query(text, time));
    }
    return Unite(answers);
  }

  static Server* everything_;
  static std::vector<Policy>* policies_;
};

Server* UnionOracleTest::everything_ = nullptr;
std::vector<Policy>* UnionOracleTest::policies_ = nullptr;

TEST_F(UnionOracleTest, AnswersAreThoseOfAServerWithNothingElse) {
  const int queries = FromEnvironment("INSULA_QUERIES", 500);
  const int seed = FromEnvironment("INSULA_SEED", 1);
  std::mt19937 random(seed);
  QueryGenerator generator(&random);
  int asked = 0, refused = 0, filled = 0, failed = 0, several = 0, seen = 0;
  for (int i = 0; asked < queries; ++i) {
    const Policy& policy = (*policies_)[i % policies_->size()];
    const bool range = random() % 3 == 0;
    const int64_t time = kStart + 300 + static_cast<int64_t>(random() % 600);
    const std::string query = generator.Query(!range);
    const auto texts = ConfineQueryToTexts(query, Parsed(policy));
    if (!texts.ok()) {
      ASSERT_THAT(texts, StatusIs(absl::StatusCode::kInvalidArgument,
                                  testing::HasSubstr("; add")))
          << query;
      ++refused;
      ASSERT_LT(refused, queries);
      continue;
    }
    ++asked;
    if (texts->size() > 1 || absl::StrJoin(*texts, "") != query) ++several;
    const Answer wanted = Ask(*policy.server, {query}, range, time);
    const Answer got = Ask(*everything_, *texts, range, time);
    if (!wanted.error.empty()) ++failed;
    if (!wanted.elements.empty()) ++filled;
    if (!Same(wanted, Ask(*everything_, {query}, range, time))) ++seen;
    ASSERT_TRUE(Same(wanted, got))
        << "INSULA_SEED=" << seed << ", query " << i << " at " << time - kStart
        << (range ? " for a range\n" : "\n")
        << absl::StrJoin(policy.clauses, " or ") << "\n"
        << query << "\n"
        << absl::StrJoin(*texts, "\n") << "\nwanted\n"
        << Describe(wanted) << "got\n"
        << Describe(got);
  }
  std::cout << asked << " equal answers, " << filled << " of them not empty, "
            << failed << " errors on both sides; " << refused
            << " refused; unconfined, " << seen << " would differ\n";
  EXPECT_GE(filled, asked * 3 / 10);
  EXPECT_LE(failed, asked * 3 / 10);
  EXPECT_LE(refused, asked * 3 / 10);
  // What the comparison sees.
  EXPECT_GE(seen, asked * 3 / 10);
}

// Texts that look like the union and are not.
TEST_F(UnionOracleTest, WrongFormsAreSeen) {
  struct Trap {
    int policy;
    const char* query;
    const char* wrong;
  };
  const int64_t time = kStart + 607;
  for (
      const Trap& trap : std::vector<Trap>{
          // `or` does not tell names apart.
          {2, R"({ns="red"})",
           R"({__name__="a",ns="red"} or {__name__=~"b.*",ns="red",pod=~"p1|p2"} or {__name__="c",ns="red"})"},
          // Of a union timestamp() answers the time of the query.
          {0, "timestamp(a)", R"(timestamp(a{pod="p1"} or a{code=~"5.."}))"},
          // The labels of the user are lost, or others gained.
          {0, R"(absent(a{x="$1"}))",
           R"(absent(a{x="$1",pod="p1"} or a{x="$1",code=~"5.."}))"},
          {0, R"(absent(a{x="$1"}))",
           R"(label_replace(absent(a{x="$1",pod="p1"} or a{x="$1",code=~"5.."}), "x", "$1", "", ""))"},
          {1, R"(absent(b{x="y"}))", R"(absent(b{x="y",ns="red"}))"},
          // What drops names fails if two become one, and must go on doing so.
          {2, R"(count(rate({__name__=~"a|c",ns="red"}[5m])))",
           R"(count(rate(a{ns="red"}[5m]) or rate(c{ns="red"}[5m])))"},
          // Negations do not merge like equalities.
          {3, "a", R"(a{code!="404",code!="500"})"},
          // A denied selector without a fixed name.
          {5, R"({ns="red"})", R"({ns="red",__name__!="__denied__"})"},
      }) {
    const Policy& policy = (*policies_)[trap.policy];
    const Answer wanted = policy.server->Query(trap.query, time);
    EXPECT_FALSE(Same(wanted, everything_->Query(trap.wrong, time)))
        << trap.wrong << "\n"
        << Describe(wanted);
    const auto texts = ConfineQueryToTexts(trap.query, Parsed(policy));
    if (!texts.ok()) {
      EXPECT_EQ(trap.policy, 2) << texts.status();
      continue;
    }
    const Answer got = Ask(*everything_, *texts, false, time);
    EXPECT_TRUE(Same(wanted, got)) << absl::StrJoin(*texts, "\n") << "\n"
                                   << Describe(wanted) << Describe(got);
  }
}

// absent() of one arm or absent() of the other: says so though one is there.
TEST_F(UnionOracleTest, AbsentOfOneArmIsNotAbsent) {
  int wrong = 0;
  const Policy& policy = policies_->front();
  for (const char* name : {"a", "b", "b_total", "c"}) {
    for (const char* ns : {"red", "blue"}) {
      for (const char* form : {"absent(", "absent_over_time("}) {
        const int64_t time = kStart + 607;
        const auto query = [&](absl::string_view more) {
          const bool range = absl::string_view(form) != "absent(";
          return absl::StrCat(form, name, "{team=\"t\",ns=\"", ns, "\"", more,
                              "}", range ? "[1m])" : ")");
        };
        const Answer wanted = policy.server->Query(query(""), time);
        const std::string naive =
            absl::StrCat(query(",pod=\"p1\""), " or ", query(",code=~\"5..\""));
        if (!Same(wanted, everything_->Query(naive, time))) ++wrong;
        const auto texts = ConfineQueryToTexts(query(""), Parsed(policy));
        ASSERT_THAT(texts, IsOk());
        const Answer got = Ask(*everything_, *texts, false, time);
        EXPECT_TRUE(Same(wanted, got)) << texts->front() << "\n"
                                       << Describe(wanted) << Describe(got);
      }
    }
  }
  EXPECT_GE(wrong, 2);
}

}  // namespace
}  // namespace insula::promql
