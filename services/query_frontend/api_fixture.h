// A handler with a registry copy made by hand and a store that records what it
// is asked, for tests.
#pragma once

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/auth/auth.h"
#include "libs/http/client.h"
#include "libs/http/server.h"
#include "libs/http/url.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/fact.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/clock.h"
#include "services/query_frontend/answering.h"
#include "services/query_frontend/api_handler.h"
#include "services/query_frontend/asking.h"
#include "services/query_frontend/backend.h"
#include "services/query_frontend/caching.h"
#include "services/query_frontend/metrics.h"
#include "services/query_frontend/operator_pages.h"
#include "services/query_frontend/pools.h"
#include "services/query_frontend/request_book.h"

namespace insula::query_frontend {

using tenancy::Sha256;

namespace v1 = ::insula::registry::v1;

// What a request to the store looked like.
struct Asked {
  std::string method;
  std::string target;
  http::Headers headers;
  std::string body;

  // The parameters of URL and body.
  http::Params Params() const {
    const size_t mark = target.find('?');
    return *http::ParseForm(method == "POST" ? body
                            : mark == std::string::npos
                                ? ""
                                : target.substr(mark + 1));
  }
};

// A store that answers every request with the same, or as `answer` says.
class FakeStore {
 public:
  using Answer =
      std::function<boost::asio::awaitable<http::Response>(http::Request)>;

  FakeStore(boost::asio::any_io_executor executor, metrics::Registry* metrics) {
    http::ServerOptions options;
    options.name = "store";
    server_ = *http::Server::Start(
        options, executor,
        [this](http::Request request) { return Serve(std::move(request)); },
        metrics);
  }

  std::string url() const {
    return absl::StrCat("http://", server_->address(), "/store");
  }
  int port() const { return server_->port(); }

  void SetAnswer(int status, absl::string_view body,
                 absl::string_view content_type = "application/json") {
    sync::MutexLock lock(&mutex_);
    response_ = http::Response();
    response_.status = status;
    response_.headers.Set("Content-Type", content_type);
    response_.headers.Set("Set-Cookie", "canary=1");
    response_.headers.Set("Server", "canary");
    response_.headers.Set("Location", "http://canary/");
    response_.body = std::string(body);
  }
  void SetAnswer(Answer answer) {
    sync::MutexLock lock(&mutex_);
    answer_ = std::move(answer);
  }

  // What it says to be; "": it does not say.
  void SetVersion(std::string version) {
    sync::MutexLock lock(&mutex_);
    version_ = std::move(version);
  }

  // All requests so far, but for those about its version.
  std::vector<Asked> asked() const {
    sync::MutexLock lock(&mutex_);
    return asked_;
  }

 private:
  boost::asio::awaitable<http::Response> Serve(http::Request request) {
    Answer answer;
    http::Response response;
    if (absl::EndsWith(request.target, "/status/buildinfo")) {
      co_return BuildInfo();
    }
    {
      sync::MutexLock lock(&mutex_);
      asked_.push_back({request.method, request.target, request.headers,
                        std::string(request.body.view())});
      answer = answer_;
      response = response_;
    }
    if (answer) response = co_await answer(std::move(request));
    co_return response;
  }

  http::Response BuildInfo() const {
    http::Response response;
    sync::MutexLock lock(&mutex_);
    response.headers.Set("Content-Type", "application/json");
    response.status = version_.empty() ? 404 : 200;
    response.body = absl::StrCat(R"({"status":"success","data":{"version":")",
                                 version_, R"("}})");
    return response;
  }

  mutable sync::Mutex mutex_;
  std::string version_ ABSL_GUARDED_BY(mutex_);
  http::Response response_ ABSL_GUARDED_BY(mutex_);
  Answer answer_ ABSL_GUARDED_BY(mutex_);
  std::vector<Asked> asked_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<http::Server> server_;
};

