#include "libs/labels/compiled_regexes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <re2/re2.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/labels/matcher.h"
#include "libs/status/status_matchers.h"

namespace insula::labels {
namespace {

std::shared_ptr<const re2::RE2> Automaton(const std::string& pattern) {
  return std::make_shared<const re2::RE2>(pattern);
}

TEST(CompiledRegexesTest, KeepsTheLastOnes) {
  CompiledRegexes regexes;
  const auto name = [](size_t i) { return absl::StrCat("a", i, ".*"); };
  EXPECT_EQ(regexes.Find("a0.*").automaton, nullptr);
  for (size_t i = 0; i < CompiledRegexes::kMost + 10; ++i) {
    regexes.Keep(name(i), {Automaton(name(i)), i});
    regexes.Keep(name(i), {Automaton(name(i)), 0});  // It is there.
  }
  for (size_t i = 0; i < CompiledRegexes::kMost + 10; ++i) {
    const CompiledRegexes::Compiled found = regexes.Find(name(i));
    ASSERT_EQ(found.automaton != nullptr, i >= 10) << i;
    if (i < 10) continue;
    EXPECT_EQ(found.automaton->pattern(), name(i));
    EXPECT_EQ(found.cost, i);
  }
}

// A matcher means the same whether its expression is compiled, known, or was
// forgotten since.
TEST(CompiledRegexesTest, MatchersMeanWhatTheirExpressionsDo) {
  std::mt19937 random(5);
  const std::vector<std::string> parts = {
      "a",       "b",    "foo",      ".*",  ".+",     ".",    "|",
      "(?:a|b)", "[ab]", "\\.",      "a?",  "(?i:f)", "x{2}", "^",
      "$",       "\n",   "\xC3\xA4", "\\d", "(foo|)"};
  const auto make = [&](int most) {
    std::string text;
    for (int i = 1 + static_cast<int>(random() % most); i > 0; --i) {
      text += parts[random() % parts.size()];
    }
    return text;
  };
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_dot_nl(true);
  int compared = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string pattern = make(4);
    const re2::RE2 wanted(pattern, options);
    for (int again = 0; again < 2; ++again) {
      const auto matcher = Matcher::Create(MatchType::kRegex, "l", pattern);
      ASSERT_EQ(matcher.ok(), wanted.ok()) << pattern;
      if (!matcher.ok()) continue;
      EXPECT_EQ(matcher->MatchesEmpty(), re2::RE2::FullMatch("", wanted));
      for (int k = 0; k < 10; ++k) {
        const std::string value = make(3);
        ASSERT_EQ(matcher->Matches(value), re2::RE2::FullMatch(value, wanted))
            << pattern << " of " << value;
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 30'000);
}

// What it costs is no other thing when it is known: a budget holds again.
TEST(CompiledRegexesTest, KnownExpressionsCostWhatTheyDid) {
  const std::string pattern = "foo[0-9]+bar.*";
  const auto first = Matcher::Create(MatchType::kRegex, "l", pattern);
  ASSERT_THAT(first, IsOk());
  const auto second = Matcher::Create(MatchType::kRegex, "l", pattern);
  ASSERT_THAT(second, IsOk());
  EXPECT_GT(first->regex_cost(), 0u);
  EXPECT_EQ(first->regex_cost(), second->regex_cost());
  EXPECT_THAT(
      Matcher::Create(MatchType::kRegex, "l", pattern, first->regex_cost() - 1),
      StatusIs(absl::StatusCode::kInvalidArgument,
               testing::HasSubstr("too large")));
}

}  // namespace
}  // namespace insula::labels
