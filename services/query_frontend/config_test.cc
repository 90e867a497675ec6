#include "services/query_frontend/config.h"

#include <gmock/gmock.h>

#include <string>

#include "libs/status/status_matchers.h"

namespace insula::query_frontend {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Config> Load(const std::string& yaml) {
  config::Sources sources;
  sources.service = "query-frontend";
  sources.yaml = yaml;
  sources.yaml_name = "test.yaml";
  sources.flags = {{"insecure_internal", "true"}};
  return config::Load<Config>(sources);
}

TEST(ConfigTest, HasDefaultsThatWork) {
  const auto config = Load("");
  ASSERT_THAT(config, IsOk());
  ASSERT_EQ(config->listeners.size(), 1u);
  EXPECT_EQ(config->listeners[0].listen_address, "127.0.0.1:8080");
  EXPECT_TRUE(config->listeners[0].auth.bearer);
  EXPECT_EQ(config->listeners[0].auth.trusted_header, "");
  EXPECT_EQ(config->grpc.listen_address, "127.0.0.1:9703");
  EXPECT_EQ(config->process.admin_listen_address, "127.0.0.1:9803");
}

TEST(ConfigTest, ReadsListenersAndLimits) {
  const auto config = Load(
      "listeners:\n"
      "  - {name: a, listen_address: '127.0.0.1:1'}\n"
      "  - {name: b, listen_address: '127.0.0.1:2', bearer: false,\n"
      "     trusted_header: X-Tenant}\n"
      "api: {timeout: 5s, max_body: 1MiB}\n"
      "upstream: {max_response: 2MiB, max_connections: 7}\n");
  ASSERT_THAT(config, IsOk());
  ASSERT_EQ(config->listeners.size(), 2u);
  EXPECT_EQ(config->listeners[1].auth.trusted_header, "X-Tenant");
  EXPECT_EQ(config->api.timeout, absl::Seconds(5));
  EXPECT_EQ(config->api.max_body.value, 1u << 20);
  EXPECT_EQ(config->upstream.max_response.value, 2u << 20);
  EXPECT_EQ(config->upstream.max_connections, 7);
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
        std::pair("listeners: []", "listeners"),
        std::pair("listeners: [{name: ''}]", "name"),
        std::pair("listeners: [{name: a}, {name: a}]", "two are named 'a'"),
        std::pair("listeners: [{name: a, tls_cert_file: x}]", "tls_key_file"),
        std::pair("listeners: [{name: a, tls_client_ca_file: x}]",
                  "tls_client_ca_file"),
        std::pair("listeners: [{name: a, max_connections: -1}]",
                  "max_connections"),
        std::pair("listeners: [{name: a, bearer: false}]", ""),
        std::pair("api: {timeout: 0s}", "api.timeout"),
        std::pair("api: {max_body: 1}", "api.max_body"),
        std::pair("api: {max_buffered: 1KiB}", "api.max_buffered"),
        std::pair("upstream: {max_response: 8GiB}", "upstream.max_response"),
        std::pair("upstream: {tls_cert_file: x}", "upstream.tls_key_file"),
        std::pair("upstream: {refused_networks: [x]}",
                  "upstream.refused_networks"),
        std::pair("credentials: [{bearer_file: x}]", "credentials[0].url"),
        std::pair("upstream: {nothing: 1}", "upstream.nothing")));

}  // namespace
}  // namespace insula::query_frontend
