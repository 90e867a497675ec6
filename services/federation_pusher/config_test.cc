#include "services/federation_pusher/config.h"

#include <gmock/gmock.h>

#include <string>

#include "libs/http/client.h"
#include "libs/status/status_matchers.h"
#include "services/federation_pusher/push.h"
#include "services/federation_pusher/scrape.h"

namespace insula::federation_pusher {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

absl::StatusOr<Config> Load(const std::string& yaml) {
  config::Sources sources;
  sources.service = "federation-pusher";
  sources.yaml = yaml;
  sources.yaml_name = "pusher.yaml";
  sources.flags = {{"insecure_internal", "true"}};
  return config::Load<Config>(sources);
}

TEST(ConfigTest, HasDefaultsForOneMachine) {
  const auto config = Load("");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->grpc.listen_address, "127.0.0.1:9705");
  EXPECT_EQ(config->process.admin_listen_address, "127.0.0.1:9805");
  EXPECT_EQ(config->gateway.write_url, "http://127.0.0.1:19093/api/v1/write");
  EXPECT_THAT(config->scrape.refused_networks, Contains("169.254.0.0/16"));
  EXPECT_THAT(config->registry.client_id, HasSubstr("federation-pusher/"));
}

TEST(ConfigTest, TheListOfRefusedNetworksCanBeEmptied) {
  const auto config = Load("scrape: {refused_networks: []}");
  ASSERT_THAT(config, IsOk());
  EXPECT_THAT(config->scrape.refused_networks, IsEmpty());
}

TEST(ConfigTest, RefusesWhatCanNotWork) {
  const std::pair<const char*, const char*> cases[] = {
      {"scrape: {max_body: 0}", "scrape.max_body"},
      {"scrape: {max_body: 2GiB}", "1GiB"},
      {"scrape: {max_line: 17MiB}", "scrape.max_line"},
      {"scrape: {max_samples: 0}", "scrape.max_samples"},
      {"scrape: {refused_networks: [metadata]}", "refused_networks"},
      {"gateway: {write_url: gateway:19093}", "gateway.write_url"},
      {"push: {max_series: 0}", "push.max_series"},
      {"push: {max_body: 1GiB}", "push.max_body"},
      {"push: {timeout: 1ms}", "push.timeout"},
      {"grpc: {listen_address: 9705}", "grpc.listen_address"},
      {"max_parallel_jobs: 0", "max_parallel_jobs"},
      {"gateway: {write_url: 'https://g/write', token_file: /t}\n"
       "credentials: [{url: 'https://g/', bearer_file: /t}]",
       "gateway.token_file"},
      {"jobs: []", "jobs"},
  };
  for (const auto& [yaml, what] : cases) {
    EXPECT_THAT(Load(yaml),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what)))
        << yaml;
  }
}

TEST(ClientOptionsTest, TrustTheConfiguredCaAndHoldNoMoreThanIsConfigured) {
  const auto config = Load(
      "scrape: {ca_file: /sources.pem, max_body: 1MiB}\n"
      "gateway: {ca_file: /gateway.pem}\n"
      "max_parallel_jobs: 3\n");
  ASSERT_THAT(config, IsOk());
  const http::ClientOptions source = SourceClientOptions(config->scrape);
  EXPECT_EQ(source.tls->ca_file, "/sources.pem");
  EXPECT_EQ(source.max_response_bytes, 1u << 20);
  const http::ClientOptions gateway = GatewayClientOptions(*config);
  EXPECT_EQ(gateway.tls->ca_file, "/gateway.pem");
  EXPECT_EQ(gateway.max_connections_per_host, 3);
  EXPECT_FALSE(GatewayClientOptions(Config()).tls.has_value());
}

}  // namespace
}  // namespace insula::federation_pusher
