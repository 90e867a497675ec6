// rule-sync between a real tenant-registry, a real Prometheus and a fake ruler.
#pragma once

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/thread_pool.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/substitute.h"
#include "absl/time/clock.h"
#include "insula/rules/v1/rules.grpc.pb.h"
#include "libs/metrics/metrics.h"
#include "services/rule_sync/fake_ruler.h"
#include "tests/e2e/harness/http.h"
#include "tests/e2e/harness/process.h"

namespace insula::e2e {

namespace rules_v1 = ::insula::rules::v1;
using RuleGroup = rules_v1::RuleGroup;

// Tenants `red` and `blue` of the Prometheus, `green` of the ruler. All is
// killed by process id at the end.
class RulesFixture : public testing::Test {
 protected:
  RulesFixture() : prometheus_port_(ClaimPort()), registry_port_(ClaimPort()) {
    for (const char* name : {"rules", "files/main"}) {
      std::filesystem::create_directories(dir_.path() + "/" + name);
    }
  }
  ~RulesFixture() override {
    if (HasFailure()) {
      for (const Process* process :
           {prometheus_.get(), registry_.get(), rule_sync_.get()}) {
        if (process == nullptr) continue;
        std::fputs(process->LogTail().c_str(), stderr);
      }
    }
    ruler_.Release();
  }

  void StartAll(absl::string_view dialect = "prometheus-2.42") {
    StartPrometheus();
    StartRegistry();
    dialect_ = std::string(dialect);
    StartRuleSync();
    AwaitReady();
  }

  void StartPrometheus() {
    const std::string config = dir_.Write(
        "prometheus.yml",
        absl::StrCat("global: {scrape_interval: 200ms, evaluation_interval: "
                     "200ms}\nrule_files: [",
                     dir_.path(), "/files/main/*.yaml]\nscrape_configs:\n",
                     Scrape("red"), Scrape("blue")));
    prometheus_ = std::make_unique<Process>(
        "/usr/bin/prometheus",
        std::vector<std::string>{
            "--config.file=" + config,
            absl::StrCat("--storage.tsdb.path=", dir_.path(), "/tsdb"),
            absl::StrCat("--web.listen-address=127.0.0.1:", prometheus_port_),
            "--web.enable-lifecycle", "--log.level=warn"},
        dir_.path() + "/prometheus.log");
    ASSERT_TRUE(WaitUntil(
        [this] {
          return HttpSend(prometheus_port_, "GET", "/-/ready").status == 200;
        },
        kStartTimeout))
        << prometheus_->LogTail();
  }

  void StartRegistry() {
    const std::string resources = dir_.Write(
        "tenants.yaml",
        absl::Substitute(kResources, prometheus_port_, ruler_.url()));
    const std::string config = dir_.Write(
        "registry.yaml",
        absl::StrCat("storage: {path: ", dir_.path(),
                     "/registry.db}\nsources: {files: [", resources,
                     "]}\ngrpc: {listen_address: 127.0.0.1:", registry_port_,
                     "}\nadmin: {listen_address: 127.0.0.1:0}\n"
                     "insecure_internal: true\nports_file: ",
                     dir_.path(), "/registry.ports\n"));
    registry_ =
        std::make_unique<Process>(BIN_DIR "/tenant-registry",
                                  std::vector<std::string>{"--config", config},
                                  dir_.path() + "/registry.log");
    ASSERT_TRUE(WaitUntil([this] { return Ready("registry"); }, kStartTimeout))
        << registry_->LogTail();
  }

  // Does not wait for anything.
  void StartRuleSync() {
    unlink((dir_.path() + "/rule-sync.ports").c_str());
    const std::string config = dir_.Write(
        "rule-sync.yaml",
        absl::StrCat(
            "registry: {address: 127.0.0.1:", registry_port_, ", state_dir: ",
            dir_.path(), "/state}\nrules: {directory: ", dir_.path(),
            "/rules, rescan_interval: 100ms}\nrule_files: {directory: ",
            dir_.path(), "/files, dialect: ", dialect_,
            "}\ntargets: {min_backoff: 50ms, max_backoff: 200ms, "
            "resync_interval: 1s, ledger_file: ",
            dir_.path(),
            "/ledger.json}\ngrpc: {listen_address: 127.0.0.1:0}\n"
            "admin: {listen_address: 127.0.0.1:0}\n"
            "insecure_internal: true\nports_file: ",
            dir_.path(), "/rule-sync.ports\n"));
    std::filesystem::create_directories(dir_.path() + "/state");
    rule_sync_ = std::make_unique<Process>(
        BIN_DIR "/rule-sync", std::vector<std::string>{"--config", config},
        dir_.path() + "/rule-sync.log");
  }
  void AwaitReady() {
    ASSERT_TRUE(WaitUntil([this] { return Ready("rule-sync"); }, kStartTimeout))
        << rule_sync_->LogTail();
  }

