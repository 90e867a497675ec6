// A stock Prometheus scrapes a stock exporter and writes through the gateway.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "tests/e2e/harness/constellation.h"

namespace insula::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::string_view kConfig = R"(
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: team-red
    static_configs: [{targets: ["127.0.0.1:$0"], labels: {namespace: red}}]
  - job_name: team-blue
    static_configs: [{targets: ["127.0.0.1:$0"], labels: {namespace: blue}}]
remote_write:
  - url: http://127.0.0.1:$1/api/v1/write
    authorization: {credentials: $2}
    queue_config: {batch_send_deadline: 500ms}
)";

TEST(PrometheusSenderTest, RealMetricsOfTwoTenantsFlowEndToEnd) {
  Constellation constellation;
  constellation.StartAll();
  const int exporter_port = ClaimPort();
  Process exporter(
      "/usr/bin/prometheus-node-exporter",
      {absl::StrCat("--web.listen-address=127.0.0.1:", exporter_port)},
      constellation.dir().path() + "/exporter.log");
  const std::string config = constellation.dir().Write(
      "sender.yml",
      absl::Substitute(kConfig, exporter_port, constellation.gateway_port(),
                       Constellation::kSender));
  Process sender("/usr/bin/prometheus",
                 {"--config.file=" + config,
                  absl::StrCat("--storage.tsdb.path=",
                               constellation.dir().path(), "/sender-tsdb"),
                  absl::StrCat("--web.listen-address=127.0.0.1:", ClaimPort())},
                 constellation.dir().path() + "/sender.log");

  const auto sees = [&](const char* token, const char* query,
                        const char* text) {
    return WaitUntil([&] {
      return absl::StrContains(constellation.Query(token, query).body, text);
    });
  };
  EXPECT_TRUE(sees(Constellation::kRed,
                   "count(node_cpu_seconds_total) by (job)", "team-red"))
      << sender.LogTail();
  EXPECT_TRUE(sees(Constellation::kBlue,
                   "count(node_cpu_seconds_total) by (job)", "team-blue"))
      << sender.LogTail();
  // `up` comes after the samples of its scrape.
  EXPECT_TRUE(sees(Constellation::kRed, "up", "team-red"));
  EXPECT_TRUE(sees(Constellation::kBlue, "up", "team-blue"));
  EXPECT_THAT(constellation.Query(Constellation::kRed, "up").body,
              Not(HasSubstr("team-blue")));
}

}  // namespace
}  // namespace insula::e2e
