#include "services/rule_sync/config.h"

#include <gmock/gmock.h>

#include "libs/status/status_matchers.h"

namespace insula::rule_sync {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Config> Load(const std::string& yaml) {
  config::Sources sources;
  sources.service = "rule-sync";
  sources.yaml = yaml;
  sources.yaml_name = "test.yaml";
  sources.flags = {{"insecure_internal", "true"}};
  return config::Load<Config>(sources);
}

TEST(ConfigTest, HasDefaultsThatWork) {
  const auto config = Load("");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->grpc.listen_address, "127.0.0.1:9704");
  EXPECT_EQ(config->process.admin_listen_address, "127.0.0.1:9804");
  EXPECT_EQ(config->rules.max_deletion_percent, 20);
  EXPECT_EQ(config->rulers.namespace_prefix, "insula");
}

TEST(ConfigTest, ReadsAllGroups) {
  const auto config = Load(
      "rules: {directory: /r, rescan_interval: 1s, max_file: 2MiB}\n"
      "rule_files: {directory: /f, dialect: prometheus-3}\n"
      "rulers: {namespace_prefix: x, namespace_separator: '~'}\n"
      "targets: {max_parallel: 3, ledger_file: /l}\n");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->rules.max_file.value, 2u << 20);
  EXPECT_EQ(config->rulers.namespace_separator, "~");
  EXPECT_EQ(config->ClientOptions().max_connections_per_host, 3);
  metrics::Registry metrics;
  EXPECT_EQ(config->ServerOptions(nullptr, &metrics, nullptr).max_receive_bytes,
            4 << 20);
}

class BadConfigTest
    : public testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(BadConfigTest, IsRefusedByItsKey) {
  EXPECT_THAT(Load(GetParam().first),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(GetParam().second)));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadConfigTest,
    testing::Values(
        std::pair("rules: {directory: ''}", "rules.directory"),
        std::pair("rules: {rescan_interval: 1ms}", "rules.rescan_interval"),
        std::pair("rules: {max_file: 1}", "rules.max_file"),
        std::pair("rules: {max_file: 8MiB, max_tenant: 4MiB}",
                  "rules.max_tenant"),
        std::pair("rules: {max_files: 0}", "rules.max_files"),
        std::pair("targets: {refused_networks: [x]}",
                  "targets.refused_networks"),
        std::pair("credentials: [{bearer_file: x}]", "credentials[0].url"),
        std::pair("rules: {max_deletion_percent: 101}",
                  "rules.max_deletion_percent"),
        std::pair("rules: {max_deletion_percent: -1}",
                  "rules.max_deletion_percent"),
        std::pair("rule_files: {dialect: promql}", "rule_files.dialect"),
        std::pair("rulers: {namespace_prefix: ''}", "rulers.namespace_prefix"),
        std::pair("rulers: {namespace_prefix: a/b}", "rulers.namespace_prefix"),
        std::pair("rulers: {namespace_separator: ''}",
                  "rulers.namespace_separator"),
        std::pair("rulers: {namespace_separator: '%'}",
                  "rulers.namespace_separator"),
        std::pair("rulers: {namespace_prefix: a-b, namespace_separator: '-'}",
                  "rulers.namespace_separator"),
        std::pair("targets: {max_parallel: 0}", "targets.max_parallel"),
        std::pair("targets: {min_backoff: 2m, max_backoff: 1m}",
                  "targets.max_backoff"),
        std::pair("targets: {resync_interval: 0s}", "targets.resync_interval"),
        std::pair("targets: {tls_cert_file: x}", "targets.tls_key_file"),
        std::pair("grpc: {listen_address: '0.0.0.0:1'}",
                  "grpc.listen_address")));

}  // namespace
}  // namespace insula::rule_sync
