#include "libs/promql/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "libs/promql/clone.h"
#include "libs/promql/dialect.h"
#include "libs/promql/pretty.h"
#include "libs/promql/printer.h"
#include "libs/promql/testdata_cases.h"
#include "libs/promql/tree_json.h"
#include "libs/promql/visit.h"
#include "libs/status/status_matchers.h"

namespace insula::promql {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string Repeat(absl::string_view text, int times) {
  std::string repeated;
  for (int i = 0; i < times; ++i) absl::StrAppend(&repeated, text);
  return repeated;
}

// The canonical form, or "! " and the error.
std::string Outcome(absl::string_view query) {
  const absl::StatusOr<ExprPtr> expr = Parse(query);
  if (!expr.ok()) return absl::StrCat("! ", expr.status().message());
  return absl::StrCat("= ", Print(**expr));
}

TEST(ParserTest, GivesTheCanonicalFormOrTheErrorOfEachCase) {
  const std::vector<Case> cases = ReadCases(TESTDATA_DIR, "parse.test");
  EXPECT_GE(cases.size(), 700u);
  for (const Case& c : cases) {
    EXPECT_EQ(Outcome(c.query), c.outcome)
        << "parse.test:" << c.line << ": " << c.query;
  }
}

TEST(ParserTest, AgreesWithPrometheusOnItsOwnTests) {
  const std::vector<Case> cases = ReadCases(TESTDATA_DIR, "prometheus.test");
  EXPECT_GE(cases.size(), 1000u);
  for (const Case& c : cases) {
    EXPECT_EQ(Outcome(c.query), c.outcome)
        << "prometheus.test:" << c.line << ": " << c.query;
  }
}

TEST(ParserTest, PrintsAFixpoint) {
  for (const char* name : {"parse.test", "prometheus.test"}) {
    for (const Case& c : ReadCases(TESTDATA_DIR, name)) {
      if (!absl::StartsWith(c.outcome, "= ")) continue;
      EXPECT_EQ(Outcome(c.outcome.substr(2)), c.outcome)
          << name << ":" << c.line << ": " << c.query;
    }
  }
}

TEST(ParserTest, CountsLinesAndBytesFromOne) {
  EXPECT_EQ(Outcome("foo\n  +\n bar baz"),
            "! 3:6: parse error: unexpected identifier \"baz\"");
  EXPECT_EQ(Outcome("(\n1\n==\n2)"),
            "! 3:1: parse error: comparisons between scalars must use BOOL "
            "modifier");
  EXPECT_EQ(Outcome("\"\xc3\xa4\" $"),
            "! 1:6: parse error: unexpected character: '$'");
}

TEST(ParserTest, SkipsCommentsAndSpacesOfAllKinds) {
  EXPECT_EQ(Outcome("# first\nfoo{ # in braces }\n a = 'b' }\t#\xff\xfe\r\n"
                    "[ \n 5m \r ] # last"),
            "= foo{a=\"b\"}[5m]");
}

TEST(ParserTest, RefusesBytesThatAreNotUtf8ButNotTheirEscapes) {
  EXPECT_THAT(Outcome("\"\xff\""),
              HasSubstr("1:1: parse error: invalid UTF-8"));
  EXPECT_THAT(Outcome("`\xff`"), HasSubstr("1:1: parse error: invalid UTF-8"));
  EXPECT_THAT(Outcome("\xff"), HasSubstr("unexpected character"));
  EXPECT_THAT(Outcome("\xc2\xa0"
                      "foo"),
              HasSubstr("unexpected character: '\\u00a0'"));
  EXPECT_EQ(Outcome("'\\xff\\xc3\\xa4'"), "= \"\\xff\xc3\xa4\"");
}

TEST(ParserTest, KeepsNulBytesInStrings) {
  using namespace std::string_view_literals;
  EXPECT_EQ(Outcome(absl::string_view("\"a\0b\"", 5)), "= \"a\\x00b\"");
  EXPECT_THAT(Outcome(absl::string_view("foo\0", 4)),
              HasSubstr("unexpected character"));
}

TEST(ParserTest, ParsesSelectorsForMatch) {
  const auto parse = [](absl::string_view text) -> std::string {
    const auto matchers = ParseMetricSelector(text);
    if (!matchers.ok()) return std::string(matchers.status().message());
    return PrintSelector(*matchers);
  };
  EXPECT_EQ(parse("up"), "{__name__=\"up\"}");
  EXPECT_EQ(parse(" sum { b = 'c', a != `d`, } # x"),
            "{__name__=\"sum\",a!=\"d\",b=\"c\"}");
  EXPECT_EQ(parse("{}"), "{}");
  EXPECT_EQ(parse("up{__name__=\"x\"}"), "{__name__=\"up\",__name__=\"x\"}");
  EXPECT_EQ(parse("up[5m]"), "1:3: parse error: unexpected \"[\"");
  EXPECT_EQ(parse("up offset 5m"), "1:4: parse error: unexpected <offset>");
  EXPECT_EQ(parse("up or down"), "1:4: parse error: unexpected <op:or>");
  EXPECT_EQ(parse(""), "1:1: parse error: unexpected end of input");
  EXPECT_EQ(parse("(up)"), "1:1: parse error: unexpected \"(\"");
  EXPECT_EQ(parse("bool"), "1:1: parse error: unexpected <bool>");
  EXPECT_EQ(parse("{a=~\"(\"}"),
            "1:2: parse error: error parsing regexp: missing ): `(`");
}

TEST(ParserTest, KeepsTheMatchersInTheOrderOfTheText) {
  const auto expr = Parse("up{b=\"1\",a=~\"2\"}");
  ASSERT_THAT(expr, IsOk());
  const auto selectors = Selectors(**expr);
  ASSERT_THAT(selectors, IsOk());
  ASSERT_THAT(*selectors, SizeIs(1));
  std::vector<std::string> names;
  for (const labels::Matcher& m : (*selectors)[0]->matchers) {
    names.push_back(m.name());
  }
  EXPECT_THAT(names, ElementsAre("b", "a", "__name__"));
}

// Runs `parse` on a thread with a stack of `bytes`.
void OnStackOf(size_t bytes, std::function<void()> parse) {
  pthread_attr_t attributes;
  pthread_t thread;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, bytes), 0);
  const auto run = [](void* f) -> void* {
    (*static_cast<std::function<void()>*>(f))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, &parse), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
}

