#include "libs/exposition/text_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/recorder.h"
#include "libs/status/status_matchers.h"

namespace insula::exposition {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kExhausted = absl::StatusCode::kResourceExhausted;
constexpr ParserOptions kPlain;
constexpr ParserOptions kOpen = {.format = Format::kOpenMetrics};
constexpr ParserOptions kPlainUtf8 = {.utf8_names = true};
constexpr ParserOptions kOpenUtf8 = {.format = Format::kOpenMetrics,
                                     .utf8_names = true};

absl::Status Parse(const ParserOptions& options, absl::string_view text,
                   Recorder* recorder) {
  TextParser parser(options, recorder);
  const absl::Status status = parser.Feed(text);
  return status.ok() ? parser.Finish() : status;
}

// What a text without faults holds; the last line may lack its line feed.
std::vector<std::string> Calls(const ParserOptions& options,
                               absl::string_view text) {
  Recorder recorder;
  std::string whole(text);
  if (!absl::EndsWith(whole, "\n")) whole += "\n";
  if (options.format == Format::kOpenMetrics) whole += "# EOF\n";
  EXPECT_THAT(Parse(options, whole, &recorder), IsOk()) << text;
  return recorder.calls();
}

absl::Status Refused(const ParserOptions& options, absl::string_view text) {
  Recorder recorder;
  return Parse(options, absl::StrCat(text, "\n# EOF\n"), &recorder);
}

TEST(TextParserTest, ReadsSamples) {
  EXPECT_THAT(
      Calls(kPlain,
            "up 1\n"
            "up{} 2\n"
            "\n \t \n"
            "a:b{x=\"1\",y=\"\"} 0.5 1520879607789\n"),
      ElementsAre("up{} 3ff0000000000000", "up{} 4000000000000000",
                  "a:b{x=\"1\",y=\"\",} 3fe0000000000000 @1520879607789"));
}

TEST(TextParserTest, BlanksMayStandBetweenAllTokens) {
  const std::vector<std::string> expected = {
      "a{b=\"c\",d=\"e\",} 3ff0000000000000 @5"};
  for (const char* text : {"a{b=\"c\",d=\"e\"} 1 5", "a{b=\"c\",d=\"e\",} 1 5",
                           "a{b=\"c\", d=\"e\" , } 1 5",
                           " \ta\t{\tb\t= \"c\" ,d=\t\"e\" }\t1  \t5 \t",
                           "a{b=\"c\",d=\"e\"}1 5"}) {
    EXPECT_EQ(Calls(kPlain, text), expected) << text;
  }
}

TEST(TextParserTest, ReadsMetadataAndSkipsComments) {
  EXPECT_THAT(
      Calls(kPlain,
            "# HELP a One \\\\ two\\nthree \\q \\\"four\\\"\n"
            "# \tTYPE\ta\tcounter\n"
            "# TYPE b untyped\n"
            "#\n#HELP a no\n# HELPa\n# HELP\n# HELPER a b\n"
            "# UNIT a seconds\n# TYPO a\n# \xff\n"
            "# HELP c\n# HELP d \n# HELP e  two blanks \n"),
      ElementsAre("HELP a One \\\\ two\\nthree \\\\q \\\\\\\"four\\\\\\\"",
                  "TYPE a counter", "TYPE b unknown", "HELP c ", "HELP d ",
                  "HELP e  two blanks "));
}

TEST(TextParserTest, ReadsOpenMetrics) {
  EXPECT_THAT(
      Calls(kOpen,
            "# TYPE a_seconds gaugehistogram\n"
            "# UNIT a_seconds seconds\n"
            "# UNIT b \n"
            "# HELP a_seconds \\\"x\\\" \\n \\\\\n"
            "a{b=\"c\",} 1 1520879607.789\n"
            "a_total 1 # {id=\"7\"} 0.5\n"
            "a_total 1 1.5 # {} 0.5 1.520879607789e+09\n"),
      ElementsAre("TYPE a_seconds gaugehistogram", "UNIT a_seconds seconds",
                  "UNIT b ", "HELP a_seconds \\\"x\\\" \\n \\\\",
                  "a{b=\"c\",} 3ff0000000000000 @1520879607789",
                  "a_total{} 3ff0000000000000 # {id=\"7\",} 3fe0000000000000",
                  "a_total{} 3ff0000000000000 @1500 # {} 3fe0000000000000 "
                  "@1520879607789"));
}

TEST(TextParserTest, ReadsEveryType) {
  const struct {
    const ParserOptions& options;
    std::vector<const char*> types;
  } table[] = {
      {kPlain, {"counter", "gauge", "histogram", "summary"}},
      {kOpen,
       {"counter", "gauge", "histogram", "summary", "unknown", "gaugehistogram",
        "info", "stateset"}},
  };
  for (const auto& row : table) {
    for (const char* type : row.types) {
      EXPECT_THAT(Calls(row.options, absl::StrCat("# TYPE a ", type)),
                  ElementsAre(absl::StrCat("TYPE a ", type)));
    }
  }
}

TEST(TextParserTest, UnescapesLabelValues) {
  EXPECT_THAT(Calls(kPlain, R"(a{b="\"c\" \\ \n \d {,}=# é",x="\\n\\"} 1)"),
              ElementsAre(R"(a{b="\"c\" \\ \n \\d {,}=# \xc3\xa9",)"
                          R"(x="\\n\\",} 3ff0000000000000)"));
  const std::string nul("a{b=\"c\0x\"} 1", 12);
  EXPECT_THAT(Calls(kPlain, nul),
              ElementsAre("a{b=\"c\\x00x\",} 3ff0000000000000"));
}