// Tokens are "token-TENANT". Tenants: red and blue (enforced label namespace,
// store "shared"), bare (no enforced label, store "shared"), lost (upstream
// that is missing), homeless (none), writer (an upstream without reads), own
// (store "split", by header, org_id own-org) and both (by header, with an
// enforced label).
class ApiTest : public testing::Test {
 protected:
  ApiTest() {
    store_.SetAnswer(200, R"({"status":"success","data":[]})");
    Rebuild();
  }

  static constexpr size_t kMaxResponse = size_t{1} << 20;
  static constexpr char kForm[] = "application/x-www-form-urlencoded";
  static constexpr char kVector[] =
      R"({"status":"success","data":{"resultType":"vector","result":[]}})";

  // Fails the test unless `condition` comes true within a minute.
  static void WaitFor(const std::function<bool()>& condition) {
    const absl::Time until = absl::Now() + absl::Minutes(1);
    while (!condition() && absl::Now() < until) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_TRUE(condition());
  }

  void Put(tenancy::SnapshotBuilder* builder, v1::Kind kind, std::string id,
           const std::function<void(v1::Object*)>& fill) {
    v1::Object object;
    object.mutable_meta()->set_kind(kind);
    object.mutable_meta()->set_id(id);
    std::string uid = absl::StrCat(id, std::string(16, 'u'));
    uid.resize(16);
    object.mutable_meta()->set_uid(uid);
    fill(&object);
    const absl::Status put = builder->Put(object);
    ASSERT_TRUE(put.ok()) << put;
  }

  void PutUpstream(tenancy::SnapshotBuilder* builder, const std::string& id,
                   const std::string& url, v1::Upstream::Isolation isolation) {
    Put(builder, v1::KIND_UPSTREAM, id, [&](v1::Object* object) {
      v1::Upstream* upstream = object->mutable_upstream();
      upstream->set_query_url(url);
      if (url.empty()) upstream->set_write_url("http://127.0.0.1:1/write");
      upstream->set_isolation(isolation);
    });
  }

  void PutTenant(tenancy::SnapshotBuilder* builder, const std::string& id,
                 const std::string& upstream, const std::string& label = "",
                 const std::string& org_id = "") {
    Put(builder, v1::KIND_TENANT, id, [&](v1::Object* object) {
      object->mutable_tenant()->set_upstream_id(upstream);
      object->mutable_tenant()->set_org_id(org_id);
      if (!label.empty()) {
        (*object->mutable_tenant()->mutable_enforced_labels())["namespace"] =
            label;
      }
    });
    Put(builder, v1::KIND_BINDING, id, [&](v1::Object* object) {
      v1::Binding* binding = object->mutable_binding();
      binding->set_token_sha256(Sha256("token-" + id));
      binding->add_tenant_ids(id);
      binding->add_roles(v1::ROLE_READ);
    });
  }

  void Rebuild() {
    tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
    PutUpstream(&builder, "shared", store_.url(),
                v1::Upstream::ISOLATION_LABEL);
    PutUpstream(&builder, "split", store_.url(),
                v1::Upstream::ISOLATION_HEADER);
    PutUpstream(&builder, "write-only", "", v1::Upstream::ISOLATION_LABEL);
    PutUpstream(&builder, "down", "http://127.0.0.1:1",
                v1::Upstream::ISOLATION_LABEL);
    PutTenant(&builder, "red", "shared", "red");
    PutTenant(&builder, "blue", "shared", "blue");
    PutTenant(&builder, "bare", "shared");
    PutTenant(&builder, "lost", "missing", "lost");
    PutTenant(&builder, "homeless", "", "homeless");
    PutTenant(&builder, "writer", "write-only", "writer");
    PutTenant(&builder, "cut", "down", "cut");
    PutTenant(&builder, "own", "split", "", "own-org");
    PutTenant(&builder, "both", "split", "both");
    Put(&builder, v1::KIND_BINDING, "two", [&](v1::Object* object) {
      v1::Binding* binding = object->mutable_binding();
      binding->set_token_sha256(Sha256("token-two"));
      binding->add_tenant_ids("red");
      binding->add_tenant_ids("own");
      binding->add_roles(v1::ROLE_READ);
    });
    Put(&builder, v1::KIND_BINDING, "sender", [&](v1::Object* object) {
      v1::Binding* binding = object->mutable_binding();
      binding->set_token_sha256(Sha256("token-sender"));
      binding->add_tenant_ids("red");
      binding->add_roles(v1::ROLE_WRITE);
    });
    Put(&builder, v1::KIND_BINDING, "operator", [&](v1::Object* object) {
      v1::Binding* binding = object->mutable_binding();
      binding->set_token_sha256(Sha256("token-operator"));
      binding->add_roles(v1::ROLE_OPERATOR);
    });
    snapshot_ = std::move(builder).Build(7, "e");
  }

