// What it costs to know a caller, by method: `cold` the first time that a
// credential comes, `cached` from then on. Keystone, the issuer of JWTs and the
// Kubernetes API answer at once and in this process, so that cold figures hold
// one exchange over the loopback; passwords are hashed with bcrypt of cost 10.
// The median of wall-clock times. Prints
//   {"name":"auth.jwt_es256.cold_us","value":...,"unit":"us"}

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
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
#include "insula/registry/v1/objects.pb.h"
#include "libs/auth/authenticator.h"
#include "libs/auth/fake_keystone.h"
#include "libs/auth/jwt_signer.h"
#include "libs/auth/methods.h"
#include "libs/http/server.h"
#include "libs/kube/fake_api.h"
#include "libs/metrics/metrics.h"
#include "libs/tenancy/fact.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/clock.h"
#include "tests/bench/harness.h"

namespace insula::bench {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::registry::v1;

constexpr int kCredentials = 200;
constexpr int kUsers = 10;  // A password takes long.
constexpr int kCachedRounds = 20'000;
constexpr char kIssuer[] = "https://id";
// Of "correct horse".
constexpr char kHash[] =
    "$2b$10$cDa5YgGLoTLyr/MZhU0YburRz5Jh0ATkHENr5F/ZWzWLTH4kUAPWS";

using HeaderList = std::vector<std::pair<std::string, std::string>>;

void Print(absl::string_view method, const char* when, double value) {
  std::printf("{\"name\":\"auth.%s.%s_us\",\"value\":%.2f,\"unit\":\"us\"}\n",
              std::string(method).c_str(), when, value);
  std::fflush(stdout);
}

// A tenant, and bindings of as many tokens and keys as there are credentials.
class Registry {
 public:
  Registry() {
    v1::Object tenant;
    tenant.mutable_meta()->set_kind(v1::KIND_TENANT);
    tenant.mutable_meta()->set_id("red");
    tenant.mutable_tenant();
    Put(tenant);
  }
  void Bind(const std::function<void(v1::Binding*)>& set_fact) {
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_BINDING);
    object.mutable_meta()->set_id(absl::StrCat("b", ++bindings_));
    object.mutable_binding()->add_tenant_ids("red");
    object.mutable_binding()->add_roles(v1::ROLE_READ);
    set_fact(object.mutable_binding());
    Put(object);
  }
  std::shared_ptr<const tenancy::Snapshot> Build() && {
    return std::move(builder_).Build(1, "epoch");
  }

 private:
  void Put(const v1::Object& object) {
    const absl::Status status = builder_.Put(object);
    if (!status.ok()) Die(status.ToString());
  }
  tenancy::SnapshotBuilder builder_{tenancy::Snapshot()};
  int bindings_ = 0;
};

// Those that are asked, and one listener for each method.
class Bench {
 public:
  Bench() {
    http::ServerOptions options;
    options.name = "issuer";
    auto issuer = http::Server::Start(
        std::move(options), pool_.get_executor(),
        [this](http::Request) { return Keys(); }, &metrics_);
    if (!issuer.ok()) Die(issuer.status().ToString());
    issuer_ = *std::move(issuer);
    std::string users;
    for (int i = 0; i < kUsers; ++i) {
      absl::StrAppend(&users, "user", i, ":", kHash, "\n");
    }
    passwords_ = Write("passwords", users);
    secret_ = Write("secret", "s3cret\n");
    BindAll();
  }
  ~Bench() {
    issuer_.reset();
    keystone_.Stop();
    pool_.join();
  }