  // Puts a rule file there at once, or removes it if there is no text.
  void SetRules(const std::string& tenant, const std::string& file,
                const std::string& text) {
    const std::string directory = dir_.path() + "/rules/" + tenant;
    std::filesystem::create_directories(directory);
    if (text.empty()) {
      std::filesystem::remove(directory + "/" + file);
      return;
    }
    const std::string part = directory + "/" + file + ".part";
    std::ofstream(part) << text;
    std::filesystem::rename(part, directory + "/" + file);
  }

  // What rule-sync says of a tenant's rules; none if it does not answer.
  std::vector<RuleGroup> List(const std::string& tenant) {
    const auto ports = Ports("rule-sync");
    if (!ports.contains("grpc")) return {};
    const auto stub = rules_v1::RuleSync::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", ports.at("grpc")),
                            grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(1)));
    rules_v1::ListRulesRequest request;
    request.set_tenant_id(tenant);
    rules_v1::ListRulesResponse response;
    if (!stub->ListRules(&context, request, &response).ok()) return {};
    return {response.groups().begin(), response.groups().end()};
  }
  // The one group of that name; an empty one if there is none.
  RuleGroup Find(const std::string& tenant, const std::string& source,
                 const std::string& name) {
    for (const RuleGroup& group : List(tenant)) {
      if (group.source() == source && group.name() == name) return group;
    }
    return {};
  }
  bool Becomes(const std::string& tenant, const std::string& source,
               const std::string& name, RuleGroup::State state) {
    return WaitUntil(
        [&] { return Find(tenant, source, name).state() == state; });
  }

  // The result of an instant query of the Prometheus, as JSON.
  nlohmann::json Query(const std::string& query) const {
    const HttpAnswer answer =
        HttpSend(prometheus_port_, "POST", "/api/v1/query",
                 {{"Content-Type", "application/x-www-form-urlencoded"}},
                 FormEncode({{"query", query}}));
    const auto json = nlohmann::json::parse(answer.body, nullptr, false);
    if (!json.is_object() || !json.contains("data")) return {};
    return json["data"]["result"];
  }
  // "GROUP" of each group that the Prometheus has loaded from our files, by
  // the name of the file.
  std::multimap<std::string, std::string> Loaded() const {
    std::multimap<std::string, std::string> loaded;
    const auto json = nlohmann::json::parse(
        HttpSend(prometheus_port_, "GET", "/api/v1/rules").body, nullptr,
        false);
    if (!json.is_object() || !json.contains("data")) return loaded;
    for (const auto& group : json["data"]["groups"]) {
      loaded.emplace(
          std::filesystem::path(group["file"].get<std::string>()).filename(),
          group["name"].get<std::string>());
    }
    return loaded;
  }
  // Our files for the Prometheus and their text, with those of others.
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    for (const auto& entry :
         std::filesystem::directory_iterator(dir_.path() + "/files/main")) {
      std::ifstream file(entry.path());
      files[entry.path().filename()] = {std::istreambuf_iterator<char>(file),
                                        {}};
    }
    return files;
  }

  std::map<std::string, int> Ports(const std::string& service) const {
    std::map<std::string, int> ports;
    std::ifstream file(dir_.path() + "/" + service + ".ports");
    std::string listener, address;
    while (file >> listener >> address) {
      const std::vector<std::string> parts = absl::StrSplit(address, ':');
      int port = 0;
      if (absl::SimpleAtoi(parts.back(), &port)) ports[listener] = port;
    }
    return ports;
  }
  bool Ready(const std::string& service) const {
    const auto ports = Ports(service);
    return ports.contains("admin") &&
           HttpSend(ports.at("admin"), "GET", "/readyz").status == 200;
  }

  static constexpr char kResources[] = R"(
kind: RuleTarget
id: main
spec: {type: TYPE_PROMETHEUS, url: 'http://127.0.0.1:$0', isolation: ISOLATION_LABEL}
---
kind: RuleTarget
id: ruler
spec: {type: TYPE_CORTEX, url: '$1', isolation: ISOLATION_HEADER}
---
kind: Tenant
id: red
spec: {enforced_labels: {namespace: red}, rule_target_id: main}
---
kind: Tenant
id: blue
spec: {enforced_labels: {namespace: blue}, rule_target_id: main}
---
kind: Tenant
id: green
spec: {org_id: verdant, rule_target_id: ruler}
)";

  TempDir dir_;
  const int prometheus_port_;
  const int registry_port_;
  std::string dialect_ = "prometheus-2.42";
  metrics::Registry metrics_;
  boost::asio::thread_pool pool_{2};
  rule_sync::FakeRuler ruler_{pool_.get_executor(), &metrics_};
  std::unique_ptr<Process> prometheus_;
  std::unique_ptr<Process> registry_;
  std::unique_ptr<Process> rule_sync_;

 private:
  // The Prometheus watches itself, in the name of each tenant.
  std::string Scrape(absl::string_view tenant) const {
    return absl::StrCat(
        "  - job_name: ", tenant,
        "\n    static_configs: [{targets: ['127.0.0.1:", prometheus_port_,
        "'], labels: {namespace: ", tenant, "}}]\n");
  }
};

}  // namespace insula::e2e