  static http::Request Request(absl::string_view method,
                               absl::string_view target,
                               absl::string_view token,
                               absl::string_view body = "") {
    http::Request request;
    request.method = std::string(method);
    request.target = std::string(target);
    request.id = "id-1";
    if (!token.empty()) {
      request.headers.Set("Authorization", absl::StrCat("Bearer ", token));
    }
    if (!body.empty()) request.headers.Set("Content-Type", kForm);
    request.body = http::Buffer(body);
    request.peer.address = "127.0.0.1";
    request.deadline = absl::Now() + absl::Seconds(20);
    return request;
  }

  http::Response Send(http::Request request) {
    return boost::asio::co_spawn(boost::asio::make_strand(pool_),
                                 handler_.Handle(std::move(request), &auth_),
                                 boost::asio::use_future)
        .get();
  }
  http::Response Get(absl::string_view target,
                     absl::string_view token = "token-red") {
    return Send(Request("GET", target, token));
  }
  http::Response Post(absl::string_view target, absl::string_view body,
                      absl::string_view token = "token-red") {
    return Send(Request("POST", target, token, body));
  }

  metrics::Registry registry_;  // Outlives what is under way at the end.
  boost::asio::thread_pool pool_{2};
  FakeStore store_{pool_.get_executor(), &registry_};
  RealClock clock_;
  Metrics metrics_{&registry_};
  std::shared_ptr<http::Client> client_ = std::make_shared<http::Client>(
      http::ClientOptions(), pool_.get_executor(), &registry_);
  Pools pools_{
      PoolsConfig(),
      {.executor = pool_.get_executor(),
       .client = client_,
       .metrics = &registry_,
       .run_blocking = [](std::function<absl::Status()> work)
           -> boost::asio::awaitable<absl::Status> { co_return work(); }}};
  Backend backend_{&clock_, &metrics_, kMaxResponse, pool_.get_executor()};
  std::shared_ptr<const tenancy::Snapshot> snapshot_;
  const auth::Authenticator auth_{auth::ListenerAuth()};
  Admission admission_{QueueConfig(), &registry_, &metrics_};
  Asking asking_{&admission_, &backend_};
  Caching caching_{CacheConfig(),
                   &asking_,
                   kMaxResponse,
                   {.executor = pool_.get_executor(),
                    .clock = &clock_,
                    .metrics = &registry_}};
  ConfinedQueries confined_queries_{1 << 20, &registry_};
  Answering answering_{&confined_queries_, &caching_, &metrics_, kMaxResponse,
                       AnswerOptions()};
  RequestBook book_{{.slow_query = absl::Nanoseconds(1)}, &clock_, &metrics_};
  const OperatorPages pages_{[this] { return snapshot_; },
                             &clock_,
                             &book_,
                             &pools_,
                             &backend_,
                             &metrics_,
                             &registry_};
  ApiHandler handler_{[this] { return snapshot_; },
                      &clock_,
                      &pools_,
                      &admission_,
                      &answering_,
                      &book_,
                      &pages_,
                      &metrics_};
};

}  // namespace insula::query_frontend