  void MeasureAll() {
    auth::ListenerAuth config;
    Measure("token", config, kCredentials,
            [](int i) { return HeaderList{Bearer(absl::StrCat("token", i))}; });
    config = Only();
    config.api_key_header = "X-API-Key";
    Measure("api_key", config, kCredentials, [](int i) {
      return HeaderList{{"X-API-Key", absl::StrCat("token", i)}};
    });
    config = Only();
    config.trusted_header = "X-Tenant";
    Measure("header", config, kCredentials,
            [](int) { return HeaderList{{"X-Tenant", "red"}}; });
    config = Only();
    config.client_certificate = true;
    Measure("certificate", config, kCredentials,
            [](int) { return HeaderList(); });
    MeasureJwts();
    config = Only();
    config.keystone.auth_url = keystone_.url();
    config.keystone.user_name = "insula";
    config.keystone.project_name = "service";
    config.keystone.password_file = secret_;
    Measure("keystone", config, kCredentials, [this](int) {
      return HeaderList{{"X-Auth-Token", keystone_.Issue({})}};
    });
    config = Only();
    config.kubernetes.api_url = api_.url().ToString();
    config.kubernetes.token_file = secret_;
    Measure("kubernetes", config, kCredentials, [](int i) {
      return HeaderList{Bearer(absl::StrCat("account", i))};
    });
    config = Only();
    config.basic.password_file = passwords_;
    Measure("basic", config, kUsers, [](int i) {
      return HeaderList{
          {"Authorization",
           absl::StrCat("Basic ", absl::Base64Escape(absl::StrCat(
                                      "user", i, ":correct horse")))}};
    });
  }

