#include "libs/labels/matcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/status/status_matchers.h"

namespace insula::labels {
namespace {

using ::testing::HasSubstr;

Matcher Make(MatchType type, absl::string_view value) {
  absl::StatusOr<Matcher> matcher = Matcher::Create(type, "l", value);
  EXPECT_THAT(matcher, IsOk()) << value;
  return *matcher;
}

bool RegexMatches(absl::string_view pattern, absl::string_view value) {
  const bool matches = Make(MatchType::kRegex, pattern).Matches(value);
  EXPECT_NE(matches, Make(MatchType::kNotRegex, pattern).Matches(value));
  return matches;
}

TEST(MatcherTest, EqualAndNotEqualCompareWholeValues) {
  EXPECT_TRUE(Make(MatchType::kEqual, "a.c").Matches("a.c"));
  EXPECT_FALSE(Make(MatchType::kEqual, "a.c").Matches("abc"));
  EXPECT_FALSE(Make(MatchType::kNotEqual, "a.c").Matches("a.c"));
  EXPECT_TRUE(Make(MatchType::kNotEqual, "a.c").Matches("abc"));
}

TEST(MatcherTest, ExpressionsAreAnchoredAlsoAcrossAlternatives) {
  EXPECT_TRUE(RegexMatches("foo|bar", "foo"));
  EXPECT_TRUE(RegexMatches("foo|bar", "bar"));
  EXPECT_FALSE(RegexMatches("foo|bar", "foox"));
  EXPECT_FALSE(RegexMatches("foo|bar", "xbar"));
  EXPECT_FALSE(RegexMatches("literal", "a literal"));
  EXPECT_TRUE(RegexMatches("a|ab", "ab"));
  EXPECT_FALSE(RegexMatches("(?m)^a$", "a\nb"));
}

TEST(MatcherTest, DotMatchesALineFeed) {
  EXPECT_TRUE(RegexMatches("a.b", "a\nb"));
  EXPECT_TRUE(RegexMatches(".*", "a\nb"));
  EXPECT_TRUE(RegexMatches(".+", "\n"));
  EXPECT_FALSE(RegexMatches("(?-s)a.b", "a\nb"));
}

TEST(MatcherTest, KnowsWhetherAnAbsentLabelPasses) {
  EXPECT_TRUE(Make(MatchType::kEqual, "").MatchesEmpty());
  EXPECT_FALSE(Make(MatchType::kEqual, "a").MatchesEmpty());
  EXPECT_TRUE(Make(MatchType::kNotEqual, "a").MatchesEmpty());
  EXPECT_FALSE(Make(MatchType::kNotEqual, "").MatchesEmpty());
  for (const char* pattern :
       {"", ".*", "a*", "a|", "|a", "()", "(a|b)?", "^$"}) {
    EXPECT_TRUE(Make(MatchType::kRegex, pattern).MatchesEmpty()) << pattern;
    EXPECT_FALSE(Make(MatchType::kNotRegex, pattern).MatchesEmpty()) << pattern;
  }
  for (const char* pattern : {".+", "a", "a|b", "a+", "."}) {
    EXPECT_FALSE(Make(MatchType::kRegex, pattern).MatchesEmpty()) << pattern;
  }
}

TEST(MatcherTest, RefusesWhatIsNoExpressionByItself) {
  // Each of these would change its surroundings if it were put into `^(?:...)$`
  // before being checked.
  for (const char* pattern : {"a)|(.*", ")(", "a)|(?:b", "(", ")", "[", "a**",
                              "\\", "(?P<n", "a{1001}", "(?z)", "\\8"}) {
    EXPECT_THAT(Matcher::Create(MatchType::kRegex, "l", pattern),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("error parsing regexp")))
        << pattern;
  }
}

TEST(MatcherTest, RefusesTheAnyByteEscapeButNotItsLetters) {
  for (const char* pattern : {"\\C", "a\\C+", "\\Qx\\E\\C", "\\\\\\C"}) {
    EXPECT_THAT(Matcher::Create(MatchType::kRegex, "l", pattern),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\\C")))
        << pattern;
  }
  EXPECT_TRUE(RegexMatches("\\\\C", "\\C"));
  EXPECT_TRUE(RegexMatches("\\Q\\C\\E", "\\C"));
}

TEST(MatcherTest, ListsOfValuesNeedNoAutomaton) {
  const auto cost = [](absl::string_view pattern) {
    const auto matcher = Matcher::Create(MatchType::kRegex, "l", pattern);
    EXPECT_THAT(matcher, IsOk());
    return matcher->regex_cost();
  };
  EXPECT_EQ(cost("LIST|GET"), 0u);
  EXPECT_EQ(cost("resource|"), 0u);
  EXPECT_GT(cost("a|b."), 0u);
  std::string longer = "v0";
  for (int i = 1; i < 200; ++i) absl::StrAppend(&longer, "|v", i);
  EXPECT_GT(cost(longer), 0u);
  for (const std::string& list : {std::string("v0|v7||v12"), longer}) {
    EXPECT_TRUE(RegexMatches(list, "v0")) << list;
    EXPECT_TRUE(RegexMatches(list, "v7")) << list;
    EXPECT_TRUE(RegexMatches(list, "v12")) << list;
    for (const char* other : {"v", "v0|v7", "|", "v700", "0|v7", "v0|", "x"}) {
      EXPECT_FALSE(RegexMatches(list, other)) << list << " " << other;
    }
  }
  EXPECT_TRUE(RegexMatches("a||b", ""));
  EXPECT_TRUE(RegexMatches("|", ""));
  EXPECT_FALSE(RegexMatches("a|b", ""));
  EXPECT_TRUE(RegexMatches("\xc3\xb6|b", "\xc3\xb6"));
}

TEST(MatcherTest, RefusesQuotingThatIsLeftOpen) {
  for (const char* pattern :
       {"\\Qx", "a\\Q", "\\Qx\\", "\\Qa\\E\\Qb", "(\\Qa)", "\\\\\\Qx"}) {
    EXPECT_THAT(
        Matcher::Create(MatchType::kRegex, "l", pattern),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 HasSubstr("error parsing regexp: missing closing ): `")))
        << pattern;
  }
  EXPECT_TRUE(RegexMatches("\\Qa|b\\E|c", "a|b"));
  EXPECT_TRUE(RegexMatches("\\Qa|b\\E|c", "c"));
  EXPECT_FALSE(RegexMatches("\\Qa|b\\E|c", "b"));
  EXPECT_TRUE(RegexMatches("\\\\Qx", "\\Qx"));
}

TEST(MatcherTest, RefusesExpressionsThatAreNotUtf8) {
  for (const char* pattern : {"\xff", "a.\xc3", "\xed\xa0\x80"}) {
    EXPECT_THAT(
        Matcher::Create(MatchType::kRegex, "l", pattern),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("UTF-8")));
  }
  EXPECT_TRUE(Make(MatchType::kEqual, "\xff").Matches("\xff"));
}