TEST(TextParserTest, ReadsQuotedNamesWhereAllowed) {
  for (const ParserOptions& options : {kPlainUtf8, kOpenUtf8}) {
    EXPECT_THAT(Calls(options,
                      "# TYPE \"my.metric\" gauge\n"
                      "# HELP \"a \\\"b\\\\\" x\n"
                      "{\"my.metric\"} 1\n"
                      "{\"my.metric\",\"a.b\"=\"c\",d=\"e\",} 1\n"
                      "{d=\"e\",\"my.metric\"} 1\n"
                      "a{\"b\"=\"c\"} 1\n"
                      "{\"\xc3\xb6\\n\"} 1\n"),
                ElementsAre("TYPE my.metric gauge", "HELP a \\\"b\\\\ x",
                            "my.metric{} 3ff0000000000000",
                            "my.metric{a.b=\"c\",d=\"e\",} 3ff0000000000000",
                            "my.metric{d=\"e\",} 3ff0000000000000",
                            "a{b=\"c\",} 3ff0000000000000",
                            "\\xc3\\xb6\\n{} 3ff0000000000000"));
  }
  EXPECT_THAT(Calls(kOpenUtf8, "a 1 # {\"b.c\"=\"d\"} 1"),
              ElementsAre("a{} 3ff0000000000000 # {b.c=\"d\",} "
                          "3ff0000000000000"));
}

