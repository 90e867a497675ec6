// What a tenant may not do with a file: take much time or memory, or crash.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/rules/confine.h"
#include "libs/rules/rule_file.h"
#include "libs/rules/ruler_answer.h"
#include "libs/rules/template.h"
#include "libs/rules/write.h"

namespace insula::rules {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

constexpr size_t kMebibyte = size_t{1} << 20;

// Generous for sanitizers on a busy machine; what is not bounded takes minutes.
constexpr absl::Duration kEnough = absl::Seconds(30);

std::string Repeat(absl::string_view text, size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (size_t i = 0; i < times; ++i) absl::StrAppend(&out, text);
  return out;
}

// As much of `text` as a file may have.
std::string Fill(absl::string_view start, absl::string_view text) {
  return absl::StrCat(start,
                      Repeat(text, (kMebibyte - start.size()) / text.size()));
}

int64_t PeakKilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// Parses and checks that this took bounded time and memory.
ParsedFile ParseBounded(const std::string& text, size_t max_mebibytes = 400) {
  const absl::Time start = absl::Now();
  const int64_t before = PeakKilobytes();
  ParsedFile file = Parse(text);
  EXPECT_THAT(absl::Now() - start, Le(kEnough));
  EXPECT_THAT(PeakKilobytes() - before,
              Le(static_cast<int64_t>(max_mebibytes) * 1024));
  return file;
}

std::string FirstProblem(const ParsedFile& file) {
  return file.problems.empty() ? "" : file.problems[0].ToString();
}

TEST(HostileRuleFileTest, DeepNestingIsRefused) {
  for (const char* piece : {"[", "{", "- ", "? ", "[{", "{a: ", "[a: "}) {
    const ParsedFile file = ParseBounded(Fill("groups:\n", piece));
    EXPECT_FALSE(file.ok()) << piece;
    EXPECT_THAT(file.groups, IsEmpty()) << piece;
  }
  std::string stairs;
  for (int i = 0; i < 1400; ++i) {
    absl::StrAppend(&stairs, std::string(i, ' '), "-\n");
  }
  EXPECT_THAT(FirstProblem(ParseBounded(stairs)), HasSubstr("nested deeper"));
}

TEST(HostileRuleFileTest, AliasesOfAliasesDoNotMultiply) {
  std::string text = "groups:\n- name: g\n  rules:\n  - &l0 {x: y}\n";
  for (int i = 1; i < 1000; ++i) {
    absl::StrAppend(&text, "  - &l", i, " [",
                    Repeat(absl::StrCat("*l", i - 1, ", "), 9), "]\n");
  }
  EXPECT_FALSE(ParseBounded(text).ok());

  // The same by merge keys, which are followed.
  text = "groups:\n- name: g\n  rules:\n  - &m0 {record: r, expr: up}\n";
  for (int i = 1; i < 1000; ++i) {
    absl::StrAppend(&text, "  - &m", i, "\n    <<: [",
                    Repeat(absl::StrCat("*m", i - 1, ", "), 9), "]\n");
  }
  EXPECT_THAT(FirstProblem(ParseBounded(text)), HasSubstr("aliases"));
}

TEST(HostileRuleFileTest, ALongChainOfMergesIsRefused) {
  std::string text = "groups:\n- name: g\n  rules:\n  - &m0 {expr: up}\n";
  for (int i = 1; i < 4000; ++i) {
    absl::StrAppend(&text, "  - &m", i, " {<<: *m", i - 1, "}\n");
  }
  EXPECT_THAT(FirstProblem(ParseBounded(text)),
              HasSubstr("merge keys (<<) lead on more than 100 times"));
}

TEST(HostileRuleFileTest, AliasesOfALongTextDoNotMultiplyIt) {
  std::string text = absl::StrCat(
      "groups:\n- name: g\n  rules:\n  - {record: r, expr: up, "
      "labels: {a: &a ",
      std::string(kMebibyte / 2, 'x'), "}}\n");
  for (int i = 0; i < 4000; ++i) {
    absl::StrAppend(&text, "  - {record: r", i,
                    ", expr: up, labels: {a: *a}}\n");
  }
  const ParsedFile file = ParseBounded(text);
  EXPECT_THAT(file.groups, IsEmpty());
  EXPECT_THAT(FirstProblem(file), HasSubstr("too long when aliases"));
}

TEST(HostileRuleFileTest, AnAliasToItselfEnds) {
  for (const char* text :
       {"groups: &a [*a]\n", "groups:\n- &a\n  name: g\n  rules: [*a]\n",
        "groups:\n- name: g\n  rules:\n  - &a {<<: *a}\n", "&a {<<: *a}\n"}) {
    EXPECT_THAT(FirstProblem(ParseBounded(text)), HasSubstr("holds itself"))
        << text;
  }
}

TEST(HostileRuleFileTest, ManyGroupsAreRefused) {
  std::string text = "groups:\n";
  for (int i = 0; i < 100000; ++i) absl::StrAppend(&text, "- a: b\n");
  ASSERT_LE(text.size(), kMebibyte);
  EXPECT_FALSE(ParseBounded(text).ok());

  text = absl::StrCat("groups: [", Repeat("{},", 60000), "]\n");
  const ParsedFile file = ParseBounded(text);
  ASSERT_THAT(file.problems, SizeIs(1));
  EXPECT_THAT(FirstProblem(file), HasSubstr("60000 groups"));
}

TEST(HostileRuleFileTest, ManyProblemsAreCutOff) {
  std::string text = "groups:\n- name: g\n  rules:\n";
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&text, "  - record: '{'\n");
  const ParsedFile file = ParseBounded(text);
  ASSERT_THAT(file.problems, SizeIs(1000));
  EXPECT_TRUE(file.problems.back().is_error());
  EXPECT_THAT(file.problems.back().message, HasSubstr("more problems"));
}

