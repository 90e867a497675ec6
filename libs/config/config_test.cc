#include "libs/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/config/test_config.h"
#include "libs/status/status_matchers.h"

namespace insula::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

Sources Yaml(absl::string_view yaml) {
  Sources sources;
  sources.service = "tenant-registry";
  sources.yaml = std::string(yaml);
  sources.yaml_name = "c.yaml";
  return sources;
}

Sources Env(absl::string_view entry) {
  Sources sources = Yaml("");
  sources.env.emplace_back(entry);
  return sources;
}

Sources Flag(absl::string_view key, absl::string_view value) {
  Sources sources = Yaml("");
  sources.flags.emplace_back(std::string(key), std::string(value));
  return sources;
}

// The message of the error that loading `sources` gives.
std::string ErrorOf(const Sources& sources) {
  const absl::StatusOr<TestConfig> config = Load<TestConfig>(sources);
  if (config.ok()) return "no error";
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(config.status().message());
}
std::string YamlError(absl::string_view yaml) { return ErrorOf(Yaml(yaml)); }

TEST(ConfigTest, AnEmptyFileGivesTheDefaults) {
  for (const char* yaml : {"", "# nothing\n", "---\n", "{}\n", "~"}) {
    const absl::StatusOr<TestConfig> config = Load<TestConfig>(Yaml(yaml));
    ASSERT_THAT(config, IsOk()) << yaml;
    EXPECT_EQ(config->listen_address, "127.0.0.1:9701");
    EXPECT_THAT(config->files, ElementsAre("a.yaml"));
  }
}

TEST(ConfigTest, TheFileSetsEveryKindOfValue) {
  const absl::StatusOr<TestConfig> config = Load<TestConfig>(Yaml(R"(
listen_address: "[::1]:1"
verbose: true
threads: 8
limit: -9000000000
ratio: 1e-3
drain_timeout: 1m30s
max_body: 64KiB
token: s3cret
files: [x, "y z"]
tls:
  cert_file: /c
  key_file: /k
listeners:
  - name: write
    bearer: false
    trusted_addresses: []
  - name: query
    tls: {cert_file: /lc, key_file: /lk}
)"));
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->listen_address, "[::1]:1");
  EXPECT_TRUE(config->verbose);
  EXPECT_EQ(config->threads, 8);
  EXPECT_EQ(config->limit, -9000000000);
  EXPECT_EQ(config->ratio, 0.001);
  EXPECT_EQ(config->drain_timeout, absl::Seconds(90));
  EXPECT_EQ(config->max_body.value, 65536u);
  EXPECT_EQ(config->token.Reveal(), "s3cret");
  EXPECT_THAT(config->files, ElementsAre("x", "y z"));
  EXPECT_EQ(config->tls.key_file, "/k");
  ASSERT_THAT(config->listeners, SizeIs(2));
  EXPECT_FALSE(config->listeners[0].bearer);
  EXPECT_THAT(config->listeners[0].trusted_addresses, IsEmpty());
  EXPECT_TRUE(config->listeners[1].bearer);
  EXPECT_EQ(config->listeners[1].tls.cert_file, "/lc");
  EXPECT_THAT(config->listeners[1].trusted_addresses, SizeIs(2));
}

TEST(ConfigTest, FlagsWinOverEnvironmentOverFileOverDefaults) {
  Sources sources = Yaml("threads: 5\nlimit: 5\nratio: 5");
  sources.env = {"TENANT_REGISTRY_LIMIT=6", "TENANT_REGISTRY_RATIO=6"};
  sources.flags = {{"ratio", "7"}};
  const absl::StatusOr<TestConfig> config = Load<TestConfig>(sources);
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->drain_timeout, absl::Seconds(20));
  EXPECT_EQ(config->threads, 5);
  EXPECT_EQ(config->limit, 6);
  EXPECT_EQ(config->ratio, 7);
}

TEST(ConfigTest, APathNamesItsVariableAndItsFlag) {
  Sources sources = Env("TENANT_REGISTRY_TLS_CERT_FILE=/c=1");
  sources.flags = {{"tls.key-file", "/k"}};
  const absl::StatusOr<TestConfig> config = Load<TestConfig>(sources);
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->tls.cert_file, "/c=1");
  EXPECT_EQ(config->tls.key_file, "/k");

  EXPECT_THAT(Load<TestConfig>(Flag("drain_timeout", "1s")), IsOk());
}