 private:
  std::string Write(const char* name, const std::string& text) {
    const std::string path = directory_.Write(name, text);
    std::filesystem::permissions(path, std::filesystem::perms::owner_read |
                                           std::filesystem::perms::owner_write);
    // Past the moment for which a new file counts as being written.
    std::filesystem::last_write_time(
        path,
        std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    return path;
  }
  static auth::ListenerAuth Only() {
    auth::ListenerAuth config;
    config.bearer = false;
    return config;
  }
  static std::pair<std::string, std::string> Bearer(const std::string& token) {
    return {"Authorization", absl::StrCat("Bearer ", token)};
  }

  void BindAll() {
    Registry registry;
    for (int i = 0; i < kCredentials; ++i) {
      const std::string digest = tenancy::Sha256(absl::StrCat("token", i));
      registry.Bind([&](v1::Binding* b) { b->set_token_sha256(digest); });
      registry.Bind([&](v1::Binding* b) { b->set_api_key_sha256(digest); });
    }
    for (int i = 0; i < kUsers; ++i) {
      registry.Bind([&](v1::Binding* b) {
        b->mutable_basic()->set_user(absl::StrCat("user", i));
      });
    }
    registry.Bind([](v1::Binding* b) {
      b->mutable_jwt()->set_issuer(kIssuer);
      b->mutable_jwt()->set_claim("sub");
      b->mutable_jwt()->set_value("ann");
    });
    registry.Bind([this](v1::Binding* b) {
      b->mutable_keystone()->set_auth_url(keystone_.url());
      b->mutable_keystone()->set_project_id("red-id");
    });
    registry.Bind(
        [](v1::Binding* b) { b->mutable_kubernetes()->set_user("grafana"); });
    registry.Bind([](v1::Binding* b) {
      b->mutable_certificate()->set_uri("spiffe://a/b");
    });
    snapshot_ = std::move(registry).Build();
  }

  asio::awaitable<http::Response> Keys() {
    co_return http::TextResponse(
        200, absl::StrCat("{\"keys\":[", ec_.PublicJwk("ec"), ",",
                          rsa_.PublicJwk("rsa"), "]}"));
  }
  static kube::FakeApi::Answer Review(const kube::FakeApi::Request&) {
    kube::FakeApi::Answer answer;
    answer.status = 201;
    answer.body = R"({"kind":"TokenReview","status":{"authenticated":true,)"
                  R"("user":{"username":"grafana"}}})";
    return answer;
  }

  void MeasureJwts() {
    auth::ListenerAuth config = Only();
    auth::JwtIssuerConfig& issuer = config.jwt.emplace_back();
    issuer.issuer = kIssuer;
    issuer.jwks_url =
        absl::StrCat("http://127.0.0.1:", issuer_->port(), "/keys");
    issuer.allow_loopback_http = true;
    issuer.audiences = {"insula"};
    const auto measure = [&](const char* name, const auth::SigningKey& key,
                             auth::JwtAlgorithm algorithm,
                             const std::string& header) {
      Measure(name, config, kCredentials, [&](int i) {
        const int64_t now = absl::ToUnixSeconds(absl::Now());
        return HeaderList{Bearer(key.Token(
            algorithm, header,
            absl::StrCat(R"({"iss":"https://id","aud":"insula","sub":"ann",)",
                         "\"iat\":", now, ",\"exp\":", now + 3000,
                         ",\"jti\":\"", i, "\"}")))};
      });
    };
    measure("jwt_es256", ec_, auth::JwtAlgorithm::kEs256,
            R"({"alg":"ES256","kid":"ec"})");
    measure("jwt_rs256", rsa_, auth::JwtAlgorithm::kRs256,
            R"({"alg":"RS256","kid":"rsa"})");
  }

  asio::awaitable<absl::Status> RunBlocking(
      std::function<absl::Status()> work) {
    // The pool has a thread to wait with.
    co_await asio::post(pool_.get_executor(), asio::use_awaitable);
    co_return work();
  }

  void Measure(absl::string_view method, const auth::ListenerAuth& config,
               int count, const std::function<HeaderList(int)>& credential) {
    const absl::Status valid = config.Validate();
    if (!valid.ok()) Die(valid.ToString());
    auth::MethodContext context;
    context.executor = pool_.get_executor();
    context.run_blocking = [this](std::function<absl::Status()> work) {
      return RunBlocking(std::move(work));
    };
    context.clock = &clock_;
    context.steady = SteadyClock::Get();
    context.metrics = &metrics_;
    auto methods = auth::MakeMethods(config, context);
    if (!methods.ok()) Die(methods.status().ToString());
    const auth::Authenticator listener(config, *std::move(methods));
    // Made before the clock runs; the first is not counted: it fetches keys,
    // logs in, connects.
    std::vector<http::Request> requests;
    for (int i = 0; i < count; ++i) {
      http::Request& request = requests.emplace_back();
      request.method = "GET";
      request.target = "/";
      request.peer.address = "127.0.0.1";
      if (config.client_certificate) request.peer.san_uris = {"spiffe://a/b"};
      for (const auto& [name, value] : credential(i)) {
        request.headers.Add(name, value);
      }
    }
    std::vector<absl::Duration> cold;
    for (const http::Request& request : requests) {
      const absl::Time begin = absl::Now();
      Know(listener, request);
      if (&request != &requests[0]) cold.push_back(absl::Now() - begin);
    }
    Print(method, "cold",
          absl::ToDoubleMicroseconds(MedianOf(std::move(cold))));
    std::vector<absl::Duration> cached;
    for (int i = 0; i < kCachedRounds; ++i) {
      const absl::Time begin = absl::Now();
      const auto known = listener.TryNow(requests[i % requests.size()],
                                         snapshot_, v1::ROLE_READ, begin);
      cached.push_back(absl::Now() - begin);
      if (!known.has_value()) Die(absl::StrCat(method, " was not cached"));
      if (!known->ok()) Die(known->status().ToString());
    }
    Print(method, "cached",
          absl::ToDoubleMicroseconds(MedianOf(std::move(cached))));
  }

  // As a service does: at once if that can be.
  void Know(const auth::Authenticator& listener, const http::Request& request) {
    auto caller =
        listener.TryNow(request, snapshot_, v1::ROLE_READ, absl::Now());
    if (!caller.has_value()) {
      caller = asio::co_spawn(asio::make_strand(pool_.get_executor()),
                              listener.Authenticate(&request, snapshot_,
                                                    v1::ROLE_READ, absl::Now()),
                              asio::use_future)
                   .get();
    }
    if (!caller->ok()) Die(caller->status().ToString());
  }

  const RealClock clock_;
  const e2e::TempDir directory_;
  std::string passwords_;
  std::string secret_;
  metrics::Registry metrics_;
  asio::thread_pool pool_{2};
  const auth::SigningKey ec_ = auth::SigningKey::Ec();
  const auth::SigningKey rsa_ = auth::SigningKey::Rsa();
  std::unique_ptr<http::Server> issuer_;
  auth::FakeKeystone keystone_{pool_.get_executor(), &metrics_};
  kube::FakeApi api_{Review};
  std::shared_ptr<const tenancy::Snapshot> snapshot_;
};

}  // namespace
}  // namespace insula::bench

int main() {
  insula::bench::Bench().MeasureAll();
  return 0;
}