TEST(TextParserTest, RefusesWithLineColumnAndCure) {
  const struct {
    ParserOptions options;
    const char* text;
    const char* message;
  } table[] = {
      {kPlain, "a 1\nb x",
       "line 2, column 3: value 'x' is not a number, write"},
      {kPlain, "a", "line 1, column 2: expected a value, the line ends"},
      {kPlain, "a{b='c'} 1", "column 5: expected a label value in quotes"},
      {kPlain, "a{b=", "column 5: expected a label value in quotes"},
      {kPlain, "a{\xff=\"x\"} 1",
       "column 3: expected a label name or '}', "
       "found '\\xff'"},
      {kPlain, "a{b=\"\xff\"} 1", "column 6: the string is not valid UTF-8"},
      {kPlain, "a{b=\"c\nd\"} 1", "column 5: no closing quote"},
      {kPlain, "a{b=\"c\\", "column 5: no closing quote"},
      {kPlain, "a{b=\"c\"d=\"e\"} 1", "column 8: expected ',' or '}'"},
      {kPlain, "a{b=\"c\" d=\"e\"} 1", "column 9: expected ',' or '}'"},
      {kPlain, "a{b=\"c\",,} 1", "column 9: expected a label name"},
      {kPlain, "a{,} 1", "column 3: expected a label name"},
      {kPlain, "a{=\"\"} 1", "column 3: expected a label name"},
      {kPlain, "a{b} 1", "column 4: expected '='"},
      {kPlain, "a{b:c=\"d\"} 1", "column 4: expected '='"},
      {kPlain, "a{b=\"1\",c=\"2\",b=\"1\"} 1",
       "column 15: label 'b' comes twice"},
      {kPlain, "a{__name__=\"b\"} 1", "column 3: the label name '__name__' is"},
      {kPlain, "{a=\"b\"} 1", "column 1: expected a metric name"},
      {kPlain, "{\"a\"} 1", "column 1: expected a metric name"},
      {kPlain, "a{\"b\"=\"c\"} 1", "column 3: expected a label name"},
      {kPlain, "9a 1", "column 1: expected a metric name"},
      {kPlain, "a-b 1", "column 2: value '-b' is not a number"},
      {kPlain, "a 1 2 3", "column 7: expected the end of the line"},
      {kPlain, "a 1 1.5", "column 5: timestamp '1.5' is not a whole number"},
      {kPlain, "a 1 # {} 1", "column 5: timestamp '#'"},
      {kPlain, "a 1 9223372036854775808", "column 5: timestamp"},
      {kPlain, "a 1\r", "column 3: value '1\\r' is not a number"},
      {kPlain, "# TYPE a bogus", "column 10: 'bogus' is no metric type, write"},
      {kPlain, "# TYPE a counter ", "column 10: 'counter ' is no metric type"},
      {kPlain, "# TYPE a  counter", "column 10: ' counter' is no metric type"},
      {kPlain, "# TYPE a unknown",
       "write one of counter, gauge, histogram, "
       "summary, untyped"},
      {kPlain, "# TYPE a", "column 9: '' is no metric type"},
      {kPlain, "# TYPE ", "column 8: expected the name of a metric family"},
      {kPlain, "# HELP 9 x", "column 8: expected the name of a metric family"},
      {kPlain, "# HELP a{} x", "column 9: expected a blank behind the name"},
      {kPlain, "# HELP a \xff", "column 10: the text is not valid UTF-8"},
      {kPlainUtf8, "{a=\"b\"} 1", "column 1: no metric name, write it"},
      {kPlainUtf8, "{} 1", "column 1: no metric name"},
      {kPlainUtf8, "{\"\"} 1", "column 2: the metric name is empty"},
      {kPlainUtf8, "{\"\",\"a\"} 1", "column 2: the metric name is empty"},
      {kPlainUtf8, "a{\"b\"} 1", "column 3: a second metric name"},
      {kPlainUtf8, "{\"a\",\"b\"} 1", "column 6: a second metric name"},
      {kPlainUtf8, "{\"a\",\"\"=\"b\"} 1", "column 6: the label name is empty"},
      {kPlainUtf8, "{\"\xff\"} 1", "column 3: the string is not valid UTF-8"},
      {kPlainUtf8, "{\"a\",\"__name__\"=\"b\"} 1", "column 6: the label name"},
      {kPlainUtf8, "{\"a\",b=\"c\",\"b\"=\"c\"} 1",
       "column 12: label 'b' comes"},
      {kOpen, "",
       "line 1, column 1: expected a metric name or a comment, "
       "the line ends"},
      {kOpen, " a 1", "column 1: expected a metric name"},
      {kOpen, "a  1", "column 3: expected a value, found ' '"},
      {kOpen, "a\t1", "column 2: expected a blank before the value"},
      {kOpen, "a 1\t2", "column 3: value '1\\t2' is not a number"},
      {kOpen, "a {} 1", "column 3: value '{}' is not a number"},
      {kOpen, "a{}1", "column 4: expected a blank before the value"},
      {kOpen, "a{ b=\"c\"} 1", "column 3: expected a label name"},
      {kOpen, "a{b =\"c\"} 1", "column 4: expected '='"},
      {kOpen, "a{b=\"c\", d=\"e\"} 1", "column 9: expected a label name"},
      {kOpen, "a 1 ", "column 5: timestamp '' is not a decimal number"},
      {kOpen, "a 1 2 ",
       "column 6: expected the end of the line or an exemplar"},
      {kOpen, "a 1 NaN", "column 5: timestamp 'NaN' is not a decimal"},
      {kOpen, "a 1 1e30", "column 5: timestamp '1e30' does not fit"},
      {kOpen, "a 1 # {b=\"c\"}",
       "column 14: expected a blank before the "
       "exemplar's value"},
      {kOpen, "a 1 # {b=c} 1", "column 10: expected a label value"},
      {kOpen, "a 1 # {b=\"c\",b=\"c\"} 1", "column 14: label 'b' comes twice"},
      {kOpen, "a 1 # {\"b\"} 1", "column 8: expected a label name"},
      {kOpen, "a 1 # {} 1 2 3", "column 13: expected the end of the line"},
      {kOpen, "a 1 #", "column 5: timestamp '#'"},
      {kOpenUtf8, "a 1 # {\"b\"} 1", "column 11: expected '='"},
      {kOpen, "# comment", "column 1: OpenMetrics has no comments but"},
      {kOpen, "#", "column 1: OpenMetrics has no comments but"},
      {kOpen, "#  TYPE a counter", "column 1: OpenMetrics has no comments but"},
      {kOpen, "# TYPE  a counter", "column 8: expected the name"},
      {kOpen, "# TYPE a untyped", "column 10: 'untyped' is no metric type"},
      {kOpen, "# HELP a", "column 9: expected a blank behind the name"},
      {kOpen, "# UNIT a seconds",
       "column 10: the name of the family does not "
       "end in its unit"},
      {kOpen, "# UNIT aseconds seconds",
       "does not end in its unit, '_seconds'"},
      {kOpen, "# EOF ", "column 1: OpenMetrics has no comments but"},
      {kOpen, "# EOF\na 1", "line 2: data behind '# EOF'"},
      {kOpen, "# EOF\n", "line 2: data behind '# EOF'"},
  };
  for (const auto& row : table) {
    EXPECT_THAT(Refused(row.options, row.text),
                StatusIs(kInvalid, HasSubstr(row.message)))
        << row.text;
  }
  EXPECT_THAT(Refused(kPlain, absl::string_view("\0", 1)),
              StatusIs(kInvalid, HasSubstr("column 1: expected a metric")));
}