TEST(MatcherTest, RefusesAnExpressionThatCostsTooMuchBeforeCompilingIt) {
  std::string large;
  for (int i = 0; i < 60'000; ++i) large += "\\pL";
  // Compiling it would take seconds and two gigabytes.
  EXPECT_THAT(Matcher::Create(MatchType::kRegex, "l", large),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("expression too large")));
  EXPECT_THAT(Matcher::Create(MatchType::kNotRegex, "l", "[a-z]{100}", 1000),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("more than the 1000 allowed")));
  EXPECT_THAT(Matcher::Create(MatchType::kRegex, "l", "((a{100}){100}){100}"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(MatcherTest, TellsWhatItsExpressionCost) {
  EXPECT_EQ(Make(MatchType::kEqual, "a.*").regex_cost(), 0u);
  EXPECT_EQ(Make(MatchType::kRegex, "literal").regex_cost(), 0u);
  EXPECT_GT(Make(MatchType::kRegex, "x{500}").regex_cost(), 500u);
}

TEST(MatcherTest, EqualityIsOfText) {
  EXPECT_EQ(Make(MatchType::kRegex, "a|b"), Make(MatchType::kRegex, "a|b"));
  EXPECT_FALSE(Make(MatchType::kRegex, "a|b") ==
               Make(MatchType::kRegex, "b|a"));
  EXPECT_FALSE(Make(MatchType::kEqual, "a") == Make(MatchType::kRegex, "a"));
  EXPECT_FALSE(*Matcher::Create(MatchType::kEqual, "x", "a") ==
               Make(MatchType::kEqual, "a"));
}

}  // namespace
}  // namespace insula::labels
