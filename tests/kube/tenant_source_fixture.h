// A tenant registry that follows a real Kubernetes API server.
#pragma once

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/http/url.h"
#include "libs/kube/cluster.h"
#include "libs/metrics/metrics.h"
#include "libs/runtime/blocking_pool.h"
#include "libs/status/status_matchers.h"
#include "libs/time/clock.h"
#include "services/tenant_registry/kube_source.h"
#include "services/tenant_registry/registry.h"
#include "services/tenant_registry/sqlite_store.h"
#include "tests/e2e/harness/process.h"
#include "tests/kube/kube_api.h"

namespace insula::tenant_registry {

namespace asio = boost::asio;

class TenantSourceFixture : public testing::Test {
 protected:
  static constexpr char kAccesses[] = "metricaccesses";
  static constexpr char kRules[] = "openmetricsrules";
  static constexpr char kTenants[] = "metricsingestiontenants";
  static constexpr char kCrds[] =
      "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

  ~TenantSourceFixture() override {
    source_.reset();
    registry_->Finish();
    registry_.reset();
    pool_.join();
  }

  // The API server with all kinds, and the registry; `token` is the source's.
  void Begin(std::vector<std::string> flags = {}, std::string tokens = "",
             std::string token = "") {
    api_ = std::make_unique<e2e::KubeApi>(std::move(flags), tokens);
    proxy_ = std::make_unique<e2e::Proxy>(api_->port());
    admin_token_ = tokens.empty() ? "" : e2e::kAdminToken;
    token_ = std::move(token);
    for (const char* plural : {kAccesses, kRules, kTenants}) MakeKind(plural);
    auto store = OpenSqliteStore(dir_.path() + "/registry.db");
    ASSERT_THAT(store, IsOk());
    auto registry =
        Registry::Open(*std::move(store), RegistryOptions(),
                       {pool_.get_executor(), &blocking_, &clock_, &metrics_});
    ASSERT_THAT(registry, IsOk());
    registry_ = *std::move(registry);
  }

  void Follow(KubeSourceOptions options = KubeSourceOptions()) {
    kube::Cluster cluster;
    cluster.server =
        http::Url::Parse(absl::StrCat("https://127.0.0.1:", proxy_->port()))
            .value();
    cluster.tls.ca_file = api_->ca_file();
    cluster.token = token_;
    source_ = std::make_unique<KubeSource>(
        registry_, std::move(options), std::move(cluster), pool_.get_executor(),
        &blocking_, &metrics_);
  }

  static std::string GroupOf(absl::string_view plural) {
    return plural == kAccesses ? "observability.ethos.io"
                               : "open-metrics.vgs.io";
  }
  static std::string PathOf(absl::string_view plural,
                            absl::string_view name_space,
                            absl::string_view name = "") {
    return absl::StrCat(
        "/apis/", GroupOf(plural), plural == kAccesses ? "/v1alpha1" : "/v1",
        "/namespaces/", name_space, "/", plural, name.empty() ? "" : "/", name);
  }

  e2e::HttpAnswer Send(absl::string_view method, absl::string_view path,
                       absl::string_view body = "",
                       absl::string_view type = "application/json") {
    return api_->Send(method, path, body, admin_token_, type);
  }

  void MakeKind(absl::string_view plural) {
    std::ifstream file(absl::StrCat(KUBE_CRDS, "/", plural, ".yaml"));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    ASSERT_TRUE(e2e::WaitUntil([&] {
      return Send("POST", kCrds, text, "application/yaml").status == 201;
    })) << Send("POST", kCrds, text, "application/yaml").body;
    ASSERT_TRUE(e2e::WaitUntil(
        [&] { return Send("GET", PathOf(plural, "x")).status == 200; }));
  }
  void DeleteKind(absl::string_view plural) {
    ASSERT_EQ(
        Send("DELETE", absl::StrCat(kCrds, "/", plural, ".", GroupOf(plural)))
            .status,
        200);
    // Its objects can be listed for a moment more.
    ASSERT_TRUE(e2e::WaitUntil(
        [&] { return Send("GET", PathOf(plural, "x")).status == 404; }));
  }

  // Makes an object with this spec, as JSON or YAML in one line.
  void Create(absl::string_view plural, const std::string& name_space,
              const std::string& name, const std::string& spec) {
    const e2e::HttpAnswer answer =
        Send("POST", PathOf(plural, name_space),
             TextOf(plural, name_space, name, spec), "application/yaml");
    ASSERT_EQ(answer.status, 201) << answer.body;
  }
  void Replace(absl::string_view plural, const std::string& name_space,
               const std::string& name, const std::string& spec) {
    const e2e::HttpAnswer answer = Send(
        "PATCH", PathOf(plural, name_space, name),
        absl::StrCat("{\"spec\": ", spec, "}"), "application/merge-patch+json");
    ASSERT_EQ(answer.status, 200) << answer.body;
  }
  void Delete(absl::string_view plural, const std::string& name_space,
              const std::string& name) {
    ASSERT_EQ(Send("DELETE", PathOf(plural, name_space, name)).status, 200);
  }
  static std::string TextOf(absl::string_view plural,
                            const std::string& name_space,
                            const std::string& name, const std::string& spec) {
    const char* kind = plural == kAccesses ? "MetricAccess"
                       : plural == kRules  ? "OpenMetricsRule"
                                           : "MetricsIngestionTenant";
    return absl::StrCat("apiVersion: ", GroupOf(plural),
                        plural == kAccesses ? "/v1alpha1" : "/v1",
                        "\nkind: ", kind, "\nmetadata: {name: ", name,
                        ", namespace: ", name_space, "}\nspec: ", spec, "\n");
  }

