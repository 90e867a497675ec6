// What people and programs get to read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"
#include "tools/insulactl/columns.h"
#include "tools/insulactl/command.h"
#include "tools/insulactl/console.h"
#include "tools/insulactl/kinds.h"
#include "tools/insulactl/line_diff.h"
#include "tools/insulactl/object_output.h"
#include "tools/insulactl/reference.h"
#include "tools/insulactl/table.h"
#include "tools/insulactl/text.h"

namespace insula::insulactl {
namespace {

using testing::AllOf;
using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(TableTest, ColumnsAreAlignedByCharacters) {
  Table table({"ID", "NAME", "LAST"});
  table.Add({"a", "\xC3\xA4\xC3\xB6\xC3\xBC", "x"});
  table.Add({"longer", "", "y"});
  EXPECT_THAT(table.Text(), Eq("ID      NAME  LAST\n"
                               "a       \xC3\xA4\xC3\xB6\xC3\xBC   x\n"
                               "longer  -     y\n"));
}

TEST(TableTest, NothingControlsTheTerminal) {
  Table table({"ID"});
  table.Add({"a\x1b[2J\nb\xC2\x9B"});
  EXPECT_THAT(table.Text(), Eq("ID\na\\u001b[2J\\u000ab\\u009b\n"));
}

TEST(ColumnsTest, EveryKindHasATable) {
  for (int number = v1::Kind_MIN; number <= v1::Kind_MAX; ++number) {
    if (!v1::Kind_IsValid(number) || number == 0) continue;
    v1::Object object;
    object.mutable_meta()->set_kind(static_cast<v1::Kind>(number));
    object.mutable_meta()->set_id("one");
    object.mutable_meta()->set_mod_revision(7);
    object.mutable_meta()->set_source("api");
    const std::string text =
        TableOf(static_cast<v1::Kind>(number), {object}).Text();
    EXPECT_THAT(text,
                AllOf(HasSubstr("ID"), HasSubstr("REVISION"), HasSubstr("one"),
                      HasSubstr("7"), HasSubstr("api")));
  }
}

TEST(ColumnsTest, LongListsAreCut) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_BINDING);
  for (int i = 0; i < 4096; ++i) {
    object.mutable_binding()->add_tenant_ids(absl::StrCat("t", i));
  }
  object.mutable_binding()->add_roles(v1::ROLE_WRITE);
  EXPECT_THAT(TableOf(v1::KIND_BINDING, {object}).Text(),
              AllOf(HasSubstr("t0,t1,t2,t3,and 4092 more"), HasSubstr("WRITE"),
                    Not(HasSubstr("t4,"))));
}

TEST(ObjectOutputTest, TheMetaIsThereOnlyIfAskedFor) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_TENANT);
  object.mutable_meta()->set_id("red");
  object.mutable_meta()->set_uid(std::string(16, '\x0f'));
  object.mutable_meta()->set_mod_revision(7);
  object.mutable_tenant();
  EXPECT_THAT(ObjectText(object, "yaml", false),
              Eq("---\nkind: Tenant\nid: red\nspec: {}\n"));
  EXPECT_THAT(ObjectText(object, "json", true),
              Eq("{\"kind\": \"Tenant\", \"id\": \"red\", \"spec\": {}, "
                 "\"meta\": {\"uid\": \"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\", "
                 "\"create_revision\": 0, \"mod_revision\": 7}}\n"));
}

TEST(SessionTest, ARegistryThatLacksARequestIsToldPlainly) {
  std::ostringstream out;
  std::ostringstream err;
  Console console(&out, &err, {});
  Interrupt interrupt;
  const Globals globals;
  const Session session{globals, console, interrupt};
  EXPECT_THAT(session.Refused(absl::UnimplementedError("")),
              Eq(ExitCode::kRefused));
  EXPECT_THAT(err.str(),
              HasSubstr("127.0.0.1:9701 does not know this request: a registry "
                        "that is older than this insulactl"));
  EXPECT_THAT(out.str(), IsEmpty());
}

TEST(KindsTest, KindsMayBeWrittenAsPeopleDo) {
  for (const auto& [word, kind] : std::vector<std::pair<const char*, v1::Kind>>{
           {"tenant", v1::KIND_TENANT},
           {"Tenants", v1::KIND_TENANT},
           {"claim-rules", v1::KIND_CLAIM_RULE},
           {"ClaimRule", v1::KIND_CLAIM_RULE},
           {"policies", v1::KIND_POLICY},
           {"accesses", v1::KIND_ACCESS},
           {"limit", v1::KIND_LIMITS},
           {"limits", v1::KIND_LIMITS},
           {"rule_target", v1::KIND_RULE_TARGET},
           {"instances", v1::KIND_INSTANCE}}) {
    const auto parsed = ParseKindWord(word);
    ASSERT_THAT(parsed, IsOk());
    EXPECT_THAT(*parsed, Eq(kind)) << word;
  }
  EXPECT_THAT(ParseKindWord("tenantses"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("known are tenant, binding, access")));
  EXPECT_THAT(ParseKindWord(""), Not(IsOk()));
  const auto key = ParseObjectName("binding/team/red");
  ASSERT_THAT(key, IsOk());
  EXPECT_THAT(*key, Eq(resources::ObjectKey{v1::KIND_BINDING, "team/red"}));
  EXPECT_THAT(ParseObjectName("binding"), Not(IsOk()));
  EXPECT_THAT(ParseObjectName("binding/"), Not(IsOk()));
}