class ParserLimitTest : public testing::Test {
 protected:
  // Fails if `query` takes long: everything here is linear.
  std::string Timed(absl::string_view query, ParseOptions options = {}) {
    const auto start = std::chrono::steady_clock::now();
    std::string outcome = "ok";
    {
      const absl::StatusOr<ExprPtr> expr = Parse(query, options);
      if (expr.ok()) {
        printed_ = Print(**expr);
      } else {
        outcome = std::string(expr.status().message());
      }
    }  // Frees the tree.
    const auto took = std::chrono::steady_clock::now() - start;
    // Sanitizers, an emulator or a loaded machine included.
    EXPECT_LT(took, std::chrono::seconds(20)) << query.substr(0, 40);
    return outcome;
  }

  std::string printed_;
};

TEST_F(ParserLimitTest, RefusesLongTexts) {
  EXPECT_EQ(
      Timed(Repeat("1+", 140'000) + "1"),
      "1:1: parse error: the query has 280001 bytes, more than the 262144 "
      "allowed; shorten it");
  EXPECT_EQ(Timed("up", {.max_bytes = 2}), "ok");
  EXPECT_THAT(Timed("up ", {.max_bytes = 2}), HasSubstr("3 bytes"));
}

TEST_F(ParserLimitTest, RefusesManyTokens) {
  EXPECT_EQ(Timed(Repeat("1+", 80'000) + "1"),
            "1:65537: parse error: the query has more than the 65536 words and "
            "signs allowed; shorten it");
  EXPECT_EQ(Timed("1 + 1", {.max_tokens = 3}), "ok");
  EXPECT_THAT(Timed("1 + 1", {.max_tokens = 2}), HasSubstr("1:5: "));
}

TEST_F(ParserLimitTest, ChainsOfOperatorsDoNotNest) {
  const ParseOptions options{.max_tokens = 1'000'000};
  const std::string chain = Repeat("1+", 80'000) + "1";
  EXPECT_EQ(Timed(chain, options), "ok");
  EXPECT_EQ(printed_, Repeat("1 + ", 80'000) + "1");
  EXPECT_EQ(Timed(Repeat("a or ", 50'000) + "a", options), "ok");
  EXPECT_EQ(Timed(Repeat("a and b or ", 20'000) + "a", options), "ok");
  EXPECT_EQ(Timed(Repeat("a*b+", 50'000) + "a", options), "ok");
  EXPECT_THAT(Timed(chain + "+", options),
              HasSubstr("unexpected end of input"));
  EXPECT_THAT(Timed(chain + "+\"\"", options), HasSubstr("binary expression"));
}

TEST_F(ParserLimitTest, RefusesDeepNestingOfEveryKind) {
  const ParseOptions options{.max_bytes = 10 << 20, .max_tokens = 10'000'000};
  constexpr int kDeep = 100'000;
  for (const char* opening :
       {"(", "-", "+", "1^", "abs(", "sum(", "sum by(a)(", "topk(1,", "-(",
        "1+(", "1*-(", "a or b and c==d+e*f^(", "abs(-", "sum(a+",
        "(a[5m:", "label_replace("}) {
    EXPECT_THAT(Timed(Repeat(opening, kDeep), options),
                HasSubstr(absl::StartsWith(opening, "(a[")
                              ? "subquery selector"
                              : "nested more than the 256 levels"))
        << opening;
  }
  EXPECT_THAT(Timed(Repeat("(", kDeep) + "1" + Repeat(")", kDeep), options),
              HasSubstr("1:257: parse error: the query is nested more than"));
  EXPECT_THAT(Timed("a" + Repeat("[5m:1m]", kDeep), options),
              HasSubstr("nested more than"));
  EXPECT_THAT(Timed("a" + Repeat(" offset 5m", kDeep), options),
              HasSubstr("multiple times"));
}

TEST_F(ParserLimitTest, AllowsNestingUpToTheLimit) {
  EXPECT_EQ(Timed(Repeat("(", 256) + "1" + Repeat(")", 256)), "ok");
  EXPECT_EQ(Timed(Repeat("abs(", 256) + "a" + Repeat(")", 256)), "ok");
  EXPECT_EQ(Timed(Repeat("-", 256) + "a"), "ok");
  EXPECT_EQ(Timed(Repeat("a^", 256) + "a"), "ok");
  // Levels that have been closed do not count.
  EXPECT_EQ(Timed(Repeat("(a)+-a^a*sum(a)*", 2'000) + "a"), "ok");
  EXPECT_THAT(Timed(Repeat("(", 257) + "1" + Repeat(")", 257)),
              HasSubstr("nested"));
  EXPECT_THAT(Timed("((1))", {.max_depth = 1}), HasSubstr("the 1 levels"));
  EXPECT_THAT(Timed(Repeat("(", 2'000), {.max_depth = 1'500}),
              HasSubstr("the 1500 levels"));
}

// Whatever the options allow: nothing recurses. Frames are larger with
// sanitizers, and yet 20,000 of the smallest do not fit.
TEST_F(ParserLimitTest, NestingTakesNoStack) {
  const ParseOptions options{.max_bytes = 10 << 20,
                             .max_tokens = 10'000'000,
                             .max_depth = 1'000'000,
                             .dialect = NewestDialect()};
  static constexpr int kDeep = 20'000;
  struct Nest {
    const char* opening;
    const char* inner;
    const char* closing;
  };
  OnStackOf(256 << 10, [&options] {
    for (const Nest& nest : std::vector<Nest>{
             {"(", "1", ")"},
             {"abs(", "a", ")"},
             {"-", "a", ""},
             {"1^", "a", ""},
             {"a+", "a", ""},
             {"", "a", "[5m:1m]"},
             {"sum by (a) (-", "a", ")"},
             {"topk(scalar(", "a", "), a)"},
             {"a or b and c==d+e*f^(", "a", ")"},
             {"label_replace(", "a", R"(, "a", "b", "c", "d"))"},
         }) {
      // A subquery of a subquery is an error of types, found in the end.
      const bool wrong = absl::StartsWith(nest.closing, "[");
      const auto parsed = Parse(Repeat(nest.opening, kDeep) + nest.inner +
                                    Repeat(nest.closing, kDeep),
                                options);
      ASSERT_EQ(parsed.ok(), !wrong) << nest.opening << parsed.status();
      EXPECT_FALSE(Parse(Repeat(nest.opening, kDeep), options).ok());
      if (wrong) continue;
      const std::string text = Print(**parsed);
      EXPECT_GE(text.size(), kDeep);
      size_t budget = size_t{1} << 30;
      const ExprPtr copy = Clone(**parsed, &budget);
      ASSERT_NE(copy, nullptr);
      EXPECT_EQ(Print(*copy), text) << nest.opening;
      const bool signs = absl::string_view(nest.opening) == "-";
      EXPECT_EQ(PrettyPrint(*copy).ok(), signs) << "spaces without a bound";
      EXPECT_GE(TreeJson(*copy).size(), text.size());
    }
    for (const Nest& nest : std::vector<Nest>{{"(", "step()", ")"},
                                              {"-", "1m", ""},
                                              {"1+(", "1m", ")"},
                                              {"1^", "2", ""},
                                              {"min_of(1,", "2", ")"}}) {
      constexpr int kLess = 2'000;  // Each level is copied for those above it.
      EXPECT_THAT(Parse("a[" + Repeat(nest.opening, kLess) + nest.inner +
                            Repeat(nest.closing, kLess) + "]",
                        options),
                  IsOk())
          << nest.opening;
    }
  });
}

TEST_F(ParserLimitTest, StandsHugeLists) {
  std::vector<std::string> names;
  for (int i = 0; i < 15'000; ++i) names.push_back(absl::StrCat("l", i));
  const std::string list = absl::StrJoin(names, ",");
  EXPECT_EQ(Timed(absl::StrCat("sum by (", list, ") (a)")), "ok");
  EXPECT_EQ(Timed(absl::StrCat("a + on (", list, ") group_left (x) b")), "ok");
  EXPECT_EQ(Timed(absl::StrCat("a{", Repeat("a=\"b\",", 15'000), "}")), "ok");
  EXPECT_EQ(Timed(absl::StrCat("label_join(a, \"b\", \",\"",
                               Repeat(", \"c\"", 30'000), ")")),
            "ok");
  EXPECT_EQ(Timed(absl::StrCat("a + on (", list, ") group_left (",
                               Repeat("x,", 15'000), "l14999) b")),
            "1:3: parse error: label \"l14999\" must not occur in ON and GROUP "
            "clause at once");
}

TEST_F(ParserLimitTest, StandsHugeTokens) {
  const std::string large(200'000, 'a');
  EXPECT_EQ(Timed(large), "ok");
  EXPECT_EQ(Timed(absl::StrCat("{a=\"", large, "\"}")), "ok");
  EXPECT_EQ(Timed(absl::StrCat("#", large, "\n1")), "ok");
  EXPECT_THAT(Timed(std::string(200'000, '1')), HasSubstr("out of range"));
  EXPECT_THAT(Timed(absl::StrCat("a[", std::string(200'000, '1'), "s]")),
              HasSubstr("duration out of range"));
  EXPECT_THAT(Timed(absl::StrCat("a[", Repeat("1s", 100'000), "]")),
              HasSubstr("not a valid duration"));
  EXPECT_THAT(Timed(absl::StrCat("\"", Repeat("\\x41", 50'000))),
              HasSubstr("unterminated"));
}

TEST_F(ParserLimitTest, BoundsTheRegularExpressionsOfAQuery) {
  EXPECT_THAT(Timed("{a=~\"((b{100}){100}){100}\"}"), HasSubstr("regexp"));
  EXPECT_THAT(
      Timed(absl::StrCat("{", Repeat("a=~\"\\\\pL{900}\",", 1'000), "}")),
      HasSubstr("expression too large"));
  EXPECT_THAT(Timed(absl::StrCat("{a=~\"", Repeat("(", 200'000), "\"}")),
              HasSubstr("regexp"));
  EXPECT_EQ(Timed(absl::StrCat("{a=~\"", Repeat("pod-[0-9]+|", 2'000), "x\"}")),
            "ok");
}

}  // namespace
}  // namespace insula::promql