TEST(ConfigTest, OtherVariablesAreIgnored) {
  EXPECT_THAT(Load<TestConfig>(Env("TENANT_REGISTRY_PORT_9701_TCP=x")), IsOk());
  EXPECT_THAT(Load<TestConfig>(Env("no equals sign")), IsOk());
}

TEST(ConfigErrorTest, UnknownKeysNameTheNearest) {
  EXPECT_EQ(YamlError("threads: 1\ndrain_timout: 1s"),
            "c.yaml:2: drain_timout: is unknown; did you mean drain_timeout?");
  EXPECT_EQ(YamlError("drain-timeout: 1s"),
            "c.yaml:1: drain-timeout: is unknown; did you mean drain_timeout?");
  EXPECT_EQ(YamlError("tls:\n  cert: x"),
            "c.yaml:2: tls.cert: is unknown; there are cert_file, key_file");
  EXPECT_EQ(YamlError("listeners:\n- name: a\n  baerer: true"),
            "c.yaml:3: listeners[0].baerer: is unknown; did you mean bearer?");
  EXPECT_EQ(ErrorOf(Flag("thread", "1")),
            "flag --thread: is unknown; did you mean --threads?");
  EXPECT_THAT(YamlError("tls.cert_file: x"),
              StartsWith("c.yaml:1: tls.cert_file: is unknown"));
}

TEST(ConfigErrorTest, RepeatedKeysAreRefused) {
  EXPECT_EQ(YamlError("threads: 1\nratio: 1\nthreads: 1"),
            "c.yaml:3: threads: is there twice; keep one of them");
  EXPECT_EQ(YamlError("tls:\n  cert_file: a\n  cert_file: b"),
            "c.yaml:3: cert_file: is there twice; keep one of them");
  Sources twice = Flag("drain-timeout", "1s");
  twice.flags.emplace_back("drain_timeout", "2s");
  EXPECT_EQ(ErrorOf(twice),
            "flag --drain_timeout: drain_timeout: is there twice; keep one of "
            "them");
}

TEST(ConfigErrorTest, ValuesOfTheWrongTypeSayWhatIsRight) {
  EXPECT_EQ(YamlError("verbose: yes"),
            "c.yaml:1: verbose: 'yes' must be true or false");
  EXPECT_EQ(YamlError("\nthreads: 1.5"),
            "c.yaml:2: threads: '1.5' must be a whole number from -2147483648 "
            "to 2147483647");
  EXPECT_EQ(YamlError("threads: 2147483648"),
            "c.yaml:1: threads: '2147483648' must be a whole number from "
            "-2147483648 to 2147483647");
  EXPECT_EQ(YamlError("ratio: nan"), "c.yaml:1: ratio: 'nan' must be a number");
  EXPECT_EQ(YamlError("drain_timeout: 20"),
            "c.yaml:1: drain_timeout: '20' needs a unit, for example 20s");
  EXPECT_THAT(YamlError("max_body: 16MB"), HasSubstr("for example 16MiB"));
  EXPECT_EQ(
      YamlError("listen_address: \"a\\0b\""),
      "c.yaml:1: listen_address: 'a\\x00\\x62' must be text without a NUL "
      "character");
}

TEST(ConfigErrorTest, EnvironmentAndFlagsAreNamedAsThePlace) {
  EXPECT_EQ(ErrorOf(Env("TENANT_REGISTRY_DRAIN_TIMEOUT=20")),
            "environment TENANT_REGISTRY_DRAIN_TIMEOUT: drain_timeout: '20' "
            "needs a unit, for example 20s");
  EXPECT_EQ(ErrorOf(Flag("drain-timeout", "soon")),
            "flag --drain-timeout: drain_timeout: 'soon' must be a duration "
            "such as 250ms, 20s, 1m30s or 2h");
}

TEST(ConfigErrorTest, ListsStandInTheFileOnly) {
  EXPECT_EQ(ErrorOf(Env("TENANT_REGISTRY_FILES=a")),
            "environment TENANT_REGISTRY_FILES: files: is a list; set it in "
            "the configuration file");
  EXPECT_EQ(ErrorOf(Flag("listeners", "a")),
            "flag --listeners: listeners: is a list; set it in the "
            "configuration file");
}

