// loadgen, the gateway and a Prometheus behind it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/e2e/harness/constellation.h"

namespace insula::e2e {
namespace {

using testing::HasSubstr;

constexpr char kToken[] = "loader-token";

v1::Operation Put(v1::Kind kind, const std::string& id, v1::Object object) {
  v1::Operation operation;
  object.mutable_meta()->set_kind(kind);
  object.mutable_meta()->set_id(id);
  *operation.mutable_put() = std::move(object);
  return operation;
}

class LoadgenGatewayTest : public testing::Test {
 protected:
  // What loadgen ended with, and said.
  struct Ended {
    std::optional<int> code;
    std::string out;
  };

  void SetUp() override {
    constellation_.StartStore();
    constellation_.StartRegistry();
    std::vector<v1::Operation> operations;
    for (const char* id : {"team-0", "team-1"}) {
      v1::Object tenant;
      (*tenant.mutable_tenant()->mutable_enforced_labels())["namespace"] = id;
      tenant.mutable_tenant()->set_upstream_id("store");
      operations.push_back(Put(v1::KIND_TENANT, id, tenant));
    }
    v1::Object loader;
    loader.mutable_binding()->set_token_sha256(TokenHash(kToken));
    loader.mutable_binding()->set_every_tenant(true);
    loader.mutable_binding()->add_roles(v1::ROLE_WRITE);
    loader.mutable_binding()->set_claim_rule_id("by-namespace");
    operations.push_back(Put(v1::KIND_BINDING, "loader", loader));
    constellation_.Apply(operations);
    constellation_.StartGateway();
  }

  // One pass of 4 requests, each of 5 targets of 20 series.
  Ended Load(const std::string& token) {
    const TempDir& dir = constellation_.dir();
    const std::string log = dir.path() + "/loadgen.log";
    Process loadgen(
        BIN_DIR "/loadgen",
        {"--url",
         absl::StrCat("http://127.0.0.1:", constellation_.gateway_port(),
                      "/api/v1/write"),
         "--bearer-token-file", dir.Write("token", token), "--tenants", "2",
         "--series-per-request", "100", "--requests", "4", "--passes", "1",
         "--quiet"},
        log);
    Ended ended;
    ended.code = loadgen.Wait(absl::Minutes(1));
    std::ifstream file(log);
    ended.out.assign(std::istreambuf_iterator<char>(file), {});
    return ended;
  }

  Constellation constellation_;
};

TEST_F(LoadgenGatewayTest, EverySampleGetsToTheTenantThatItIsOf) {
  const Ended ended = Load(kToken);
  ASSERT_EQ(ended.code, 0) << ended.out << constellation_.Logs();
  const auto summary = nlohmann::json::parse(ended.out);

  EXPECT_EQ(summary["requests"], 4);
  EXPECT_EQ(summary["failed"], 0);
  EXPECT_EQ(summary["samples"], 400);
  for (const char* id : {"team-0", "team-1"}) {
    EXPECT_THAT(constellation_.AskStore(
                    absl::StrCat("count({namespace=\"", id, "\"})")),
                HasSubstr("\"200\""));
  }
}

TEST_F(LoadgenGatewayTest, EndsWithOneIfItIsRefused) {
  const Ended ended = Load("another-token");
  EXPECT_EQ(ended.code, 1);
  const auto summary = nlohmann::json::parse(ended.out);

  EXPECT_EQ(summary["failed"], 4);
  EXPECT_EQ(summary["samples"], 0);
  EXPECT_EQ(summary["answers"], nlohmann::json({{"401", 4}}));
}

}  // namespace
}  // namespace insula::e2e
