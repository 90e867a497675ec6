// All five services, a real Prometheus that stores and evaluates, and a real
// Kubernetes API server, out of which the tenants come.
#pragma once

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "insula/federation/v1/federation.grpc.pb.h"
#include "insula/registry/v1/registry.grpc.pb.h"
#include "insula/rules/v1/rules.grpc.pb.h"
#include "tests/e2e/harness/constellation.h"
#include "tests/e2e/harness/http.h"
#include "tests/e2e/harness/process.h"
#include "tests/e2e/harness/service.h"
#include "tests/kube/kube_api.h"

namespace insula::e2e {

namespace federation = ::insula::federation::v1;
namespace rules_v1 = ::insula::rules::v1;

class KubeTenantsFixture : public testing::Test {
 protected:
  // May act for every tenant, so it shows whether there is one.
  static constexpr char kPlatform[] = "platform-token";
  // Of `warehouse` alone.
  static constexpr char kTeam[] = "team-token";
  static constexpr char kCrds[] =
      "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

  // What the examples declare.
  static const std::vector<std::string>& Tenants() {
    static const auto* const kTenants = new std::vector<std::string>{
        "team-shop", "warehouse", "warehouse-2", "(old)'s!", ".*"};
    return *kTenants;
  }

  void SetUp() override {
    for (const char* plural :
         {"metricaccesses", "openmetricsrules", "metricsingestiontenants"}) {
      const HttpAnswer answer = api_.Send(
          "POST", kCrds, Read(absl::StrCat(KUBE_CRDS, "/", plural, ".yaml")),
          "", "application/yaml");
      ASSERT_EQ(answer.status, 201) << answer.body;
    }
    for (const std::string& text : Examples()) {
      ASSERT_TRUE(WaitUntil(
          [&] { return api_.Send("GET", CollectionOf(text)).status == 200; }));
    }
    kubeconfig_ = Dir().Write(
        "kubeconfig",
        absl::StrCat(
            "current-context: c\nclusters:\n- name: c\n  cluster: {server: '",
            api_.url(), "', certificate-authority: ", api_.ca_file(),
            "}\ncontexts:\n- {name: c, context: {cluster: c, user: c}}\n"
            "users:\n- {name: c, user: {}}\n"));
    ASSERT_NO_FATAL_FAILURE(StartServices());
    Operation(PutPolicy("namespace"));
    v1::Object binding;
    binding.mutable_binding()->set_token_sha256(TokenHash(kPlatform));
    binding.mutable_binding()->set_every_tenant(true);
    for (const v1::Role role : {v1::ROLE_READ, v1::ROLE_WRITE}) {
      binding.mutable_binding()->add_roles(role);
    }
    Operation(Put(v1::KIND_BINDING, "platform", binding));
    SetRules(
        "groups: [{name: orders, interval: 200ms, rules: "
        "[{record: 'orders:sum', expr: sum(orders)}]}]\n");
  }

  void TearDown() override {
    if (!HasFailure()) return;
    for (const Service* service : {&rule_sync_, &pusher_}) {
      if (service->process == nullptr) continue;
      std::fputs(service->process->LogTail().c_str(), stderr);
    }
  }

