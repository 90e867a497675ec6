#include "services/ingest_gateway/config.h"

#include <gmock/gmock.h>

#include <string>

#include "libs/status/status_matchers.h"

namespace insula::ingest_gateway {
namespace {

using testing::HasSubstr;

absl::StatusOr<Config> Load(const std::string& yaml) {
  config::Sources sources;
  sources.service = "ingest-gateway";
  sources.yaml = yaml;
  sources.yaml_name = "gateway.yaml";
  sources.flags = {{"insecure_internal", "true"}};
  return config::Load<Config>(sources);
}

TEST(ConfigTest, ServesOneListenerByDefault) {
  const auto config = Load("");
  ASSERT_THAT(config, IsOk());
  ASSERT_EQ(config->listeners.size(), 1u);
  EXPECT_EQ(config->listeners[0].listen_address, "127.0.0.1:19093");
  EXPECT_TRUE(config->listeners[0].auth.bearer);
  EXPECT_EQ(config->grpc.listen_address, "127.0.0.1:9702");
  EXPECT_EQ(config->process.admin_listen_address, "127.0.0.1:9802");
}

TEST(ConfigTest, TakesAListOfListeners) {
  const auto config = Load(
      "grpc: {listen_address: '127.0.0.1:1'}\n"
      "write: {max_decoded_body: 64MiB, timeout: 10s}\n"
      "listeners:\n"
      "  - {name: tokens, listen_address: '127.0.0.1:2'}\n"
      "  - {name: proxy, listen_address: '127.0.0.1:3', bearer: false,\n"
      "     trusted_header: X-Scope-OrgID}\n");
  ASSERT_THAT(config, IsOk());
  ASSERT_EQ(config->listeners.size(), 2u);
  EXPECT_EQ(config->listeners[1].name, "proxy");
  EXPECT_FALSE(config->listeners[1].auth.bearer);
  EXPECT_EQ(config->listeners[1].auth.trusted_header, "X-Scope-OrgID");
  EXPECT_EQ(config->write.max_decoded_body.value, 64u << 20);
  EXPECT_EQ(config->grpc.listen_address, "127.0.0.1:1");
}

TEST(ConfigTest, ConnectionsThatDoNothingEndWhenItSays) {
  EXPECT_EQ(WriteConfig().ServerLimits().idle_timeout, absl::Minutes(1));
  const auto config = Load("write: {idle_timeout: 10m}");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->write.ServerLimits().idle_timeout, absl::Minutes(10));
}

TEST(ConfigTest, RefusesWhatCanNotWork) {
  const std::pair<const char*, const char*> cases[] = {
      {"listeners: []", "at least one"},
      {"listeners: [{name: a, listen_address: 'h:1'},"
       " {name: a, listen_address: 'h:2'}]",
       "two are named 'a'"},
      {"listeners: [{name: ''}]", "name"},
      {"listeners: [{tls_cert_file: a.pem}]", "tls_key_file"},
      {"listeners: [{tls_client_ca_file: a.pem}]", "tls_cert_file"},
      {"listeners: [{bearer: false}]", "bearer"},
      {"write: {max_series: 0}", "max_series"},
      {"write: {timeout: 1s}", "write.timeout"},
      {"write: {idle_timeout: 0s}", "write.idle_timeout"},
      {"write: {max_body: 300MiB}", "max_buffered"},
      {"write: {max_decoded_body: 2GiB}", "1GiB"},
      {"wirte: {}", "wirte"},
      {"write: {refused_networks: [metadata]}", "write.refused_networks"},
      {"credentials: [{url: 'https://a/'}]", "has no credential"},
      {"credentials: [{url: 'https://a/', bearer_file: /t},"
       " {url: 'https://a', bearer_file: /t}]",
       "credentials[1].url"},
      {"audit: {max_lines_per_second: 0}", "audit.max_lines_per_second"},
  };
  for (const auto& [yaml, what] : cases) {
    EXPECT_THAT(Load(yaml),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what)))
        << yaml;
  }
}

}  // namespace
}  // namespace insula::ingest_gateway
