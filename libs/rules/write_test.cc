#include "libs/rules/write.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/rules/rule_file.h"

namespace insula::rules {
namespace {

using ::testing::ElementsAre;

std::string Problems(const ParsedFile& file) {
  std::string text;
  for (const Problem& problem : file.problems) {
    absl::StrAppend(&text, problem.ToString(), "\n");
  }
  return text;
}

Group Example() {
  Group group;
  group.name = "requests";
  group.interval = absl::Seconds(90);
  group.query_offset = absl::ZeroDuration();
  group.limit = 20;
  group.labels = {{"team", "red"}};
  group.rules.resize(2);
  group.rules[0].record = "r";
  group.rules[0].expr = "sum(\n  up\n)";
  group.rules[1].alert = "A";
  group.rules[1].expr = "up{job=\"a\"} == 0";
  group.rules[1].for_duration = absl::Minutes(60);
  group.rules[1].keep_firing_for = absl::Milliseconds(1500);
  group.rules[1].labels = {{"null", ""}};
  group.rules[1].annotations = {{"a", "\\ {{ $value }}\t"}};
  return group;
}

TEST(WriteTest, WritesWhatIsThereAndNothingElse) {
  Group small;
  small.name = "small";
  EXPECT_EQ(Write({Example(), small}), R"yaml(groups:
  - name: "requests"
    interval: 1m30s
    query_offset: 0s
    limit: 20
    labels:
      "team": "red"
    rules:
      - record: "r"
        expr: "sum(\n  up\n)"
      - alert: "A"
        expr: "up{job=\"a\"} == 0"
        for: 1h
        keep_firing_for: 1s500ms
        labels:
          "null": ""
        annotations:
          "a": "\\ {{ $value }}\t"
  - name: "small"
    rules: []
)yaml");
  EXPECT_EQ(Write({}), "groups: []\n");
  EXPECT_EQ(WriteGroup(small), "name: \"small\"\nrules: []\n");
}

TEST(WriteTest, WritesTextThatNoReaderTakesForAnythingElse) {
  for (const std::string& text :
       {std::string("\0\x01\x1f\x7f", 4), std::string("\r\n\r \n"),
        std::string(" x "), std::string("\"'`\\"), std::string("null"),
        std::string("~"), std::string("0x1F"), std::string("*a &b !c # d"),
        std::string("- a: b"), std::string("---\n..."),
        std::string("\xc2\x85 \xe2\x80\xa8 \xe2\x80\xa9 \xef\xbb\xbf"),
        std::string("\xef\xbf\xbe \xef\xbf\xbd \xf0\x9f\x99\x82"),
        std::string("\xf4\x8f\xbf\xbf \xc2\xa0 \xc2\x9f"), std::string("%YAML"),
        std::string("{{ $x }}"), std::string(5000, 'x')}) {
    Group group;
    group.name = text;
    group.rules.resize(1);
    group.rules[0].alert = text;
    group.rules[0].expr = "up";
    group.rules[0].annotations = {
        {"a", absl::StrContains(text, "{{") ? "" : text}};
    const std::string written = Write({group});
    const ParsedFile read = Parse(written);
    EXPECT_TRUE(read.ok()) << written << Problems(read);
    EXPECT_THAT(read.groups, ElementsAre(group)) << written;
    // A line feed ends each line, and nothing else could.
    for (const char c : written) {
      EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << text;
    }
  }
}

TEST(WriteTest, LongNamesOfLabelsAreRead) {
  for (size_t size : {990, 998, 999, 1024, 100000}) {
    Group group = Example();
    group.query_offset.reset();
    group.labels.clear();
    group.rules[0].labels = {{std::string(size, 'x'), "y"}, {"z", "z"}};
    const ParsedFile read = Parse(Write({group}));
    EXPECT_TRUE(read.ok()) << size << Problems(read);
    EXPECT_THAT(read.groups, ElementsAre(group)) << size;
  }
}

// Groups of every shape, valid for kPrometheus3.
class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  std::vector<Group> Groups() {
    std::vector<Group> groups(Below(4));
    for (size_t i = 0; i < groups.size(); ++i) {
      groups[i] = OneGroup(absl::StrCat(i, Text()));
    }
    return groups;
  }

 private:
  size_t Below(size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(random_);
  }
  bool Often() { return Below(3) != 0; }

  std::string Text() {
    static constexpr const char* kPieces[] = {"a",
                                              " ",
                                              "\n",
                                              "\"",
                                              "\\",
                                              "'",
                                              "#",
                                              ": ",
                                              "- ",
                                              "\t",
                                              "%",
                                              "\xc3\xa9",
                                              "\xe2\x80\xa8",
                                              "\x01",
                                              "0",
                                              "null",
                                              "*",
                                              "&",
                                              "!",
                                              "[",
                                              "}",
                                              "\r",
                                              "---\n",
                                              "\x7f",
                                              ",",
                                              "\xef\xbb\xbf",
                                              "<<",
                                              "?"};
    std::string text;
    for (size_t i = Below(6); i > 0; --i) {
      text += kPieces[Below(std::size(kPieces))];
    }
    return text;
  }

