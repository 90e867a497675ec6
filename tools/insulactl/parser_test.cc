#include "tools/insulactl/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace insula::insulactl {
namespace {

using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsNull;
using testing::NotNull;

TEST(ParserTest, GlobalOptionsMayStandAnywhere) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--server", "a:1", "--timeout=90s", "-o",
                                 "json", "get", "tenant", "red"},
        std::vector<std::string>{"get", "tenant", "red", "--server=a:1",
                                 "--timeout", "1m30s", "-o", "json"}}) {
    const auto line = ParseLine(arguments);
    EXPECT_THAT(line->error, IsEmpty());
    EXPECT_THAT(line->command, NotNull());
    EXPECT_THAT(line->globals.server, Eq("a:1"));
    EXPECT_THAT(line->globals.timeout, Eq(absl::Seconds(90)));
    EXPECT_THAT(line->globals.output, Eq("json"));
  }
}

TEST(ParserTest, AnIdMayBeTheNameOfACommand) {
  const auto line = ParseLine({"get", "tenant", "status"});
  EXPECT_THAT(line->error, IsEmpty());
  EXPECT_THAT(line->command, NotNull());
}

TEST(ParserTest, TheServerMayComeFromTheEnvironment) {
  ASSERT_EQ(setenv("INSULA_SERVER", "elsewhere:1", 1), 0);
  EXPECT_THAT(ParseLine({"status"})->globals.server, Eq("elsewhere:1"));
  EXPECT_THAT(ParseLine({"status", "--server=b:2"})->globals.server, Eq("b:2"));
  unsetenv("INSULA_SERVER");
}

TEST(ParserTest, WrongUseIsToldAndHasItsCode) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{}, std::vector<std::string>{"fly"},
        std::vector<std::string>{"get", "tenant"},
        std::vector<std::string>{"get", "tenant", "red", "blue"},
        std::vector<std::string>{"status", "--no-such"},
        std::vector<std::string>{"status", "-o", "xml"},
        std::vector<std::string>{"status", "--timeout", "30"},
        std::vector<std::string>{"audit", "--limit", "many"},
        std::vector<std::string>{"status", "--server=", "x"},
        std::vector<std::string>{"completion", "csh"}}) {
    const auto line = ParseLine(arguments);
    EXPECT_THAT(line->command, IsNull());
    EXPECT_THAT(line->error, HasSubstr("see insulactl --help"));
    EXPECT_THAT(line->code, Eq(ExitCode::kUsage));
  }
}

TEST(ParserTest, WhatIsNoCommandIsNamed) {
  EXPECT_THAT(ParseLine({"fly", "--high"})->error,
              HasSubstr("'fly' is no command"));
  EXPECT_THAT(ParseLine({})->error, HasSubstr("give a command"));
  EXPECT_THAT(ParseLine({"--server=", "list", "tenants"})->error,
              HasSubstr("--server=: give a value"));
}

TEST(ParserTest, HelpIsNoError) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--help"}, std::vector<std::string>{"-h"},
        std::vector<std::string>{"apply", "--help"}}) {
    const auto line = ParseLine(arguments);
    EXPECT_THAT(line->code, Eq(ExitCode::kOk));
    EXPECT_THAT(line->out, HasSubstr("apply"));
  }
  EXPECT_THAT(ParseLine({"apply", "--help"})->out, HasSubstr("--dry-run"));
  EXPECT_THAT(ParseLine({"--version"})->out, HasSubstr("insulactl "));
}

}  // namespace
}  // namespace insula::insulactl
