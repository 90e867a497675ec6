// What the audit hears of requests that a listener refuses.
#include <gmock/gmock.h>
#include <openssl/sha.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/audit/audit_log.h"
#include "libs/auth/authenticator.h"
#include "libs/edge/handler.h"
#include "libs/edge/listeners.h"
#include "libs/http/client.h"
#include "libs/http/message.h"
#include "libs/http/status_code.h"
#include "libs/http/url.h"
#include "libs/runtime/process.h"
#include "libs/status/status_matchers.h"
#include "libs/tenancy/snapshot.h"

namespace insula::edge {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::registry::v1;
using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

// Lets in who may write, and answers as a service does.
class FakeHandler final : public Handler {
 public:
  explicit FakeHandler(std::shared_ptr<const tenancy::Snapshot> snapshot)
      : snapshot_(std::move(snapshot)) {}

  std::optional<http::Response> Admit(
      const http::Request& request, const auth::Authenticator* auth) override {
    const auto caller =
        auth->TryNow(request, snapshot_, v1::ROLE_WRITE, absl::Now());
    if (!caller.has_value() || caller->ok()) return std::nullopt;
    return http::TextResponse(http::ToHttpStatus(caller->status().code()),
                              "refused");
  }

  asio::awaitable<http::Response> Handle(
      http::Request request, const auth::Authenticator* auth) override {
    const auto caller =
        auth->TryNow(request, snapshot_, v1::ROLE_WRITE, absl::Now());
    if (request.path() == "/foreign") {
      const absl::Status why = absl::PermissionDeniedError("canary");
      auth->NoteRefusal(request, **caller, why, "foreign_series");
    }
    co_return http::TextResponse(200, "taken");
  }

 private:
  const std::shared_ptr<const tenancy::Snapshot> snapshot_;
};

class ListenersAuditTest : public testing::Test {
 protected:
  ListenersAuditTest() {
    AddTenant("blue");
    AddTenant("green");
    AddBinding("agents", "t-write", v1::ROLE_WRITE);
    AddBinding("readers", "t-read", v1::ROLE_READ);
    handler_ = std::make_unique<FakeHandler>(std::move(builder_).Build(1, "e"));
    runtime::ProcessConfig config;
    config.admin_listen_address = "127.0.0.1:0";
    config.worker_threads = 2;
    config.ports_file = file_ + ".ports";
    auto process = runtime::Process::Start("edge-test", config, "");
    EXPECT_THAT(process, IsOk());
    process_ = *std::move(process);
    client_ = std::make_unique<http::Client>(
        http::ClientOptions(), process_->executor(), &process_->metrics());
  }
  ~ListenersAuditTest() override {
    listeners_.reset();
    audit_.reset();
    std::filesystem::remove(file_);
    std::filesystem::remove(file_ + ".ports");
  }

  void AddTenant(const std::string& id) {
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_TENANT);
    object.mutable_meta()->set_id(id);
    object.mutable_meta()->set_uid(id + std::string(16 - id.size(), '.'));
    object.mutable_tenant();
    EXPECT_THAT(builder_.Put(object), IsOk());
  }
  void AddBinding(const std::string& id, const std::string& token,
                  v1::Role role) {
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_BINDING);
    object.mutable_meta()->set_id(id);
    object.mutable_meta()->set_uid(id + std::string(16 - id.size(), '.'));
    std::string digest(SHA256_DIGEST_LENGTH, '\0');
    SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(),
           reinterpret_cast<unsigned char*>(digest.data()));
    object.mutable_binding()->set_token_sha256(digest);
    object.mutable_binding()->add_tenant_ids("blue");
    object.mutable_binding()->add_roles(role);
    EXPECT_THAT(builder_.Put(object), IsOk());
  }

  void Start(int max_lines_per_second = 100) {
    audit::AuditConfig config;
    config.file = file_;
    config.max_lines_per_second = max_lines_per_second;
    auto audit = audit::AuditLog::Open(config, "edge-test", &process_->clock(),
                                       &process_->metrics());
    ASSERT_THAT(audit, IsOk());
    audit_ = *std::move(audit);
    ListenerConfig listener("write", "127.0.0.1:0");
    auto listeners =
        Listeners::Start({listener}, http::ServerOptions(), handler_.get(),
                         process_.get(), audit_.get());
    ASSERT_THAT(listeners, IsOk());
    listeners_ = *std::move(listeners);
    process_->SetReady();
    std::ifstream ports(file_ + ".ports");
    for (std::string name, address; ports >> name >> address;) {
      if (name == "write") address_ = address;
    }
  }

  int Post(absl::string_view target, http::Headers headers) {
    http::ClientRequest request;
    request.method = "POST";
    request.url = *http::Url::Parse(absl::StrCat("http://", address_, target));
    request.headers = std::move(headers);
    const auto answer =
        asio::co_spawn(
            process_->executor(),
            client_->Send(std::move(request), absl::Now() + absl::Seconds(20)),
            asio::use_future)
            .get();
    return answer.ok() ? answer->status : 0;
  }

  std::vector<json> Finish() {
    listeners_.reset();
    audit_.reset();
    std::ifstream stream(file_);
    std::vector<json> lines;
    for (std::string line; std::getline(stream, line);) {
      text_ += line;
      lines.push_back(json::parse(line));
    }
    return lines;
  }

  const std::string file_ =
      absl::StrCat(testing::TempDir(), "listeners_audit_test.", getpid());
  tenancy::SnapshotBuilder builder_{tenancy::Snapshot()};
  std::unique_ptr<FakeHandler> handler_;
  std::unique_ptr<runtime::Process> process_;
  std::unique_ptr<http::Client> client_;
  std::unique_ptr<audit::AuditLog> audit_;
  std::unique_ptr<Listeners> listeners_;
  std::string address_;
  std::string text_;
};

