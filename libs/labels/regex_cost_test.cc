#include "libs/labels/regex_cost.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace insula::labels {
namespace {

// The number of instructions RE2 makes of it, 0 if it is no expression.
size_t Instructions(const std::string& pattern) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_dot_nl(true);
  options.set_max_mem(int64_t{1} << 30);
  const re2::RE2 automaton(pattern, options);
  return automaton.ok() ? automaton.ProgramSize() : 0;
}

TEST(RegexCostTest, IsAboutTheSizeOfTheAutomaton) {
  for (const char* pattern : {"",
                              "a",
                              "a|b|c",
                              "5..",
                              "pod-[0-9]+-[a-z0-9]{5}",
                              ".*foo.*",
                              "x{1000}",
                              "[^a]{0,1000}",
                              "\\pL{100}",
                              "(?i)\\pL{50}",
                              "((a|b){10}c){20}",
                              "(?:(?i)x{10}){20,}",
                              "a{3,}b{,4}",
                              "a{1,\\pL\\pL\\pL\\pL}",
                              "a{1 ,[\\pL\\PN]}",
                              "a{01}{007,9}{1000000000}{0}",
                              "[[:alpha:]]{30}",
                              "[]a]{50}",
                              "[^]a]{50}",
                              "[\\]a]{50}",
                              "\\Qa{9}(\\E{20}",
                              "(?P<n>x{2}){400}",
                              "\\w{200}",
                              "\\D{300}",
                              "[\\pL\\pN]{60}",
                              ".{900}",
                              "(a*b+c?){300}",
                              "\\x{10FFFF}{100}",
                              "[\\x{0}-\\x{10FFFF}]{100}",
                              "(?s:.){100}",
                              "(\\pL|\\PN){30}",
                              "ä{400}",
                              "[а-я]{400}",
                              "(?i)[а-я]{200}"}) {
    const size_t instructions = Instructions(pattern);
    ASSERT_GT(instructions, 0u) << pattern;
    EXPECT_GE(RegexCost(pattern) * 2, instructions) << pattern;
    EXPECT_LE(RegexCost(pattern), instructions * 40 + 40'000) << pattern;
  }
}

TEST(RegexCostTest, SeesThroughNesting) {
  EXPECT_GE(RegexCost("((a{100}){100}){100}"), 1'000'000u);
  EXPECT_GE(RegexCost("(((x){1000}){1000}){1000}"), 1'000'000'000u);
  EXPECT_GE(RegexCost("((((x{1000}){1000}){1000}){1000}){1000}{1000}{1000}"),
            1'000'000'000u);
}

TEST(RegexCostTest, RepetitionsAndGroupsCostTheirSquare) {
  const auto repeat = [](absl::string_view text, int times) {
    std::string repeated;
    for (int i = 0; i < times; ++i) absl::StrAppend(&repeated, text);
    return repeated;
  };
  // Each takes RE2 three seconds or more.
  for (const std::string& pattern :
       {repeat("a?", 60'000), repeat(".??", 30'000), repeat("(a|b)?", 30'000),
        repeat("(?:a?)", 30'000), repeat(".{0,1000}", 30),
        repeat(".{1,1000}", 30), repeat("a{2,5}|c+a{2,5}a?", 11'000),
        repeat("$??b*a{2,5}|", 16'000), repeat("|(a|ab|abc)", 18'000)}) {
    EXPECT_GE(RegexCost(pattern), 10'000'000u) << pattern.substr(0, 20);
  }
  EXPECT_LE(RegexCost(repeat("https?://[a-z]+.*|", 800)), 500'000u);
  EXPECT_LE(RegexCost(".{0,1000}"), 100'000u);
}

TEST(RegexCostTest, ListsOfNamesCostTheirLength) {
  std::string names = "a";
  for (int i = 0; i < 5'000; ++i) absl::StrAppend(&names, "|pod-", i);
  EXPECT_LE(RegexCost(names), 3 * names.size());
}

TEST(RegexCostTest, StandsAnything) {
  for (const absl::string_view pattern : {"{",
                                          "}",
                                          "{}",
                                          "{,}",
                                          "{9}",
                                          "a{",
                                          "a{9",
                                          "a{x}",
                                          "(",
                                          ")",
                                          "))((",
                                          "[",
                                          "[]",
                                          "[^",
                                          "[^]",
                                          "[\\",
                                          "[[:",
                                          "\\",
                                          "\\Q",
                                          "\\Q\\E{9}",
                                          "\\p",
                                          "a{99999999999999999999}",
                                          "a{18446744073709551615}",
                                          "**{9}{9}"}) {
    EXPECT_GT(RegexCost(pattern), 0u) << pattern;
  }
  for (const absl::string_view unit :
       {"(", "{", "[[:", "\\p{", "\\Q", "a{9", "[", "\\"}) {
    std::string pattern;  // As many as a query can hold, in linear time.
    while (pattern.size() < 250'000) absl::StrAppend(&pattern, unit);
    EXPECT_GT(RegexCost(pattern), 10u) << unit;
  }
}

}  // namespace
}  // namespace insula::labels
