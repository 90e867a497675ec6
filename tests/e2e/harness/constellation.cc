#include "tests/e2e/harness/constellation.h"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <snappy.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "libs/remote_write/encode.h"
#include "libs/tenancy/fact.h"
#include "tests/e2e/harness/service.h"

namespace insula::e2e {
namespace {

constexpr absl::string_view kResources = R"(
kind: Upstream
id: store
spec:
  write_url: http://127.0.0.1:$0/api/v1/write
  query_url: http://127.0.0.1:$0
  isolation: ISOLATION_LABEL
---
kind: Tenant
id: red
spec: {enforced_labels: {namespace: red}, upstream_id: store}
---
kind: Tenant
id: blue
spec: {enforced_labels: {namespace: blue}, upstream_id: store}
---
kind: ClaimRule
id: by-namespace
spec: {label: namespace}
---
kind: Binding
id: sender
spec:
  token_sha256: $1
  tenant_ids: [red, blue]
  roles: [ROLE_WRITE]
  claim_rule_id: by-namespace
---
kind: Binding
id: red-reader
spec: {token_sha256: $2, tenant_ids: [red], roles: [ROLE_READ]}
---
kind: Binding
id: blue-reader
spec: {token_sha256: $3, tenant_ids: [blue], roles: [ROLE_READ]}
)";

std::string HexHash(absl::string_view token) {
  return absl::BytesToHexString(TokenHash(token));
}

}  // namespace

std::string TokenHash(absl::string_view token) {
  return tenancy::Sha256(token);
}

std::pair<std::string, std::string> Bearer(absl::string_view token) {
  return {"Authorization", absl::StrCat("Bearer ", token)};
}

std::string WriteBody(const std::vector<Series>& series) {
  std::string request;
  for (const Series& one : series) {
    std::string message;
    for (const auto& [name, value] : one.labels) {
      remote_write::AppendLabel(name, value, &message);
    }
    remote_write::AppendSample(one.value, absl::ToUnixMillis(one.time),
                               &message);
    remote_write::AppendSeries(message, &request);
  }
  std::string body;
  snappy::Compress(request.data(), request.size(), &body);
  return body;
}

Constellation::Constellation()
    : store_port_(ClaimPort()), registry_port_(ClaimPort()) {
  dir_.Write("tenants.yaml",
             absl::Substitute(kResources, store_port_, HexHash(kSender),
                              HexHash(kRed), HexHash(kBlue)));
}

Constellation::~Constellation() {
  if (testing::Test::HasFailure()) std::fputs(Logs().c_str(), stderr);
}

void Constellation::StartAll() {
  StartStore();
  StartRegistry();
  StartGateway();
  StartFrontend();
}

void Constellation::StartStore() {
  const std::string config = dir_.Write("store.yml", store_config);
  store = std::make_unique<Process>(
      "/usr/bin/prometheus",
      std::vector<std::string>{
          "--config.file=" + config,
          absl::StrCat("--storage.tsdb.path=", dir_.path(), "/tsdb"),
          absl::StrCat("--web.listen-address=127.0.0.1:", store_port_),
          "--web.enable-remote-write-receiver", "--web.enable-lifecycle",
          "--log.level=warn"},
      dir_.path() + "/store.log");
  ASSERT_TRUE(WaitUntil(
      [this] {
        return HttpSend(store_port_, "GET", "/-/ready").status == 200 ||
               !store->Running();
      },
      kStartTimeout));
  ASSERT_TRUE(store->Running()) << store->LogTail();
}

std::unique_ptr<Process> Constellation::StartService(
    absl::string_view binary, absl::string_view name, absl::string_view config,
    std::map<std::string, int>* ports,
    const std::vector<std::string>& environment) {
  Service service =
      e2e::StartService(dir_, std::string(binary), name, config,
                        name == "registry" ? registry_port_ : 0, environment);
  EXPECT_FALSE(service.ports.empty()) << service.process->LogTail();
  *ports = std::move(service.ports);
  return std::move(service.process);
}