TEST(TextParserTest, ATextThatIsCutOffIsDataLoss) {
  const struct {
    const ParserOptions& options;
    const char* text;
    const char* message;
  } table[] = {
      {kPlain, "a 1", "line 1: does not end in a line feed"},
      {kPlain, "a 1\nb 2\n ", "line 3: does not end in a line feed"},
      {kOpen, "", "line 1: the text ends without '# EOF'"},
      {kOpen, "a 1\n", "line 2: the text ends without '# EOF'"},
      {kOpen, "a 1\n# EO", "line 2: does not end in a line feed"},
  };
  for (const auto& row : table) {
    Recorder recorder;
    EXPECT_THAT(Parse(row.options, row.text, &recorder),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(row.message)))
        << row.text;
  }
}

TEST(TextParserTest, TheseAreWhole) {
  Recorder recorder;
  EXPECT_THAT(Parse(kPlain, "", &recorder), IsOk());
  EXPECT_THAT(Parse(kOpen, "# EOF\n", &recorder), IsOk());
  EXPECT_THAT(Parse(kOpen, "# EOF", &recorder), IsOk());
  EXPECT_THAT(recorder.calls(), IsEmpty());
}

TEST(TextParserTest, CountsItsLimitsExactly) {
  ParserOptions options;
  options.max_line_bytes = 30;
  options.max_labels = 2;
  options.max_name_bytes = 4;
  options.max_value_bytes = 5;
  const auto parse = [&options](absl::string_view line) {
    Recorder recorder;
    return Parse(options, absl::StrCat("x 1\n", line, "\n"), &recorder);
  };
  EXPECT_THAT(parse("abcd{abcd=\"12345\",b=\"\"} 1     "), IsOk());
  EXPECT_THAT(
      parse("a 1                            "),
      StatusIs(kExhausted, "line 2: longer than the limit of 30 bytes"));
  EXPECT_THAT(parse("abcde 1"),
              StatusIs(kExhausted,
                       "line 2, column 1: name of 5 bytes, the limit is 4"));
  EXPECT_THAT(parse("# HELP abcde x"), StatusIs(kExhausted));
  EXPECT_THAT(parse("a{abcde=\"\"} 1"), StatusIs(kExhausted));
  EXPECT_THAT(parse("a{b=\"123456\"} 1"),
              StatusIs(kExhausted,
                       "line 2, column 5: label value of 6 bytes, "
                       "the limit is 5"));
  EXPECT_THAT(parse("a{b=\"\",c=\"\",d=\"\"} 1"),
              StatusIs(kExhausted,
                       "line 2, column 13: more labels than the "
                       "limit of 2"));
}

