#include "libs/rules/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"

namespace insula::rules {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ParseTemplateTest, NamesTheFunctionsThatAreUsed) {
  const auto use = ParseTemplate(
      "{{ if and $value (gt $value 1.0) }}{{ printf `%v` $value | title }}"
      "{{ else }}{{ range query \"up\" }}{{ .Labels.humanize }}{{ end }}"
      "{{ end }}{{/* toUpper */}}{{ \"toLower\" }} stripPort {{ title \"\" }}");
  ASSERT_THAT(use, IsOk());
  EXPECT_THAT(use->functions,
              ElementsAre("and", "gt", "printf", "query", "title"));
}

TEST(ParseTemplateTest, MostTextsUseNone) {
  for (const char* text :
       {"", "text", "{", "}", "}}", "{ {", "a } b }} c", "{{ . }}",
        "{{ $labels.instance }}", "{{ $value }}", "{{$}}", "{{ .Labels.x.y }}",
        "{{ true }}", "{{/* c */}}", "{{- /* c */ -}}", "{{ `a\nb` }}",
        "{{ nil }}", "{{ 1 }}", "{{ . | }}"}) {
    const auto use = ParseTemplate(text);
    ASSERT_THAT(use, IsOk()) << text;
    EXPECT_THAT(use->functions, IsEmpty()) << text;
  }
}

TEST(ParseTemplateTest, SaysWhere) {
  EXPECT_THAT(ParseTemplate("one\n{{ $value }} {{ nope }}"),
              StatusIs(kInvalid,
                       "template: 2:17: function \"nope\" not "
                       "defined"));
  EXPECT_THAT(ParseTemplate("{{ if . }}"),
              StatusIs(kInvalid, HasSubstr("{{end}} is missing")));
}

TEST(ParseTemplateTest, VariablesLiveToTheEndOfTheirBlock) {
  EXPECT_THAT(ParseTemplate("{{ $x := 1 }}{{ if $x }}{{ $x }}{{ end }}"),
              IsOk());
  EXPECT_THAT(ParseTemplate("{{ if $x := 1 }}{{ else }}{{ $x }}{{ end }}"),
              IsOk());
  EXPECT_THAT(ParseTemplate("{{ with $x := 1 }}{{ end }}{{ $x }}"),
              StatusIs(kInvalid, HasSubstr("undefined variable \"$x\"")));
  EXPECT_THAT(ParseTemplate("{{ range $i, $x := . }}{{ end }}{{ $i }}"),
              StatusIs(kInvalid, HasSubstr("undefined variable \"$i\"")));
  EXPECT_THAT(ParseTemplate("{{ $x := 1 }}{{ define `t` }}{{ $x }}{{ end }}"),
              StatusIs(kInvalid, HasSubstr("undefined variable \"$x\"")));
  EXPECT_THAT(ParseTemplate("{{ block `t` . }}{{ $labels }}{{ end }}"),
              StatusIs(kInvalid, HasSubstr("undefined variable \"$labels\"")));
  EXPECT_THAT(ParseTemplate("{{ block `t` . }}{{ end }}{{ $labels }}"), IsOk());
}

TEST(ParseTemplateTest, LoopsAreLeftOnlyFromWithin) {
  EXPECT_THAT(ParseTemplate("{{ range . }}{{ if . }}{{ break }}{{ end }}"
                            "{{ continue }}{{ end }}"),
              IsOk());
  EXPECT_THAT(ParseTemplate("{{ range . }}{{ else }}{{ break }}{{ end }}"),
              StatusIs(kInvalid, HasSubstr("outside {{range}}")));
  EXPECT_THAT(
      ParseTemplate(
          "{{ range . }}{{ block `t` . }}{{ break }}{{ end }}{{ end }}"),
      StatusIs(kInvalid, HasSubstr("outside {{range}}")));
}

TEST(ParseTemplateTest, ConstantsAreThoseOfGo) {
  for (const char* text : {"1",
                           "-1",
                           "+1",
                           "0",
                           "007",
                           "0x1F",
                           "0b11",
                           "0o17",
                           "1.5",
                           ".5",
                           "5.",
                           "1e3",
                           "-1.5E-3",
                           "18446744073709551615",
                           "-9223372036854775808",
                           "'a'",
                           "'\\n'",
                           "'\\x41'",
                           "'\\u00e9'",
                           "'\xc3\xa9'",
                           "\"\\\\\"",
                           "\"\\u00e9\\101\\xff\"",
                           "``",
                           "`\\`"}) {
    EXPECT_THAT(ParseTemplate(absl::StrCat("{{ ", text, " }}")), IsOk())
        << text;
  }
  for (const char* text :
       {"08", "1a", "0x", "0xg", "-", "+", "1e", "18446744073709551616",
        "-9223372036854775809", "1e999", "''", "'ab'", "'\\q'", "'\\''x'",
        "\"\\q\"", "\"\\xg\"", "\"\n\"", "\"\\u12\"", "\"\\400\""}) {
    EXPECT_THAT(ParseTemplate(absl::StrCat("{{ ", text, " }}")),
                StatusIs(kInvalid))
        << text;
  }
}

TEST(ParseTemplateTest, NewerEvaluatorsKnowMore) {
  for (const char* text :
       {"{{ now }}", "{{ toDuration 1.0 }}", "{{ urlQueryEscape \"a b\" }}",
        "{{ with 1 }}{{ else with 2 }}{{ else }}{{ end }}"}) {
    EXPECT_THAT(ParseTemplate(text), StatusIs(kInvalid)) << text;
    EXPECT_THAT(ParseTemplate(text, kPrometheus3), IsOk()) << text;
  }
  EXPECT_THAT(
      ParseTemplate("{{ if 1 }}{{ else with 2 }}{{ end }}", kPrometheus3),
      StatusIs(kInvalid));
}

TEST(ParseTemplateTest, NamesOfAlertsAreTaken) {
  EXPECT_THAT(ParseTemplate("{{ define `__alert_A` }}x{{ end }}"),
              StatusIs(kInvalid, HasSubstr("choose another")));
}

}  // namespace
}  // namespace insula::rules