TEST_F(ListenersAuditTest, WhoIsLetInIsNotInIt) {
  Start();
  EXPECT_EQ(Post("/w", {{"Authorization", "Bearer t-write"}}), 200);
  EXPECT_THAT(Finish(), IsEmpty());
}

TEST_F(ListenersAuditTest, WhatARequestClaimsIsNotRepeated) {
  Start();
  EXPECT_EQ(Post("/w?match=canary", {{"Authorization", "Bearer canary-token"},
                                     {"X-Scope-OrgID", "canary-tenant"},
                                     {"User-Agent", "canary-agent"}}),
            401);
  EXPECT_EQ(Post("/w", {{"X-Scope-OrgID", "canary-tenant"}}), 401);
  const std::vector<json> lines = Finish();
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_EQ(lines[0]["code"], "UNAUTHENTICATED");
  EXPECT_EQ(lines[0]["decision"], "refused");
  EXPECT_EQ(lines[0]["method"], "POST /w");
  EXPECT_EQ(lines[0]["listener"], "write");
  EXPECT_EQ(lines[0]["peer"], "127.0.0.1");
  EXPECT_FALSE(lines[0]["request_id"].get<std::string>().empty());
  EXPECT_FALSE(lines[0].contains("principal"));
  EXPECT_FALSE(lines[0].contains("tenant"));
  EXPECT_THAT(text_, Not(HasSubstr("canary")));
}

TEST_F(ListenersAuditTest, WhoIsKnownAndNotAllowedIsNamed) {
  Start();
  EXPECT_EQ(Post("/w", {{"Authorization", "Bearer t-read"}}), 403);
  EXPECT_EQ(Post("/w", {{"Authorization", "Bearer t-write"},
                        {"X-Scope-OrgID", "green"}}),
            403);
  EXPECT_EQ(Post("/w", {{"Authorization", "Bearer t-write"},
                        {"X-Scope-OrgID", "canary"}}),
            403);
  const std::vector<json> lines = Finish();
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_EQ(lines[0]["code"], "PERMISSION_DENIED");
  EXPECT_EQ(lines[0]["principal"], "binding/readers");
  EXPECT_EQ(lines[1]["principal"], "binding/agents");
  EXPECT_EQ(lines[1]["tenant"], "green");
  EXPECT_EQ(lines[2]["principal"], "binding/agents");
  EXPECT_FALSE(lines[2].contains("tenant"));
  EXPECT_THAT(text_, Not(HasSubstr("canary")));
  EXPECT_THAT(text_, Not(HasSubstr("t-read")));
}

TEST_F(ListenersAuditTest, AHandlerSaysWhyItRefuses) {
  Start();
  EXPECT_EQ(Post("/foreign", {{"Authorization", "Bearer t-write"}}), 200);
  const std::vector<json> lines = Finish();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["reason"], "foreign_series");
  EXPECT_EQ(lines[0]["principal"], "binding/agents");
  EXPECT_THAT(text_, Not(HasSubstr("canary")));
}

TEST_F(ListenersAuditTest, WhoeverGuessesDoesNotFillTheDisk) {
  Start(/*max_lines_per_second=*/1);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Post("/w", {{"Authorization", absl::StrCat("Bearer x", i)}}),
              401);
  }
  EXPECT_LT(Finish().size(), 60U);
  EXPECT_THAT(process_->metrics().Expose(),
              HasSubstr("insula_audit_lines_total{result=\"rate_limited\"}"));
}

}  // namespace
}  // namespace insula::edge