TEST(HostileRuleFileTest, ManyWarningsDoNotHideAnError) {
  std::string text = "groups:\n- name: g\n  rules:\n";
  for (int i = 0; i < 2000; ++i) {
    absl::StrAppend(&text, "  - {record: r, expr: up}\n");
  }
  EXPECT_TRUE(ParseBounded(text).ok());
  EXPECT_FALSE(ParseBounded(absl::StrCat(text, "- name: ''\n")).ok());
}

TEST(HostileRuleFileTest, LongScalarsAreTakenOrRefusedButNotRepeated) {
  const std::string megabyte(kMebibyte - 2000, 'x');
  // As the name of a group with many problems: each problem names it.
  std::string text =
      absl::StrCat("groups:\n- name: ", megabyte, "\n  rules:\n");
  for (int i = 0; i < 200; ++i) absl::StrAppend(&text, "  - {}\n");
  const ParsedFile file = ParseBounded(text);
  EXPECT_FALSE(file.ok());
  for (const Problem& problem : file.problems) {
    EXPECT_LE(problem.ToString().size(), 2000u);
  }

  for (const char* place :
       {"groups: ", "groups:\n- name: g\n  ",
        "groups:\n- name: g\n  interval: ", "groups:\n- name: g\n  limit: ",
        "groups:\n- name: g\n  rules:\n  - record: ",
        "groups:\n- name: g\n  rules:\n  - alert: a\n    expr: ",
        "groups:\n- name: g\n  rules:\n  - alert: a\n    expr: up\n    "
        "annotations:\n      a: \"{{",
        "groups: &", "groups: *", "groups: !", "? "}) {
    for (const char* filling : {"x", "0", " ", "\\", "\"", "'", "é"}) {
      const ParsedFile each = ParseBounded(Fill(place, filling));
      for (const Problem& problem : each.problems) {
        EXPECT_LE(problem.ToString().size(), 3000u) << place << filling;
      }
    }
  }
}

TEST(HostileRuleFileTest, BytesThatAreNoTextAreRefused) {
  const std::string start = "groups:\n- name: g\n  rules: []\n";
  for (const std::string& bytes :
       {std::string("\0", 1), std::string("\xff"), std::string("\xc3"),
        std::string("\xed\xa0\x80"), std::string("\xf4\x90\x80\x80"),
        std::string("\x1b[31m"), std::string("\xef\xbf\xbe"),
        std::string("\xc2\x85"), std::string("\xe2\x80\xa8")}) {
    for (const std::string& text :
         {absl::StrCat(start, "# ", bytes), absl::StrCat(bytes, start),
          absl::StrCat("groups:\n- name: \"", bytes, "\"\n")}) {
      const ParsedFile file = Parse(text);
      EXPECT_FALSE(file.ok()) << text;
      EXPECT_THAT(file.groups, IsEmpty()) << text;
    }
  }
  // UTF-16.
  EXPECT_FALSE(Parse(std::string("\xff\xfeg\0r\0", 6)).ok());
  EXPECT_FALSE(Parse(std::string("\0g\0r\0o", 6)).ok());
}