  nlohmann::json Get(absl::string_view plural, const std::string& name_space,
                     const std::string& name) {
    return nlohmann::json::parse(
        Send("GET", PathOf(plural, name_space, name)).body, nullptr, false);
  }
  // A condition of an object; empty if it has none of that type.
  nlohmann::json Condition(absl::string_view plural,
                           const std::string& name_space,
                           const std::string& name,
                           const std::string& type = "Accepted") {
    const nlohmann::json object = Get(plural, name_space, name);
    if (!object.contains("status")) return nlohmann::json::object();
    for (const nlohmann::json& one : object["status"]["conditions"]) {
      if (one["type"] == type) return one;
    }
    return nlohmann::json::object();
  }
  // Whether the reason of its condition Accepted becomes that.
  bool IsSaid(absl::string_view plural, const std::string& name_space,
              const std::string& name, const std::string& reason) {
    const bool said = e2e::WaitUntil([&] {
      return Condition(plural, name_space, name).value("reason", "") == reason;
    });
    EXPECT_TRUE(said) << Get(plural, name_space, name).dump(1);
    return said;
  }

  // Changes the registry as its API does.
  absl::Status Apply(std::vector<v1::Object> puts) {
    ApplyCommand command;
    command.actor = "test";
    for (v1::Object& put : puts) {
      *command.request.add_operations()->mutable_put() = std::move(put);
    }
    return Await(std::move(command));
  }
  absl::Status DeleteObject(v1::Kind kind, const std::string& id) {
    ApplyCommand command;
    command.actor = "test";
    v1::ObjectRef* ref = command.request.add_operations()->mutable_delete_();
    ref->set_kind(kind);
    ref->set_id(id);
    return Await(std::move(command));
  }
  absl::Status Await(ApplyCommand command) {
    return asio::co_spawn(pool_, registry_->Apply(std::move(command)),
                          asio::use_future)
        .get()
        .status();
  }

  static v1::Object New(v1::Kind kind, const std::string& id) {
    v1::Object object;
    object.mutable_meta()->set_kind(kind);
    object.mutable_meta()->set_id(id);
    return object;
  }
  static v1::Object PolicyOf(std::vector<std::string> namespaces,
                             std::vector<std::string> tenants,
                             const std::string& id = "policy") {
    v1::Object object = New(v1::KIND_POLICY, id);
    for (std::string& name : namespaces) {
      object.mutable_policy()->add_namespaces(std::move(name));
    }
    for (std::string& tenant : tenants) {
      object.mutable_policy()->add_tenant_ids(std::move(tenant));
    }
    return object;
  }

  // Null: there is none.
  ObjectPtr Find(v1::Kind kind, const std::string& id) {
    for (const ObjectPtr& object : registry_->ObjectsOf(kind)) {
      if (object->meta().id() == id) return object;
    }
    return nullptr;
  }
  std::string UidOf(const std::string& tenant) {
    const ObjectPtr object = Find(v1::KIND_TENANT, tenant);
    return object == nullptr ? "" : object->meta().uid();
  }
  std::set<std::string> Ids(v1::Kind kind) {
    std::set<std::string> ids;
    for (const ObjectPtr& object : registry_->ObjectsOf(kind)) {
      if (object->meta().source() == "kubernetes") {
        ids.insert(object->meta().id());
      }
    }
    return ids;
  }
  // Whether the tenants of the source become these.
  bool Become(const std::set<std::string>& tenants,
              absl::Duration timeout = absl::Minutes(1)) {
    const bool so = e2e::WaitUntil(
        [&] { return Ids(v1::KIND_TENANT) == tenants; }, timeout);
    EXPECT_TRUE(so) << testing::PrintToString(Ids(v1::KIND_TENANT));
    return so;
  }

  double Gauge(const std::string& name, const metrics::Labels& labels = {}) {
    return metrics_.AddGauge(name, "", labels).Value();
  }

  e2e::TempDir dir_;
  metrics::Registry metrics_;
  RealClock clock_;
  asio::thread_pool pool_{2};
  runtime::BlockingPool blocking_{2, 100};
  std::unique_ptr<e2e::KubeApi> api_;
  std::unique_ptr<e2e::Proxy> proxy_;
  std::string token_;
  std::string admin_token_;
  std::shared_ptr<Registry> registry_;
  std::unique_ptr<KubeSource> source_;
};

}  // namespace insula::tenant_registry
