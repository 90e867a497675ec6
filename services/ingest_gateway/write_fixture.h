// A WriteHandler with tenants and a store, for the tests here.
#pragma once

#include <gmock/gmock.h>
#include <snappy.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/metrics/exposed_value.h"
#include "libs/remote_write/encode.h"
#include "libs/tenancy/fact.h"
#include "libs/time/fake_clock.h"
#include "prometheus/remote.pb.h"
#include "services/ingest_gateway/fake_store.h"
#include "services/ingest_gateway/upstream_sender.h"
#include "services/ingest_gateway/write_handler.h"

namespace insula::ingest_gateway {

using Labels = std::vector<std::pair<std::string, std::string>>;

using tenancy::Sha256;

inline std::string Message(const std::vector<Labels>& all) {
  std::string request;
  for (const Labels& labels : all) {
    std::string series;
    for (const auto& [name, value] : labels) {
      remote_write::AppendLabel(name, value, &series);
    }
    remote_write::AppendSample(1, 1000, &series);
    remote_write::AppendSeries(series, &request);
  }
  return request;
}

inline std::string Compressed(const std::string& message) {
  std::string body;
  snappy::Compress(message.data(), message.size(), &body);
  return body;
}

// A series for each namespace.
inline std::string BodyOf(const std::vector<std::string>& namespaces) {
  std::vector<Labels> all;
  for (const std::string& name : namespaces) {
    all.push_back({{"__name__", "up"}, {"namespace", name}});
  }
  return Compressed(Message(all));
}

// Tenants red, blue and green with the store "store", which isolates by header;
// there is "shared" too, which isolates by label. Tokens are the ids of their
// bindings.
class WriteFixture : public testing::Test {
 protected:
  WriteFixture()
      : store_(pool_.get_executor(), &metrics_),
        client_(ClientOptions(), pool_.get_executor(), &metrics_) {
    auto& upstream =
        *Add(registry::v1::KIND_UPSTREAM, "store")->mutable_upstream();
    upstream.set_write_url(store_.url());
    upstream.set_isolation(registry::v1::Upstream::ISOLATION_HEADER);
    auto& shared =
        *Add(registry::v1::KIND_UPSTREAM, "shared")->mutable_upstream();
    shared.set_write_url(store_.url());
    shared.set_isolation(registry::v1::Upstream::ISOLATION_LABEL);
    for (const char* id : {"red", "blue", "green"}) AddTenant(id);
    Add(registry::v1::KIND_CLAIM_RULE, "by-namespace")
        ->mutable_claim_rule()
        ->set_label("namespace");
    AddBinding("sender", {"red", "blue", "ghost"}, "by-namespace");
    AddBinding("other-sender", {"red", "blue"}, "by-namespace");
    AddBinding("every", {}, "by-namespace")->set_every_tenant(true);
    AddBinding("only-red", {"red"}, "");
    auto* reader = AddBinding("reader", {"red"}, "");
    reader->clear_roles();
    reader->add_roles(registry::v1::ROLE_READ);
    Restart();
  }

  static http::ClientOptions ClientOptions() {
    http::ClientOptions options;
    options.name = "upstream";
    return options;
  }

  // Makes a new handler, which has forgotten everything.
  void Restart() {
    handler_.reset();
    handler_metrics_ = std::make_unique<metrics::Registry>();
    sender_ = std::make_unique<UpstreamSender>("insula/test", &client_, &clock_,
                                               handler_metrics_.get());
    handler_ = std::make_unique<WriteHandler>(
        config_, [this] { return Snapshot(); }, sender_.get(),
        pool_.get_executor(), &clock_, handler_metrics_.get());
  }

  registry::v1::Object* Add(registry::v1::Kind kind, const std::string& id) {
    registry::v1::Object& object = objects_[absl::StrCat(kind, "/", id)];
    object.mutable_meta()->set_kind(kind);
    object.mutable_meta()->set_id(id);
    object.mutable_meta()->set_uid(std::string(16, static_cast<char>(++uids_)));
    return &object;
  }

