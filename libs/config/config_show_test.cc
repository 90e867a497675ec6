#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "libs/config/config.h"
#include "libs/config/test_config.h"
#include "libs/status/status_matchers.h"

namespace insula::config {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Fields FieldsOf(TestConfig& config) {
  Fields fields;
  config.Describe(fields);
  return fields;
}

TEST(DumpTest, ShowsThePresentValuesAsYaml) {
  TestConfig config;
  config.token = Secret("s3cret");
  config.files = {};
  config.tls.cert_file = "yes";
  config.listeners.resize(2);
  config.listeners[0].name = "write";

  EXPECT_EQ(Dump(FieldsOf(config)), R"(listen_address: "127.0.0.1:9701"
verbose: false
threads: 4
limit: 100
ratio: 0.5
drain_timeout: 20s
max_body: 32MiB
token: "<redacted>"
files: []
tls:
  cert_file: "yes"
  key_file: ""
listeners:
  - name: write
    bearer: true
    tls:
      cert_file: ""
      key_file: ""
    trusted_addresses:
      - "127.0.0.1"
      - "::1"
  - name: ""
    bearer: true
    tls:
      cert_file: ""
      key_file: ""
    trusted_addresses:
      - "127.0.0.1"
      - "::1"
)");
}

TEST(DumpTest, ReadsBackAsTheSameConfiguration) {
  TestConfig config;
  config.listen_address = "null\n\"\\\x01 # é: ";
  config.files = {"true", "", "- x", "a: b"};
  config.drain_timeout = absl::Milliseconds(1500);
  config.listeners.resize(1);
  config.listeners[0].name = "~";
  const std::string dump = Dump(FieldsOf(config));

  Sources sources;
  sources.yaml = dump;
  sources.yaml_name = "dump";
  absl::StatusOr<TestConfig> again = Load<TestConfig>(sources);
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->listen_address, config.listen_address);
  EXPECT_EQ(again->files, config.files);
  EXPECT_EQ(Dump(FieldsOf(*again)), dump);
}

TEST(DumpTest, GroupsDescribedInPiecesStandTogether) {
  TestTls tls;
  std::string other;
  std::string min;
  struct More {
    std::string* value;
    void Describe(Fields& fields) { fields.Add("min", *value, ""); }
  } more{&min};
  Fields fields;
  fields.AddGroup("tls", tls);
  fields.Add("other", other, "");
  fields.AddGroup("tls", more);

  EXPECT_EQ(Dump(fields),
            "tls:\n  cert_file: \"\"\n  key_file: \"\"\n  min: \"\"\n"
            "other: \"\"\n");
}

TEST(HelpTest, ListsFlagsWithDefaultsAndElementsOfLists) {
  TestConfig config;
  config.token = Secret("s3cret");
  const std::string help = Help(FieldsOf(config));

  EXPECT_THAT(
      help,
      AllOf(HasSubstr("  --listen-address STRING, default 127.0.0.1:9701\n"
                      "      Where to serve gRPC.\n"),
            HasSubstr("  --tls.cert-file STRING\n"),
            HasSubstr("  token (secret, in the file only), default "
                      "<redacted>\n"),
            HasSubstr("  --drain-timeout DURATION, default 20s\n"),
            HasSubstr("  files (list of strings, in the file only), default "
                      "a.yaml\n"),
            HasSubstr("  listeners (list, in the file only)\n"),
            HasSubstr("  listeners[].tls.cert_file (string)\n"),
            HasSubstr("  listeners[].trusted_addresses (list of strings), "
                      "default 127.0.0.1, ::1\n"),
            Not(HasSubstr("s3cret"))));
}

TEST(HelpTest, MarkdownIsATableWithEscapedCells) {
  TestConfig config;
  const std::string help = HelpMarkdown(FieldsOf(config));

  EXPECT_THAT(
      help,
      AllOf(HasSubstr("| key | type | default | meaning |\n"),
            HasSubstr("| `max_body` | size | `32MiB` | Largest body. |\n"),
            HasSubstr("| `files` | list of strings | `a.yaml` | Files \\| "
                      "folders. |\n"),
            HasSubstr("| `listeners[].name` | string |  | In logs and "
                      "metrics. |\n")));
}

}  // namespace
}  // namespace insula::config