std::string Diff(absl::string_view before, absl::string_view after) {
  std::string text;
  for (const DiffLine& line : DiffLines(before, after)) {
    const char mark = line.change == DiffLine::Change::kSame    ? ' '
                      : line.change == DiffLine::Change::kAdded ? '+'
                                                                : '-';
    absl::StrAppend(&text, std::string(1, mark), line.text, "|");
  }
  return text;
}

TEST(LineDiffTest, AsManyLinesAsPossibleStay) {
  EXPECT_THAT(Diff("a\nb\nc\n", "a\nb\nc\n"), Eq(" a| b| c|"));
  EXPECT_THAT(Diff("", "a\nb\n"), Eq("+a|+b|"));
  EXPECT_THAT(Diff("a\n", ""), Eq("-a|"));
  EXPECT_THAT(Diff("a\nb\nc\nd\n", "a\nx\nc\ny\nd\n"),
              Eq(" a|-b|+x| c|+y| d|"));
  EXPECT_THAT(Diff("a\nb\na\n", "b\na\na\n"), Eq("-a| b|+a| a|"));
}

TEST(LineDiffTest, HugeDifferencesAreNotSearchedForever) {
  std::string before;
  std::string after;
  for (int i = 0; i < 5000; ++i) {
    absl::StrAppend(&before, i, "\n");
    absl::StrAppend(&after, -i - 1, "\n");
  }
  EXPECT_THAT(DiffLines(before, after).size(), Eq(10'000u));
}

TEST(ConsoleTest, ErrorsAreOneLineEachWhateverIsInThem) {
  std::ostringstream out;
  std::ostringstream err;
  Console console(&out, &err, {});
  console.Error("a\x1b[31m\nb\r");
  EXPECT_THAT(err.str(), Eq("insulactl: a\\u001b[31m\ninsulactl: b\\u000d\n"));
  EXPECT_THAT(out.str(), IsEmpty());
}

TEST(ConsoleTest, ColorsAndProgressAreForTerminals) {
  std::ostringstream out;
  std::ostringstream err;
  Console plain(&out, &err, {});
  plain.Progress("requests", 1, 2);
  EXPECT_THAT(err.str(), IsEmpty());
  EXPECT_THAT(plain.Colored(Color::kRed, "x"), Eq("x"));

  Console colored(&out, &err, {.color = true, .err_terminal = true});
  EXPECT_THAT(colored.Colored(Color::kRed, "x"), Eq("\x1b[31mx\x1b[0m"));
  colored.Progress("requests", 1, 2);
  EXPECT_THAT(err.str(), HasSubstr("[###############...............] 1/2"));
  colored.Error("x");
  EXPECT_THAT(err.str(), HasSubstr("\r\x1b[Kinsulactl: x\n"));
}

TEST(ConsoleTest, AnOutputThatIsFullIsNoticed) {
  std::ostringstream out;
  std::ostringstream err;
  Console console(&out, &err, {});
  EXPECT_TRUE(console.Flush());
  out.setstate(std::ios::badbit);
  console.Out("x");
  EXPECT_FALSE(console.Flush());
}

TEST(TextTest, WordsForPeople) {
  EXPECT_THAT(EnumWord("STATE_READ_ONLY", "STATE_", "ACTIVE"), Eq("READ_ONLY"));
  EXPECT_THAT(EnumWord("STATE_UNSPECIFIED", "STATE_", "ACTIVE"), Eq("ACTIVE"));
  EXPECT_THAT(Count(1, "object"), Eq("1 object"));
  EXPECT_THAT(Count(2, "object"), Eq("2 objects"));
}

TEST(ReferenceTest, TellsOfEveryCommandAndOption) {
  const std::string page = ReferenceMarkdown();
  for (const char* text :
       {"### apply", "insulactl get KIND ID", "`--dry-run`", "`$INSULA_SERVER`",
        "table\\|json\\|yaml", "### version"}) {
    EXPECT_THAT(page, HasSubstr(text));
  }
  EXPECT_THAT(BashCompletion(), HasSubstr("complete -o bashdefault"));
  EXPECT_THAT(ZshCompletion(), HasSubstr("#compdef insulactl"));
  EXPECT_THAT(FishCompletion(), HasSubstr("__fish_use_subcommand -a apply"));
}

}  // namespace
}  // namespace insula::insulactl
