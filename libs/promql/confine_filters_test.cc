// Queries with filters beside them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "libs/labels/matcher.h"
#include "libs/promql/confine_union.h"
#include "libs/promql/parser.h"
#include "libs/promql/visit.h"
#include "libs/status/status_matchers.h"

namespace insula::promql {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

Clause Selector(absl::string_view text) {
  absl::StatusOr<Clause> clause = ParseMetricSelector(text);
  EXPECT_THAT(clause, IsOk()) << text;
  return *std::move(clause);
}

Clauses Grants(const std::vector<std::string>& selectors) {
  Clauses clauses;
  for (const std::string& text : selectors) clauses.push_back(Selector(text));
  return clauses;
}

absl::StatusOr<FilteredQuery> Filtered(absl::string_view query,
                                       const Clauses& clauses) {
  absl::StatusOr<ExprPtr> parsed = Parse(query);
  EXPECT_THAT(parsed, IsOk()) << query;
  return ConfineParsedToFilters(query, *std::move(parsed), clauses, {});
}

// By pod or by code, and one metric of blue.
Clauses Mixed() {
  return Grants({R"({pod="a"})", R"({code=~"5.."})",
                 R"({__name__="jobs",namespace="blue"})"});
}

TEST(ConfineFiltersTest, SelectorsOfSeveralGrantsStayAsTheyAre) {
  const auto made =
      Filtered("sum(rate({job=\"x\"}[5m])) / timestamp(up)", Mixed());
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->text, "sum(rate({job=\"x\"}[5m])) / timestamp(up)");
  EXPECT_TRUE(made->needs_filters);
  EXPECT_THAT(made->filters,
              ElementsAre("{pod=\"a\"}", "{code=~\"5..\"}",
                          "{__name__=\"jobs\",namespace=\"blue\"}"));
}

TEST(ConfineFiltersTest, SelectorsOfOneGrantAreConfinedThemselves) {
  const auto made =
      Filtered("up{code=\"200\"} + secret{pod=\"b\",code=\"2\"}", Mixed());
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->text,
            "up{code=\"200\",pod=\"a\"} + {__name__!=\"__denied__\",__name__="
            "\"__denied__\",__name__=\"secret\",code=\"2\",pod=\"b\"}");
  EXPECT_FALSE(made->needs_filters);
  // And once more beside it.
  EXPECT_THAT(made->filters, ElementsAre("{pod=\"a\"}"));
}

TEST(ConfineFiltersTest, OnePolicyIsInTheTextAndBesideIt) {
  const auto made = Filtered("sum(up)", Grants({R"({namespace="red"})"}));
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->text, "sum(up{namespace=\"red\"})");
  EXPECT_FALSE(made->needs_filters);
  EXPECT_THAT(made->filters, ElementsAre("{namespace=\"red\"}"));
}

TEST(ConfineFiltersTest, NoPolicyShowsNothing) {
  const auto made = Filtered("up", {});
  ASSERT_THAT(made, IsOk());
  EXPECT_THAT(made->text, HasSubstr("__denied__"));
  EXPECT_FALSE(made->needs_filters);
  EXPECT_THAT(made->filters, IsEmpty());
}

TEST(ConfineFiltersTest, AbsentAndRangesAreOneText) {
  for (const std::string query :
       {"absent(up{job=\"x\"})", "up[5m]", "absent_over_time({job=\"x\"}[5m])",
        "last_over_time(up[5m])", "max_over_time({job=\"x\"}[1h:1m] @ 5)"}) {
    const auto made = Filtered(query, Mixed());
    ASSERT_THAT(made, IsOk()) << query;
    EXPECT_TRUE(made->needs_filters) << query;
    EXPECT_EQ(made->text.find("label_replace"), std::string::npos) << query;
    EXPECT_EQ(made->text.find(" or "), std::string::npos) << query;
  }
}

TEST(ConfineFiltersTest, RefusesWhatIsNoQueryOfSelectors) {
  absl::StatusOr<ExprPtr> info =
      Parse("info(up)", {.dialect = NewestDialect()});
  ASSERT_THAT(info, IsOk());
  EXPECT_THAT(ConfineParsedToFilters("info(up)", *std::move(info), Mixed(),
                                     {.dialect = NewestDialect()}),
              StatusIs(kInvalid, HasSubstr("info()")));
  EXPECT_THAT(Filtered("up", {Clause(), Clause()}), StatusIs(kInvalid));
}

