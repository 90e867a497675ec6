#include "tools/loadgen/options.h"

#include <gmock/gmock.h>

#include <fstream>
#include <string>
#include <vector>

#include "libs/status/status_matchers.h"

namespace insula::loadgen {
namespace {

using testing::HasSubstr;
using testing::TempDir;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

absl::StatusOr<CommandLine> Parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--url", "http://127.0.0.1:9/write"});
  return ParseCommandLine(arguments);
}

TEST(OptionsTest, DefaultsAreTheCorpusRunsForTenSeconds) {
  const auto line = Parse({});
  ASSERT_THAT(line, IsOk());
  ASSERT_TRUE(line->options.has_value());
  const Options& options = *line->options;
  EXPECT_EQ(options.url.port, 9);
  EXPECT_EQ(options.load.series, 2000);
  EXPECT_EQ(options.load.series_of_a_target, 20);
  EXPECT_EQ(options.protocol, Protocol::kV1);
  EXPECT_EQ(options.passes, 0);
  EXPECT_EQ(options.duration, absl::Seconds(10));
}

TEST(OptionsTest, ReadsAll) {
  const std::string token_file = TempDir() + "/token";
  std::ofstream(token_file) << "secret\n";
  const auto line = Parse({"--bearer-token-file",
                           token_file,
                           "--header",
                           "X-One: 1",
                           "--header",
                           "X-Two: a:b",
                           "--tenant-header",
                           "X-Scope-OrgID",
                           "--corpus",
                           "interleaved",
                           "--protocol",
                           "2.0",
                           "--tenants",
                           "7",
                           "--series-per-request",
                           "10",
                           "--requests",
                           "9",
                           "--connections",
                           "3",
                           "--passes",
                           "2",
                           "--rate",
                           "0.5",
                           "--timeout",
                           "3s",
                           "--ca-file",
                           "/ca.pem",
                           "--quiet"});
  ASSERT_THAT(line, IsOk());
  const Options& options = *line->options;
  EXPECT_EQ(options.headers.Get("Authorization"), "Bearer secret");
  EXPECT_EQ(options.headers.Get("X-One"), "1");
  EXPECT_EQ(options.headers.Get("X-Two"), "a:b");
  EXPECT_EQ(options.tenant_header, "X-Scope-OrgID");
  EXPECT_TRUE(options.load.one_tenant_a_request);
  EXPECT_EQ(options.load.series_of_a_target, 1);
  EXPECT_EQ(options.load.tenants, 7);
  EXPECT_EQ(options.load.series, 10);
  EXPECT_EQ(options.load.requests, 9);
  EXPECT_EQ(options.protocol, Protocol::kV2);
  EXPECT_EQ(options.connections, 3);
  EXPECT_EQ(options.passes, 2);
  EXPECT_EQ(options.duration, absl::InfiniteDuration());
  EXPECT_EQ(options.rate, 0.5);
  EXPECT_EQ(options.timeout, absl::Seconds(3));
  EXPECT_EQ(options.ca_file, "/ca.pem");
  EXPECT_TRUE(options.quiet);
}

TEST(OptionsTest, HelpNamesEachOptionAndVersionTheVersion) {
  const auto help = ParseCommandLine({"--help"});
  ASSERT_THAT(help, IsOk());
  EXPECT_FALSE(help->options.has_value());
  for (const char* option :
       {"--url", "--bearer-token-file", "--header", "--tenant-header",
        "--ca-file", "--corpus", "--protocol", "--tenants",
        "--series-per-request", "--requests", "--connections", "--passes",
        "--duration", "--rate", "--timeout", "--quiet"}) {
    EXPECT_THAT(help->text, HasSubstr(option));
  }
  const auto version = ParseCommandLine({"--version"});
  ASSERT_THAT(version, IsOk());
  EXPECT_THAT(version->text, HasSubstr("loadgen "));
}

TEST(OptionsTest, RefusesWhatCantWorkAndNamesTheOption) {
  EXPECT_THAT(ParseCommandLine({}), StatusIs(kInvalid, HasSubstr("--url")));
  EXPECT_THAT(ParseCommandLine({"--url", "ftp://a/"}),
              StatusIs(kInvalid, HasSubstr("--url")));
  const struct {
    std::vector<std::string> arguments;
    const char* named;
  } cases[] = {
      {{"--nonsense"}, "--nonsense"},
      {{"--corpus", "random"}, "--corpus"},
      {{"--protocol", "3.0"}, "--protocol"},
      {{"--duration", "10"}, "--duration"},
      {{"--duration", "-1s"}, "--duration"},
      {{"--timeout", "0s"}, "--timeout"},
      {{"--tenants", "0"}, "--tenants"},
      {{"--rate", "-1"}, "--rate"},
      {{"--requests", "3", "--connections", "4"}, "--connections"},
      {{"--requests", "1000000"}, "--requests"},
      {{"--header", "no colon"}, "--header"},
      {{"--header", "A: b\r\nC: d"}, "--header"},
      {{"--tenant-header", "a b"}, "--tenant-header"},
      {{"--bearer-token-file", "/nowhere"}, "/nowhere"},
  };
  for (const auto& wrong : cases) {
    EXPECT_THAT(Parse(wrong.arguments),
                StatusIs(kInvalid, HasSubstr(wrong.named)));
  }
}

}  // namespace
}  // namespace insula::loadgen