TEST(TextParserTest, ALineWithoutEndIsRefusedBeforeItIsKept) {
  Recorder recorder;
  TextParser parser({.max_line_bytes = 1000}, &recorder);
  const std::string piece(100, 'a');
  absl::Status status;
  int pieces = 0;
  while (status.ok()) {
    status = parser.Feed(piece);
    ++pieces;
  }
  EXPECT_THAT(status, StatusIs(kExhausted));
  EXPECT_EQ(pieces, 11);
}

TEST(TextParserTest, AnErrorStays) {
  Recorder recorder;
  TextParser parser(kPlain, &recorder);
  const absl::Status status = parser.Feed("a 1\nb\nc 1\n");
  EXPECT_THAT(status, StatusIs(kInvalid));
  EXPECT_EQ(parser.Feed("d 1\n"), status);
  EXPECT_EQ(parser.Finish(), status);
  EXPECT_THAT(recorder.calls(), ElementsAre("a{} 3ff0000000000000"));
}

TEST(TextParserTest, NothingFollowsTheEnd) {
  Recorder recorder;
  TextParser parser(kPlain, &recorder);
  EXPECT_THAT(parser.Finish(), IsOk());
  EXPECT_THAT(parser.Feed("a 1\n"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(recorder.calls(), IsEmpty());
}

TEST(TextParserTest, TheSinkMayEndIt) {
  struct Full : Recorder {
    absl::Status OnSample(const Sample& sample) override {
      return sample.value > 1 ? absl::ResourceExhaustedError("full")
                              : Recorder::OnSample(sample);
    }
  };
  Full sink;
  TextParser parser(kPlain, &sink);
  EXPECT_THAT(parser.Feed("a 1\na 2\na 1\n"),
              StatusIs(kExhausted, "line 2: full"));
  EXPECT_EQ(parser.lines(), 2);
  EXPECT_EQ(sink.calls().size(), 1u);
}

}  // namespace
}  // namespace insula::exposition