  absl::Duration Time() {
    constexpr int64_t kUnits[] = {1,        1000,      60000,      3600000,
                                  86400000, 604800000, 31536000000};
    absl::Duration sum;
    for (size_t i = Below(3); i > 0; --i) {
      sum += absl::Milliseconds(kUnits[Below(7)] *
                                static_cast<int64_t>(Below(40)));
    }
    return sum;
  }

  Labels SomeLabels() {
    Labels labels;
    for (size_t i = Below(4); i > 0; --i) {
      labels[absl::StrCat("l", Text())] = Text();
    }
    return labels;
  }

  Rule OneRule() {
    static constexpr const char* kExpressions[] = {
        "up", "sum by (a) (rate(x{b=\"\\n\\\"\"}[5m]))", "1", " up # why\n",
        "{\n  __name__=~'a.*'\n} > 1"};
    Rule rule;
    rule.expr = kExpressions[Below(5)];
    rule.labels = SomeLabels();
    if (Often()) {
      rule.record = absl::StrCat("r", Text());
      std::erase_if(rule.record, [](char c) { return c == '{' || c == '}'; });
      return rule;
    }
    rule.alert = absl::StrCat("A", Text());
    rule.for_duration = Time();
    rule.keep_firing_for = Time();
    rule.annotations = SomeLabels();
    return rule;
  }

  Group OneGroup(std::string name) {
    Group group;
    group.name = std::move(name);
    group.interval = Time();
    if (Often()) group.query_offset = Time();
    if (Often()) group.limit = static_cast<int64_t>(Below(1000)) - 10;
    group.labels = SomeLabels();
    for (size_t i = Below(5); i > 0; --i) group.rules.push_back(OneRule());
    return group;
  }

  std::mt19937 random_;
};

TEST(WriteTest, WhatIsReadBackIsWhatWasWritten) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    const std::vector<Group> groups = Maker(seed).Groups();
    const std::string text = Write(groups);
    const ParsedFile read = Parse(text, {.dialect = kPrometheus3});
    ASSERT_TRUE(read.ok()) << seed << "\n" << text << Problems(read);
    ASSERT_EQ(read.groups, groups) << seed << "\n" << text;
    ASSERT_EQ(Write(read.groups), text) << seed;
  }
}

Group Read(absl::string_view group) {
  const ParsedFile file =
      Parse(absl::StrCat("groups:\n- ", group), {.dialect = kPrometheus3});
  EXPECT_TRUE(file.ok()) << Problems(file);
  return file.groups.empty() ? Group() : file.groups[0];
}

TEST(DigestTest, IsTheSameForGroupsThatMeanTheSame) {
  const Group first = Read(R"({name: g, interval: 60s, rules: [
    {record: r, expr: 'sum ( up ) by(job)', labels: {b: x, a: y}},
    {alert: A, expr: 'x{b="1",a="2"}  > 0', for: 3600s, annotations: {}}]})");
  const Group second =
      Read(R"({name: g, interval: 1m, limit: 0, labels: {}, rules: [
    {record: r, expr: 'sum by (job) (up) # how many', labels: {a: y, b: x}},
    {alert: A, expr: 'x{a="2", b="1"} > 0', for: 1h, keep_firing_for: 0s}]})");
  EXPECT_FALSE(first == second);
  EXPECT_EQ(Canonical(first), Canonical(second));
  EXPECT_EQ(Digest(first), Digest(second));
}

TEST(DigestTest, DiffersForGroupsThatDoNot) {
  std::vector<Group> groups(20, Example());
  int i = 1;
  groups[i++].name = "other";
  groups[i++].interval = absl::Seconds(91);
  groups[i++].query_offset.reset();
  groups[i++].limit = 21;
  groups[i++].labels["team"] = "blue";
  groups[i++].labels["other"] = "";
  groups[i++].foreign_keys = {"\"source_tenants\": [\"a\"]"};
  std::swap(groups[i].rules[0], groups[i].rules[1]);
  ++i;
  groups[i++].rules.pop_back();
  groups[i++].rules[0].record = "s";
  groups[i++].rules[0].expr = "max(up)";
  groups[i++].rules[0].expr = "sum(up) +";  // Does not parse.
  groups[i++].rules[1].alert = "B";
  groups[i++].rules[1].for_duration = absl::Minutes(61);
  groups[i++].rules[1].keep_firing_for = absl::ZeroDuration();
  groups[i++].rules[1].labels.clear();
  groups[i++].rules[1].annotations["a"] = "";
  groups[i++].rules[1].annotations.clear();
  groups[i].rules[0].alert = groups[i].rules[0].record;
  groups[i].rules[0].record = "";
  ASSERT_EQ(i, 19);

  std::set<std::string> digests;
  for (const Group& group : groups) {
    EXPECT_EQ(Digest(group).size(), 64u);
    EXPECT_TRUE(digests.insert(Digest(group)).second) << Canonical(group);
  }
}

TEST(DigestTest, TakesAnyNegativeLimitForNone) {
  Group a = Example();
  Group b = Example();
  a.limit = -1;
  b.limit = 0;
  EXPECT_EQ(Digest(a), Digest(b));
}

}  // namespace
}  // namespace insula::rules