  void StartServices() {
    const std::string& root = Dir().path();
    std::filesystem::create_directories(root + "/files/main");
    std::filesystem::create_directories(root + "/rules");
    constellation_.registry_config = absl::StrCat(
        "kubernetes: {enabled: true, kubeconfig: ", kubeconfig_, "}");
    constellation_.store_config = absl::StrCat(
        "global: {scrape_interval: 200ms, evaluation_interval: 200ms}\n"
        "rule_files: [",
        root,
        "/files/main/*.yaml]\n"
        "scrape_configs: [{job_name: itself, static_configs: [{targets: "
        "['127.0.0.1:",
        constellation_.store_port(), "']}]}]\n");
    constellation_.StartAll();
    ASSERT_FALSE(HasFailure());
    // It takes its time to begin to scrape.
    ASSERT_TRUE(WaitUntil(
        [this] { return constellation_.AskStore("go_goroutines") != "[]"; }));
    const std::string registry = absl::StrCat(
        "registry: {address: 127.0.0.1:", constellation_.registry_port(),
        ", state_dir: ", root);
    // A target for the rules must be there first.
    v1::Object target;
    target.mutable_rule_target()->set_type(v1::RuleTarget::TYPE_PROMETHEUS);
    target.mutable_rule_target()->set_url(StoreUrl());
    target.mutable_rule_target()->set_isolation(v1::Upstream::ISOLATION_LABEL);
    Operation(Put(v1::KIND_RULE_TARGET, "main", target));
    rule_sync_ = StartService(
        Dir(), BIN_DIR "/rule-sync", "rule-sync",
        absl::StrCat(
            registry, "/rule-sync}\nrules: {directory: ", root,
            "/rules, rescan_interval: 100ms}\nrule_files: {directory: ", root,
            "/files}\ntargets: {ledger_file: ", root, "/ledger.json}\n"));
    ASSERT_FALSE(rule_sync_.ports.empty());
    rules_stub_ = rules_v1::RuleSync::NewStub(ChannelTo(rule_sync_));
    Dir().Write("pusher.token", kPlatform);
    pusher_ = StartService(
        Dir(), BIN_DIR "/federation-pusher", "pusher",
        absl::StrCat(registry,
                     "/pusher}\ngateway: {write_url: 'http://127.0.0.1:",
                     constellation_.gateway_port(),
                     "/api/v1/write', token_file: ", root, "/pusher.token}\n"));
    ASSERT_FALSE(pusher_.ports.empty());
    pusher_stub_ = federation::FederationPusher::NewStub(ChannelTo(pusher_));
    registry_stub_ = constellation_.RegistryStub();
  }