TEST(ConfineFiltersTest, BoundsTheFilters) {
  Clauses many;
  for (int i = 0; i <= static_cast<int>(kMaxFilters); ++i) {
    many.push_back(Selector(absl::StrCat("{a", i, "=\"1\"}")));
  }
  EXPECT_THAT(Filtered("up", many),
              StatusIs(kInvalid, HasSubstr("see 65 grants")));
  many.pop_back();
  const auto made = Filtered("up", many);
  ASSERT_THAT(made, IsOk());
  EXPECT_THAT(made->filters, SizeIs(kMaxFilters));

  // Where each selector sees one, there may be more.
  Clauses named;
  std::vector<std::string> operands;
  for (int i = 0; i <= static_cast<int>(kMaxFilters); ++i) {
    named.push_back(
        Selector(absl::StrCat("{__name__=\"m", i, "\",a", i, "=\"1\"}")));
    operands.push_back(absl::StrCat("m", i));
  }
  const auto each = Filtered(absl::StrJoin(operands, " + "), named);
  ASSERT_THAT(each, IsOk());
  EXPECT_FALSE(each->needs_filters);
  EXPECT_THAT(each->filters, IsEmpty());
  EXPECT_THAT(each->text, HasSubstr("a64=\"1\""));
}

// Every series of some labels and values, "" standing for none.
std::vector<std::map<std::string, std::string>> AllSeries() {
  std::vector<std::map<std::string, std::string>> all;
  for (const char* name : {"up", "jobs"}) {
    for (const char* a : {"", "1", "2", "3"}) {
      for (const char* b : {"", "1", "2", "3"}) {
        all.push_back({{"__name__", name}, {"a", a}, {"b", b}});
      }
    }
  }
  return all;
}

bool Passes(const Clause& clause,
            const std::map<std::string, std::string>& series) {
  return std::all_of(clause.begin(), clause.end(), [&](const auto& matcher) {
    return matcher.Matches(series.at(matcher.name()));
  });
}

bool PassesOne(const Clauses& clauses,
               const std::map<std::string, std::string>& series) {
  return std::any_of(
      clauses.begin(), clauses.end(),
      [&series](const Clause& clause) { return Passes(clause, series); });
}

// What each selector sees of a store that takes the filters is what it may see.
TEST(ConfineFiltersTest, ShowWhatThePolicyShowsOfEachSelector) {
  std::mt19937 random(7);
  const auto pick = [&random](const auto& choices) {
    return std::string(choices[random() % choices.size()]);
  };
  const std::array<const char*, 9> matchers = {
      "a=\"1\"",    "a=~\"1|2\"", "a!=\"3\"", "b=\"2\"", "b=~\".+\"",
      "b!~\"1.*\"", "a=\"\"",     "b!=\"\"",  "a=~\"\""};
  const std::array<const char*, 6> needed = {
      "a=\"1\"",     "a=~\"1|3\"",        "b=\"2\"",
      "b=~\"[12]\"", "__name__=\"jobs\"", "__name__=~\"up|j.*\""};
  const std::array<const char*, 3> names = {
      "__name__=\"up\"", "__name__=\"jobs\"", "__name__=~\".+\""};
  int left = 0;
  for (int round = 0; round < 2000; ++round) {
    Clauses clauses;
    for (size_t i = 0; i <= random() % 4; ++i) {
      clauses.push_back(
          Selector(absl::StrCat("{", pick(needed), ",", pick(matchers), "}")));
    }
    const std::vector<std::string> selectors = {
        absl::StrCat("{", pick(names), ",", pick(matchers), "}"),
        absl::StrCat("{", pick(names), "}")};
    const std::string query =
        absl::StrCat("count(", selectors[0], ") + ", selectors[1]);
    const auto made = Filtered(query, clauses);
    ASSERT_THAT(made, IsOk()) << query;
    left += made->needs_filters ? 1 : 0;
    const absl::StatusOr<ExprPtr> sent = Parse(made->text);
    ASSERT_THAT(sent, IsOk()) << made->text;
    const auto found = Selectors(static_cast<const Expr&>(**sent));
    ASSERT_THAT(found, IsOk());
    ASSERT_THAT(*found, SizeIs(2));
    const Clauses filters = Grants(made->filters);
    for (const auto& series : AllSeries()) {
      for (size_t i = 0; i < 2; ++i) {
        const bool shown = Passes((*found)[i]->matchers, series) &&
                           (filters.empty() || PassesOne(filters, series));
        EXPECT_EQ(shown, Passes(Selector(selectors[i]), series) &&
                             PassesOne(clauses, series))
            << query << " " << made->text << " "
            << absl::StrJoin(made->filters, " ");
      }
    }
  }
  EXPECT_GT(left, 500);
}

}  // namespace
}  // namespace insula::promql