TEST(ConfigErrorTest, ShapesThatDoNotFitAreRefused) {
  EXPECT_EQ(YamlError("- a"),
            "c.yaml:1: must hold settings as `key: value` lines");
  EXPECT_EQ(YamlError("threads: [1]"),
            "c.yaml:1: threads: must be one value, of type integer");
  EXPECT_EQ(YamlError("threads: {a: 1}"),
            "c.yaml:1: threads: must be one value, of type integer");
  EXPECT_THAT(YamlError("threads:"), StartsWith("c.yaml:1: threads: has no "
                                                "value"));
  EXPECT_EQ(YamlError("tls: on"),
            "c.yaml:1: tls: must hold settings: cert_file, key_file");
  EXPECT_EQ(YamlError("files: a"), "c.yaml:1: files: must be a list, `[a, b]`");
  EXPECT_EQ(YamlError("files:\n- a\n- [b]"),
            "c.yaml:3: files[1]: must be text");
  EXPECT_EQ(YamlError("listeners: {name: a}"),
            "c.yaml:1: listeners: must be a list; start each element with "
            "`- `");
  EXPECT_EQ(YamlError("listeners:\n- name: a\n- b"),
            "c.yaml:3: listeners[1]: must hold settings: bearer, name, tls, "
            "trusted_addresses");
}

TEST(ConfigErrorTest, ValidationNamesThePlaceOfItsKey) {
  EXPECT_EQ(YamlError("ratio: 1\nthreads: 0"),
            "c.yaml:2: threads: must be at least 1");
  EXPECT_EQ(ErrorOf(Env("TENANT_REGISTRY_THREADS=0")),
            "environment TENANT_REGISTRY_THREADS: threads: must be at least 1");
  EXPECT_EQ(YamlError("ratio: 1\ntls:\n  cert_file: a"),
            "c.yaml:2: tls: cert_file and key_file must be set together");
  EXPECT_EQ(ErrorOf(Flag("tls.cert-file", "a")),
            "c.yaml: tls: cert_file and key_file must be set together");
  EXPECT_EQ(YamlError("listeners:\n- name: a\n- bearer: true\n"),
            "c.yaml:3: listeners[1].name: must not be empty");
  EXPECT_EQ(YamlError("listeners:\n- name: a\n  tls:\n    cert_file: c\n"),
            "c.yaml:3: listeners[0].tls.key_file: must be set with "
            "tls.cert_file");
}

TEST(ConfigErrorTest, WhatMakesYamlSurprisingIsRefused) {
  EXPECT_EQ(YamlError("threads: &a 1\nlimit: *a"),
            "c.yaml:1: anchors (&name) are not allowed; write the value out");
  EXPECT_EQ(YamlError("threads: !!int 1"),
            "c.yaml:1: tag 'tag:yaml.org,2002:int' is not allowed; remove it");
  EXPECT_EQ(YamlError("threads: 1\n---\nthreads: 2"),
            "c.yaml:2: only one document is allowed");
  EXPECT_EQ(YamlError("? [a]\n: b"), "c.yaml:1: a key must be a plain word");
  EXPECT_EQ(YamlError("~: b"), "c.yaml:1: a key is missing before ':'");
}

TEST(ConfigErrorTest, BrokenYamlNamesTheLine) {
  EXPECT_THAT(YamlError("threads: 1\nfiles: [a, b"),
              HasSubstr("is not valid YAML"));
  EXPECT_THAT(YamlError("threads: 1\n\tlimit: 2\n"),
              StartsWith("c.yaml:2: is not valid YAML"));
  EXPECT_THAT(YamlError("threads: *none"), HasSubstr("c.yaml:1: "));
  // The parser alone would never come to an end of these.
  EXPECT_THAT(YamlError(","), StartsWith("c.yaml:1: no value can begin here"));
  EXPECT_THAT(YamlError("threads: 1\n---\n,\n"),
              StartsWith("c.yaml:2: only one document"));
}

TEST(ConfigErrorTest, SizeDepthAndLengthAreBounded) {
  EXPECT_EQ(YamlError(std::string((1 << 20) + 1, '#')),
            "c.yaml: has 1048577 bytes, at most 1048576 are allowed");
  EXPECT_NE(YamlError("files: " + std::string(1 << 19, '[')), "no error");
  EXPECT_NE(YamlError(std::string(1 << 19, '{')), "no error");
  EXPECT_EQ(
      YamlError("files: " + std::string(100, '[') + std::string(100, ']')),
      "c.yaml:1: is nested deeper than 32");
  std::string many = "listeners:\n";
  for (int i = 0; i < 1001; ++i) many += "- name: a\n";
  EXPECT_EQ(YamlError(many),
            "c.yaml:1: listeners: has 1001 elements, at most 1000 are "
            "allowed");
}