  static std::shared_ptr<grpc::Channel> ChannelTo(const Service& service) {
    return grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", service.ports.at("grpc")),
        grpc::InsecureChannelCredentials());
  }
  const TempDir& Dir() const { return constellation_.dir(); }
  std::string StoreUrl() const {
    return absl::StrCat("http://127.0.0.1:", constellation_.store_port());
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // The objects of the examples, as YAML.
  static std::vector<std::string> Examples() {
    std::vector<std::string> all;
    for (const char* name :
         {"metric-access", "open-metrics-rule", "metrics-ingestion-tenant"}) {
      const std::string text =
          Read(absl::StrCat(KUBE_EXAMPLES, "/", name, ".yaml"));
      for (absl::string_view one : absl::StrSplit(text, "\n---\n")) {
        all.emplace_back(one);
      }
    }
    EXPECT_EQ(all.size(), 7u);
    return all;
  }
  static std::string CollectionOf(const std::string& text) {
    const YAML::Node object = YAML::Load(text);
    const auto kind = object["kind"].as<std::string>();
    return absl::StrCat("/apis/", object["apiVersion"].as<std::string>(),
                        "/namespaces/team-shop/",
                        kind == "MetricAccess" ? "metricaccesses"
                        : kind == "OpenMetricsRule"
                            ? "openmetricsrules"
                            : "metricsingestiontenants");
  }
  static std::string NameOf(const std::string& text) {
    return YAML::Load(text)["metadata"]["name"].as<std::string>();
  }
  void CreateExamples() {
    for (const std::string& text : Examples()) {
      const HttpAnswer answer =
          api_.Send("POST", CollectionOf(text), text, "", "application/yaml");
      ASSERT_EQ(answer.status, 201) << answer.body;
    }
  }
  void DeleteExamples() {
    for (const std::string& text : Examples()) {
      const HttpAnswer answer = api_.Send(
          "DELETE", absl::StrCat(CollectionOf(text), "/", NameOf(text)));
      ASSERT_EQ(answer.status, 200) << answer.body;
    }
  }
  // What kubectl prints.
  std::string Kubectl(std::vector<std::string> arguments) {
    // It wants to be somebody; the API server asks nobody.
    arguments.insert(
        arguments.begin(),
        {"--kubeconfig", kubeconfig_, "--cache-dir", Dir().path() + "/kubectl",
         "--username", "nobody", "--password", "none"});
    const std::string output = Dir().path() + "/kubectl.out";
    std::filesystem::remove(output);
    Process kubectl("/usr/bin/kubectl", std::move(arguments), output);
    EXPECT_EQ(kubectl.Wait(absl::Minutes(2)), 0) << Read(output);
    return Read(output);
  }

  static v1::Operation Put(v1::Kind kind, const std::string& id,
                           v1::Object object) {
    v1::Operation operation;
    object.mutable_meta()->set_kind(kind);
    object.mutable_meta()->set_id(id);
    *operation.mutable_put() = std::move(object);
    return operation;
  }
  static v1::Operation PutPolicy(const std::string& enforced_label) {
    v1::Object object;
    v1::Policy* const policy = object.mutable_policy();
    policy->add_namespaces("team-shop");
    for (const std::string& tenant : Tenants()) {
      if (tenant != "team-shop") policy->add_tenant_ids(tenant);
    }
    policy->add_target_urls("https://metrics.example.com");
    policy->set_upstream_id("store");
    policy->set_rule_target_id("main");
    policy->set_enforced_label(enforced_label);
    return Put(v1::KIND_POLICY, "shop", object);
  }
  // Reads and writes for `warehouse`.
  static v1::Operation PutTeam() {
    v1::Object object;
    object.mutable_binding()->set_token_sha256(TokenHash(kTeam));
    object.mutable_binding()->add_tenant_ids("warehouse");
    for (const v1::Role role : {v1::ROLE_READ, v1::ROLE_WRITE}) {
      object.mutable_binding()->add_roles(role);
    }
    return Put(v1::KIND_BINDING, "warehouse-team", object);
  }
  // Delivers a metric of the Prometheus itself to `warehouse`.
  v1::Operation PutJob() const {
    v1::Object object;
    object.mutable_job()->set_tenant_id("warehouse");
    object.mutable_job()->set_source_url(StoreUrl() + "/federate");
    object.mutable_job()->add_matches("go_goroutines{namespace=\"\"}");
    object.mutable_job()->mutable_interval()->set_seconds(60);
    (*object.mutable_job()->mutable_labels())["namespace"] = "warehouse";
    return Put(v1::KIND_JOB, "goroutines", object);
  }
  void Operation(v1::Operation operation) {
    constellation_.Apply({std::move(operation)});
  }
  bool TryApply(v1::Operation operation) {
    v1::ApplyRequest request;
    *request.add_operations() = std::move(operation);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(1)));
    v1::ApplyResponse response;
    return registry_stub_->Apply(&context, request, &response).ok();
  }
  // Without an object: there is none.
  v1::Object Find(v1::Kind kind, const std::string& id) {
    v1::GetRequest request;
    request.mutable_ref()->set_kind(kind);
    request.mutable_ref()->set_id(id);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(1)));
    v1::GetResponse response;
    const grpc::Status status =
        registry_stub_->Get(&context, request, &response);
    EXPECT_TRUE(status.ok() ||
                status.error_code() == grpc::StatusCode::NOT_FOUND)
        << status.error_message();
    return response.object();
  }

  // As the bearer of `token`, who chooses `tenant` unless it is empty.
  HttpAnswer Write(absl::string_view token, const std::string& tenant,
                   std::vector<std::map<std::string, std::string>> series) {
    std::vector<Series> samples;
    for (auto& labels : series) samples.push_back({labels, 7, absl::Now()});
    HttpHeaders headers = {Bearer(token),
                           {"Content-Type", "application/x-protobuf"},
                           {"Content-Encoding", "snappy"},
                           {"X-Prometheus-Remote-Write-Version", "0.1.0"}};
    if (!tenant.empty()) headers.emplace_back("X-Scope-OrgID", tenant);
    return HttpSend(constellation_.gateway_port(), "POST", "/api/v1/write",
                    headers, WriteBody(samples));
  }
  HttpAnswer Query(absl::string_view token, const std::string& tenant,
                   const std::string& query) {
    HttpHeaders headers = {
        Bearer(token), {"Content-Type", "application/x-www-form-urlencoded"}};
    if (!tenant.empty()) headers.emplace_back("X-Scope-OrgID", tenant);
    return HttpSend(constellation_.frontend_port(), "POST", "/api/v1/query",
                    headers, FormEncode({{"query", query}}));
  }
  // The names of the metrics that a tenant reads.
  std::set<std::string> Reads(absl::string_view token,
                              const std::string& tenant) {
    const HttpAnswer answer = Query(token, tenant, "{__name__=~\".+\"}");
    EXPECT_EQ(answer.status, 200) << answer.body;
    std::set<std::string> names;
    const auto json = nlohmann::json::parse(answer.body, nullptr, false);
    if (!json.is_object() || !json.contains("data")) return names;
    for (const auto& series : json["data"]["result"]) {
      names.insert(series["metric"]["__name__"]);
    }
    return names;
  }

  // Of rule-sync, the groups of a tenant; and how many the Prometheus has.
  std::vector<rules_v1::RuleGroup> Groups(const std::string& tenant) {
    rules_v1::ListRulesRequest request;
    request.set_tenant_id(tenant);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(1)));
    rules_v1::ListRulesResponse response;
    rules_stub_->ListRules(&context, request, &response);
    return {response.groups().begin(), response.groups().end()};
  }
  size_t Loaded() {
    const HttpAnswer answer =
        HttpSend(constellation_.store_port(), "GET", "/api/v1/rules");
    const auto json = nlohmann::json::parse(answer.body, nullptr, false);
    return json.is_object() && json.contains("data")
               ? json["data"]["groups"].size()
               : 99;
  }
  // The rule file of `warehouse`; empty: there is none.
  void SetRules(const std::string& text) {
    const std::string directory = Dir().path() + "/rules/warehouse";
    std::filesystem::create_directories(directory);
    if (text.empty()) {
      std::filesystem::remove(directory + "/api.yaml");
    } else {
      Dir().Write("rules/warehouse/api.yaml", text);
    }
  }

  std::vector<federation::JobStatus> Jobs() {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(1)));
    federation::ListJobsResponse response;
    EXPECT_TRUE(pusher_stub_->ListJobs(&context, {}, &response).ok());
    return {response.jobs().begin(), response.jobs().end()};
  }

  // Whether the job is known, and what it delivers is taken.
  bool RunJob() {
    federation::RunNowRequest request;
    request.set_job_id("goroutines");
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(1)));
    federation::RunNowResponse response;
    return pusher_stub_->RunNow(&context, request, &response).ok() &&
           response.run().error().empty() &&
           response.run().delivered_samples() == 1;
  }

  using Condition = std::pair<std::string, std::function<bool()>>;

  // What it is to be in effect, in each service.
  std::vector<Condition> InEffect() {
    std::vector<Condition> all;
    for (const std::string& tenant : Tenants()) {
      all.emplace_back("write as " + tenant, [this, tenant] {
        return Write(kPlatform, tenant, {{{"__name__", "orders"}}}).status ==
               204;
      });
      all.emplace_back("read as " + tenant, [this, tenant] {
        return Query(kPlatform, tenant, "orders").status == 200;
      });
    }
    all.emplace_back("a rule", [this] {
      const auto groups = Groups("warehouse");
      return groups.size() == 1 &&
             groups[0].state() == rules_v1::RuleGroup::STATE_ACTIVE;
    });
    all.emplace_back("a federation job", [this, applied = false]() mutable {
      applied = applied || TryApply(PutJob());
      return applied && RunJob();
    });
    return all;
  }
  // What it is to be revoked.
  std::vector<Condition> Revoked() {
    std::vector<Condition> all;
    for (const std::string& tenant : Tenants()) {
      all.emplace_back("write as " + tenant, [this, tenant] {
        return Write(kPlatform, tenant, {{{"__name__", "orders"}}}).status ==
               403;
      });
      all.emplace_back("read as " + tenant, [this, tenant] {
        return Query(kPlatform, tenant, "orders").status == 403;
      });
    }
    all.emplace_back("the rules at the Prometheus",
                     [this] { return Loaded() == 0; });
    all.emplace_back("the federation job", [this] { return Jobs().empty(); });
    return all;
  }
  // Waits for all of them, and returns how long the last one took from
  // `start`, on an idle machine.
  absl::Duration Until(std::vector<Condition> conditions, absl::Time start) {
    Waited waited;
    waited.in_time = WaitUntil([&] {
      for (auto it = conditions.begin(); it != conditions.end();) {
        const absl::Time asked = absl::Now();
        const bool is_true = it->second();
        waited.slowest = std::max(waited.slowest, absl::Now() - asked);
        if (!is_true) {
          ++it;
          continue;
        }
        waited.took = absl::Now() - start;
        std::cout << it->first << ": " << waited.took << "\n";
        it = conditions.erase(it);
      }
      return conditions.empty();
    });
    for (const Condition& missing : conditions) {
      ADD_FAILURE() << missing.first << " never came";
    }
    EXPECT_TRUE(waited.in_time);
    return waited.OnIdleMachine();
  }

  KubeApi api_;
  Constellation constellation_;
  std::string kubeconfig_;
  Service rule_sync_;
  Service pusher_;
  std::unique_ptr<rules_v1::RuleSync::Stub> rules_stub_;
  std::unique_ptr<federation::FederationPusher::Stub> pusher_stub_;
  std::unique_ptr<v1::TenantRegistry::Stub> registry_stub_;
};

}  // namespace insula::e2e
