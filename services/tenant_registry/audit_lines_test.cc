#include "services/tenant_registry/audit_lines.h"

#include <gmock/gmock.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "services/tenant_registry/registry_fixture.h"

namespace insula::tenant_registry {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class AuditLinesTest : public RegistryTest {
 protected:
  AuditLinesTest() {
    config_.file = dir_ + "/audit.jsonl";
    auto log =
        audit::AuditLog::Open(config_, "tenant-registry", &clock_, &metrics_);
    EXPECT_THAT(log, IsOk());
    log_ = *std::move(log);
    audit_ = log_.get();
  }

  void Change(v1::Operation operation, std::string request_id) {
    ApplyCommand command;
    command.request.set_request_id(std::move(request_id));
    *command.request.add_operations() = std::move(operation);
    command.actor = "spiffe://example.org/admin";
    const auto revision =
        asio::co_spawn(pool_, registry_->Apply(std::move(command)),
                       asio::use_future)
            .get();
    last_ = revision.status();
  }

  std::vector<json> Finish() {
    Stop();
    log_.reset();
    std::ifstream stream(config_.file);
    std::vector<json> lines;
    for (std::string line; std::getline(stream, line);) {
      text_ += line;
      lines.push_back(json::parse(line));
    }
    return lines;
  }

  audit::AuditConfig config_;
  std::unique_ptr<audit::AuditLog> log_;
  absl::Status last_;
  std::string text_;
};

TEST_F(AuditLinesTest, EachChangeIsALine) {
  Start();
  Change(Put(TenantObject("blue", "", "canary")), "r1");
  Change(Put(TenantObject("blue", "", "canary 2")), "r2");
  Change(Put(BindingObject("agents", 'T', {"blue"})), "r3");
  Change(Delete(v1::KIND_BINDING, "agents"), "r4");
  ASSERT_THAT(last_, IsOk());
  const std::vector<json> lines = Finish();
  ASSERT_THAT(lines, SizeIs(4));
  const char* const methods[] = {"create", "update", "create", "delete"};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(lines[i]["event"], "change");
    EXPECT_EQ(lines[i]["decision"], "allowed");
    EXPECT_EQ(lines[i]["method"], methods[i]);
    EXPECT_EQ(lines[i]["tenant"], "blue");
    EXPECT_EQ(lines[i]["object"], i < 2 ? "Tenant/blue" : "Binding/agents");
    EXPECT_EQ(lines[i]["principal"], "spiffe://example.org/admin");
    EXPECT_EQ(lines[i]["source"], "api");
    EXPECT_EQ(lines[i]["request_id"], "r" + std::to_string(i + 1));
    EXPECT_EQ(lines[i]["revision"], i + 1);
  }
  EXPECT_THAT(text_, Not(HasSubstr("canary")));
  EXPECT_THAT(text_, Not(HasSubstr("TTTT")));
}

TEST_F(AuditLinesTest, WhatIsNotStoredIsNotThere) {
  Start();
  Change(Put(BindingObject("agents", 'T', {"nobody"})), "r1");
  EXPECT_THAT(last_, Not(IsOk()));
  EXPECT_THAT(Finish(), SizeIs(0));
}

}  // namespace
}  // namespace insula::tenant_registry