TEST(ConfigErrorTest, ASecretIsNotShown) {
  const std::string error = YamlError("token: \"s3cret\\0\"");
  EXPECT_THAT(error, HasSubstr("token: must not hold a NUL character"));
  EXPECT_FALSE(absl::StrContains(error, "s3cret"));
}

TEST(ConfigErrorTest, ASecretComesOutOfTheFileAlone) {
  Sources flag = Yaml("");
  flag.flags = {{"token", "s3cret"}};
  Sources variable = Yaml("");
  variable.env = {"TENANT_REGISTRY_TOKEN=s3cret"};
  for (const Sources& sources : {flag, variable}) {
    const absl::Status status = Load<TestConfig>(sources).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("token: is a secret; set it in the "
                                           "configuration file")));
    EXPECT_FALSE(absl::StrContains(status.message(), "s3cret"));
  }
}

TEST(ConfigErrorTest, HostileTextIsEscapedAndCut) {
  EXPECT_THAT(YamlError("\"a\\nb\": 1"), StartsWith("c.yaml:1: a\\nb: is "));
  EXPECT_THAT(YamlError("threads: " + std::string(5000, 'x')),
              SizeIs(testing::Lt(300)));
  EXPECT_THAT(YamlError(std::string(1000, 'x') + ": 1"),
              SizeIs(testing::Lt(300)));
}

TEST(ConfigDeathTest, TwoSettingsOfOneNameAbort) {
  const auto describe = [](std::vector<const char*> keys) {
    Fields fields;
    std::string value;
    for (const char* key : keys) fields.Add(key, value, "");
  };
  EXPECT_DEATH(describe({"a", "a"}), "setting 'a' is there twice");
  EXPECT_DEATH(describe({"Not a key"}), "must be named of");
  EXPECT_DEATH(
      {
        Fields fields;
        TestTls tls;
        std::string value;
        fields.AddGroup("tls", tls);
        fields.Add("tls", value, "");
      },
      "setting 'tls' is there twice");
  EXPECT_DEATH(
      {
        Fields fields;
        TestTls tls;
        std::string value;
        fields.AddGroup("tls", tls);
        fields.Add("tls_key_file", value, "");
      },
      "setting 'tls_key_file' is there twice");
}

TEST(BytesTest, ParsesAndFormats) {
  EXPECT_EQ(ParseBytes("0")->value, 0u);
  EXPECT_EQ(ParseBytes("512")->value, 512u);
  EXPECT_EQ(ParseBytes("64KiB")->value, 64u << 10);
  EXPECT_EQ(ParseBytes("2TiB")->value, uint64_t{2} << 40);
  EXPECT_EQ(ParseBytes("18446744073709551615")->value, ~uint64_t{0});
  for (const char* text :
       {"", "KiB", "-1", "+1", " 1", "1 ", "1 KiB", "1.5MiB", "16M", "16MB",
        "0x10", "18446744073709551616", "16777216TiB"}) {
    EXPECT_THAT(ParseBytes(text), StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
  EXPECT_EQ(FormatBytes({0}), "0");
  EXPECT_EQ(FormatBytes({1000}), "1000");
  EXPECT_EQ(FormatBytes({1536}), "1536");
  EXPECT_EQ(FormatBytes({3 << 20}), "3MiB");
}

TEST(DurationTest, NeedsAUnitAndIsFinite) {
  EXPECT_EQ(*ParseDuration("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseDuration("1m30s"), absl::Seconds(90));
  EXPECT_EQ(*ParseDuration("0"), absl::ZeroDuration());
  for (const char* text : {"", "20", "1.5", "s", "-1s", "inf", "1 s", "1d"}) {
    EXPECT_THAT(ParseDuration(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(AddressTest, NeedsAHostAndAPort) {
  for (const char* address :
       {"127.0.0.1:0", "localhost:65535", "[::1]:9801", "0.0.0.0:80"}) {
    EXPECT_THAT(CheckAddress(address), IsOk()) << address;
  }
  for (const char* address : {"", "localhost", ":80", "::1:80", "a:", "a:65536",
                              "a:-1", "a:+1", "a: 1", "a:http"}) {
    EXPECT_THAT(CheckAddress(address),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("must be HOST:PORT")))
        << address;
  }
}

}  // namespace
}  // namespace insula::config
