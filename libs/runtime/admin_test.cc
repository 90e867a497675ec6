#include "libs/runtime/admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace insula::runtime {
namespace {

using testing::HasSubstr;
using testing::Optional;

class AdminTest : public testing::Test {
 protected:
  http::Response Ask(const std::string& target,
                     const std::string& method = "GET") {
    http::Request request;
    request.method = method;
    request.target = target;
    return AnswerAdmin({&readiness_, &metrics_, &config_, &debug_}, request);
  }

  Readiness readiness_;
  DebugPages debug_;
  metrics::Registry metrics_;
  const std::string config_ = "token: \"<redacted>\"\n";
};

TEST_F(AdminTest, MetricsAreInThePrometheusTextFormat) {
  metrics_.AddGauge("depth", "Depth.").Set(3);
  const http::Response response = Ask("/metrics?format=text");

  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(
      response.headers.Get("content-type"),
      Optional(absl::string_view("text/plain; version=0.0.4; charset=utf-8")));
  EXPECT_THAT(response.body, HasSubstr("\ndepth 3\n"));
}

TEST_F(AdminTest, ItIsAliveFromTheStart) {
  EXPECT_EQ(Ask("/livez").status, 200);
  EXPECT_EQ(Ask("/livez").body, "ok\n");
}

TEST_F(AdminTest, TheConfigurationIsShownAsGiven) {
  EXPECT_EQ(Ask("/config").status, 200);
  EXPECT_EQ(Ask("/config").body, config_);
}

TEST_F(AdminTest, DebugPagesAnswerWhileTheyAreOpen) {
  debug_.Add("/debug/a", [](absl::string_view query) {
    return absl::StrCat("[\"", query, "\"]");
  });
  EXPECT_EQ(Ask("/debug/a?x=1").status, 503);
  debug_.Open();
  const http::Response response = Ask("/debug/a?x=1");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "[\"x=1\"]");
  EXPECT_THAT(response.headers.Get("content-type"),
              Optional(absl::string_view("application/json; charset=utf-8")));
  EXPECT_THAT(response.headers.Get("x-content-type-options"),
              Optional(absl::string_view("nosniff")));
  EXPECT_EQ(Ask("/debug/a", "POST").status, 405);
  EXPECT_EQ(Ask("/debug/b").status, 404);
  EXPECT_THAT(Ask("/debug/b").body, HasSubstr("/config, and /debug/a\n"));
  debug_.Close();
  EXPECT_EQ(Ask("/debug/a").status, 503);
}

TEST_F(AdminTest, ADebugPageThatFailsSaysSo) {
  debug_.Open();
  debug_.Add("/debug/a", [](absl::string_view) -> absl::StatusOr<std::string> {
    return absl::InvalidArgumentError("tenant: must be given");
  });
  EXPECT_EQ(Ask("/debug/a").status, 400);
  EXPECT_EQ(Ask("/debug/a").body, "tenant: must be given\n");
}

TEST_F(AdminTest, OtherPathsAndMethodsAreRefused) {
  EXPECT_EQ(Ask("/").status, 404);
  EXPECT_EQ(Ask("/metrics/").status, 404);
  const http::Response response = Ask("/metrics", "POST");
  EXPECT_EQ(response.status, 405);
  EXPECT_THAT(response.headers.Get("allow"),
              Optional(absl::string_view("GET, HEAD")));
}

TEST_F(AdminTest, ReadinessFollowsThePhasesOfTheProcess) {
  EXPECT_EQ(Ask("/readyz").status, 503);
  EXPECT_EQ(Ask("/readyz").body, "process: still starting\n");
  readiness_.SetReady();
  EXPECT_EQ(Ask("/readyz").status, 200);
  EXPECT_EQ(Ask("/readyz").body, "ok\n");
  readiness_.SetDraining();
  EXPECT_EQ(Ask("/readyz").status, 503);
  EXPECT_EQ(Ask("/readyz").body, "process: draining\n");
  readiness_.SetReady();
  EXPECT_EQ(Ask("/readyz").status, 503);
}

TEST_F(AdminTest, AFailingCheckIsNamedWithItsReason) {
  absl::Status registry = absl::UnavailableError("no snapshot yet");
  readiness_.Add("registry", [&registry] { return registry; });
  readiness_.Add("disk", [] { return absl::OkStatus(); });
  readiness_.SetReady();

  EXPECT_EQ(Ask("/readyz").status, 503);
  EXPECT_EQ(Ask("/readyz").body, "registry: no snapshot yet\ndisk: ok\n");
  registry = absl::OkStatus();
  EXPECT_EQ(Ask("/readyz").status, 200);
  EXPECT_EQ(Ask("/readyz").body, "ok\nregistry: ok\ndisk: ok\n");
}

TEST_F(AdminTest, ChecksRunOnlyWhileTheProcessServes) {
  int runs = 0;
  readiness_.Add("counted", [&runs] {
    ++runs;
    return absl::OkStatus();
  });
  Ask("/readyz");
  EXPECT_EQ(runs, 0);
  readiness_.SetReady();
  Ask("/readyz");
  EXPECT_EQ(runs, 1);
  readiness_.SetDraining();
  Ask("/readyz");
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace insula::runtime