  registry::v1::Tenant* AddTenant(const std::string& id) {
    registry::v1::Tenant* const tenant =
        Add(registry::v1::KIND_TENANT, id)->mutable_tenant();
    tenant->set_upstream_id("store");
    return tenant;
  }

  registry::v1::Binding* AddBinding(const std::string& token,
                                    const std::vector<std::string>& tenants,
                                    const std::string& claim_rule) {
    registry::v1::Binding* const binding =
        Add(registry::v1::KIND_BINDING, token)->mutable_binding();
    binding->set_token_sha256(Sha256(token));
    for (const std::string& tenant : tenants) binding->add_tenant_ids(tenant);
    binding->add_roles(registry::v1::ROLE_WRITE);
    binding->set_claim_rule_id(claim_rule);
    return binding;
  }

  registry::v1::Tenant* TenantNamed(const std::string& id) {
    return objects_[absl::StrCat(registry::v1::KIND_TENANT, "/", id)]
        .mutable_tenant();
  }

  std::shared_ptr<const tenancy::Snapshot> Snapshot() {
    tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
    for (const auto& [key, object] : objects_) {
      EXPECT_TRUE(builder.Put(object).ok()) << key;
    }
    return std::move(builder).Build(++revision_, "epoch");
  }

  http::Request Request(const std::string& token, const std::string& body) {
    http::Request request;
    request.method = "POST";
    request.target = "/api/v1/write";
    request.headers.Add("Authorization", absl::StrCat("Bearer ", token));
    request.headers.Add("Content-Encoding", "snappy");
    request.peer.address = "127.0.0.1";
    request.body = http::Buffer(body);
    return request;
  }

  http::Response Write(const std::string& token, const std::string& body) {
    return Handle(Request(token, body));
  }

  http::Response Handle(http::Request request) {
    return boost::asio::co_spawn(
               strand_, handler_->Handle(std::move(request), &listener_),
               boost::asio::use_future)
        .get();
  }

  // The series that arrived for each tenant, as "name=value,..." texts.
  std::map<std::string, std::vector<std::string>> Arrived() {
    std::map<std::string, std::vector<std::string>> arrived;
    for (const FakeStore::Seen& seen : store_.TakeSeen()) {
      std::string message;
      prometheus::WriteRequest request;
      EXPECT_TRUE(
          snappy::Uncompress(seen.body.data(), seen.body.size(), &message));
      EXPECT_TRUE(request.ParseFromString(message));
      for (const auto& series : request.timeseries()) {
        std::string text;
        for (const auto& label : series.labels()) {
          absl::StrAppend(&text, text.empty() ? "" : ",", label.name(), "=",
                          label.value());
        }
        arrived[seen.tenant].push_back(text);
      }
    }
    return arrived;
  }

  std::vector<std::string> TenantsReached() {
    std::vector<std::string> tenants;
    for (const auto& seen : store_.TakeSeen()) tenants.push_back(seen.tenant);
    std::sort(tenants.begin(), tenants.end());
    return tenants;
  }

  double Metric(absl::string_view name) {
    return metrics::ExposedValue(handler_metrics_->Expose(), name).value_or(0);
  }

  boost::asio::thread_pool pool_{2};
  // Of the handlers, as a connection of a server is to them.
  const boost::asio::strand<boost::asio::thread_pool::executor_type> strand_{
      pool_.get_executor()};
  metrics::Registry metrics_;
  FakeClock clock_{absl::Now()};
  FakeStore store_;
  http::Client client_;
  std::map<std::string, registry::v1::Object> objects_;
  int uids_ = 0;
  int64_t revision_ = 0;
  WriteConfig config_;
  const auth::Authenticator listener_{auth::ListenerAuth()};
  std::unique_ptr<metrics::Registry> handler_metrics_;
  std::unique_ptr<UpstreamSender> sender_;
  std::unique_ptr<WriteHandler> handler_;
};

}  // namespace insula::ingest_gateway