void Constellation::StartRegistry() {
  std::map<std::string, int> ports;
  registry = StartService(
      BIN_DIR "/tenant-registry", "registry",
      absl::StrCat("storage: {path: ", dir_.path(),
                   "/registry.db}\nsources: {files: [", dir_.path(),
                   "/tenants.yaml]}\n", registry_config),
      &ports);
}

void Constellation::StartGateway() {
  std::map<std::string, int> ports;
  gateway = StartService(
      BIN_DIR "/ingest-gateway", "gateway",
      absl::StrCat("registry: {address: 127.0.0.1:", registry_port_,
                   ", state_dir: ", dir_.path(),
                   "/gateway}\nlisteners:\n"
                   "  - {name: write, listen_address: 127.0.0.1:0}\n",
                   gateway_config),
      &ports, gateway_environment);
  gateway_port_ = ports["write"];
  gateway_admin_port_ = ports["admin"];
}

void Constellation::StartFrontendBinary(absl::string_view path) {
  std::map<std::string, int> ports;
  frontend = StartService(
      path, "frontend",
      absl::StrCat("registry: {address: 127.0.0.1:", registry_port_,
                   ", state_dir: ", dir_.path(),
                   "/frontend}\nlisteners:\n"
                   "  - {name: api, listen_address: 127.0.0.1:0}"),
      &ports);
  frontend_port_ = ports["api"];
}

void Constellation::StartFrontend() {
  StartFrontendBinary(BIN_DIR "/query-frontend");
}

void Constellation::StartBrokenFrontend() {
  StartFrontendBinary(TEST_BIN_DIR "/query-frontend-broken");
}

std::unique_ptr<v1::TenantRegistry::Stub> Constellation::RegistryStub() const {
  return v1::TenantRegistry::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", registry_port_),
                          grpc::InsecureChannelCredentials()));
}

int64_t Constellation::Apply(const std::vector<v1::Operation>& operations) {
  v1::ApplyRequest request;
  for (const v1::Operation& operation : operations) {
    *request.add_operations() = operation;
  }
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(1)));
  v1::ApplyResponse response;
  const grpc::Status status =
      RegistryStub()->Apply(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.revision();
}

HttpAnswer Constellation::Write(absl::string_view token,
                                const std::string& body) const {
  return HttpSend(gateway_port_, "POST", "/api/v1/write",
                  {Bearer(token),
                   {"Content-Type", "application/x-protobuf"},
                   {"Content-Encoding", "snappy"},
                   {"X-Prometheus-Remote-Write-Version", "0.1.0"}},
                  body);
}

HttpAnswer Constellation::Get(absl::string_view token,
                              absl::string_view target) const {
  return HttpSend(frontend_port_, "GET", target, {Bearer(token)});
}

HttpAnswer Constellation::Query(absl::string_view token,
                                absl::string_view query) const {
  return HttpSend(
      frontend_port_, "POST", "/api/v1/query",
      {Bearer(token), {"Content-Type", "application/x-www-form-urlencoded"}},
      FormEncode({{"query", std::string(query)}}));
}

std::string Constellation::AskStore(absl::string_view query) const {
  const HttpAnswer answer =
      HttpSend(store_port_, "POST", "/api/v1/query",
               {{"Content-Type", "application/x-www-form-urlencoded"}},
               FormEncode({{"query", std::string(query)}}));
  const auto json = nlohmann::json::parse(answer.body, nullptr, false);
  if (json.is_discarded() || !json.contains("data")) return answer.body;
  return json["data"]["result"].dump();
}

std::string Constellation::Logs() const {
  std::string all;
  for (const Process* process :
       {store.get(), registry.get(), gateway.get(), frontend.get()}) {
    if (process != nullptr) absl::StrAppend(&all, process->LogTail(), "\n");
  }
  return all;
}

}  // namespace insula::e2e