TEST(HostileRuleFileTest, RegularExpressionsShareABudget) {
  std::string text =
      "groups:\n- name: first\n  rules: [{record: r, expr: up}]\n";
  for (int i = 0; i < 900; ++i) {
    absl::StrAppend(&text, "- name: g", i, "\n  rules:\n  - record: r", i,
                    "\n    expr: 'up{a=~\"(", Repeat("\\\\pL", 15), "){5}\"} ",
                    i % 2 == 0 ? "" : ")", "'\n");
  }
  const ParsedFile file = ParseBounded(text);
  EXPECT_FALSE(file.ok());
  EXPECT_THAT(file.groups, Not(IsEmpty()));
  EXPECT_THAT(file.problems.back().message, HasSubstr("cost too much"));
}

TEST(HostileRuleFileTest, GroupLabelsAreNotCopiedForEachRule) {
  std::string text = "groups:\n- name: g\n  labels:\n";
  for (int i = 0; i < 20000; ++i) absl::StrAppend(&text, "    l", i, ": x\n");
  absl::StrAppend(&text, "  rules:\n");
  for (int i = 0; i < 5000; ++i) {
    absl::StrAppend(&text, "  - {record: r, expr: up}\n");
  }
  const absl::Time start = absl::Now();
  const ParsedFile file = Parse(text, {.dialect = kPrometheus3});
  EXPECT_TRUE(file.ok());
  EXPECT_THAT(file.problems, SizeIs(1000));
  EXPECT_THAT(absl::Now() - start, Le(kEnough));
}

TEST(HostileRuleFileTest, TemplatesAreBounded) {
  for (const char* piece :
       {"{{if true}}", "{{(", "{{ ((((", "{{/*", "{{- ", "{{range .}}{{else}}",
        "{{if 1}}{{else if 1}}", "{{else if 1}}", "{{define `x`}}",
        "{{block `x` .}}", "{{with $x := 1}}", "{{", "{{`", "{{\"\\"}) {
    const absl::Time start = absl::Now();
    EXPECT_FALSE(ParseTemplate(Fill("{{if 1}}", piece)).ok()) << piece;
    EXPECT_THAT(absl::Now() - start, Le(kEnough)) << piece;
  }
  const absl::Time start = absl::Now();
  EXPECT_TRUE(ParseTemplate(Fill("", "{ }} ")).ok());
  EXPECT_TRUE(ParseTemplate(Repeat("{{.}}", 20000)).ok());
  EXPECT_FALSE(ParseTemplate(Fill("", "{{.}}")).ok());
  EXPECT_THAT(absl::Now() - start, Le(kEnough));
}

TEST(HostileRuleFileTest, ManyVariablesInATemplateAreRefused) {
  std::string text;
  for (int i = 0; i < 900; ++i) absl::StrAppend(&text, "{{$v", i, " := 1}}");
  const absl::Time start = absl::Now();
  EXPECT_TRUE(
      ParseTemplate(absl::StrCat(text, Repeat("{{$v899}}", 20000))).ok());
  EXPECT_THAT(absl::Now() - start, Le(kEnough));
  EXPECT_FALSE(ParseTemplate(absl::StrCat(text, text)).ok());
}

TEST(HostileRuleFileTest, ConfiningAndWritingAreBounded) {
  std::string expr = "up";
  while (expr.size() < 100000) absl::StrAppend(&expr, " + up");
  Group group;
  group.name = "g";
  group.rules.resize(1);
  group.rules[0].record = "r";
  group.rules[0].expr = expr;
  const std::vector<Problem> problems = Confine(
      Labels{{"namespace", std::string(1000, 'x')}}, ParseOptions(), &group);
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_THAT(problems[0].message, HasSubstr("use fewer selectors"));
  EXPECT_EQ(group.rules[0].expr, expr);
}

TEST(HostileRulerAnswerTest, IsBoundedToo) {
  EXPECT_FALSE(ParseRulerAnswer(Fill("a: ", "[")).ok());
  EXPECT_FALSE(ParseRulerAnswer(Repeat("x", 100), {.max_bytes = 99}).ok());
  std::string text = "n:\n- name: g\n  x0: &m0 [1]\n";
  for (int i = 1; i < 60; ++i) {
    absl::StrAppend(&text, "  x", i, ": &m", i, " [*m", i - 1, ", *m", i - 1,
                    "]\n");
  }
  const absl::Time start = absl::Now();
  EXPECT_FALSE(ParseRulerAnswer(text).ok());
  EXPECT_THAT(absl::Now() - start, Le(kEnough));
}

}  // namespace
}  // namespace insula::rules
