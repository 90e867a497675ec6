// Each method of identity, through a listener and over a socket.
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/auth/fake_keystone.h"
#include "libs/auth/jwt_signer.h"
#include "libs/edge/listeners.h"
#include "libs/http/client.h"
#include "libs/http/server.h"
#include "libs/http/status_code.h"
#include "libs/http/url.h"
#include "libs/kube/fake_api.h"
#include "libs/runtime/process.h"
#include "libs/status/status_matchers.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/fact.h"
#include "libs/tenancy/snapshot.h"
#include "libs/tls/test_authority.h"

namespace insula::edge {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::registry::v1;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr absl::Duration kPatience = absl::Seconds(20);

// Of "correct horse".
constexpr char kHash[] =
    "$2b$10$cDa5YgGLoTLyr/MZhU0YburRz5Jh0ATkHENr5F/ZWzWLTH4kUAPWS";

// Knows readers as the services do, and says who they are: "CALLER TENANT".
class Mirror final : public Handler {
 public:
  explicit Mirror(std::shared_ptr<const tenancy::Snapshot> snapshot)
      : snapshot_(std::move(snapshot)) {}

  std::optional<http::Response> Admit(
      const http::Request& request, const auth::Authenticator* auth) override {
    if (request.method == "GET") return std::nullopt;
    const auto known =
        auth->TryNow(request, snapshot_, v1::ROLE_READ, absl::Now());
    if (!known.has_value() || known->ok()) return std::nullopt;
    return AnswerTo(*known);
  }
  asio::awaitable<http::Response> Handle(
      http::Request request, const auth::Authenticator* auth) override {
    auto caller = auth->TryNow(request, snapshot_, v1::ROLE_READ, absl::Now());
    if (!caller.has_value()) {
      caller = co_await auth->Authenticate(&request, snapshot_, v1::ROLE_READ,
                                           absl::Now());
    }
    co_return AnswerTo(*caller);
  }

 private:
  static http::Response AnswerTo(const absl::StatusOr<auth::Caller>& caller) {
    if (!caller.ok()) {
      return http::TextResponse(http::ToHttpStatus(caller.status().code()),
                                std::string(caller.status().message()));
    }
    return http::TextResponse(
        200, absl::StrCat(caller->identity, " ", caller->tenant->id.value()));
  }

  const std::shared_ptr<const tenancy::Snapshot> snapshot_;
};

// Tenants red and blue, and of each method a caller that is bound to red.
std::shared_ptr<const tenancy::Snapshot> MakeSnapshot(
    const std::string& keystone_url) {
  tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
  const auto put = [&builder](const std::string& text) {
    v1::Object object;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &object))
        << text;
    EXPECT_THAT(builder.Put(object), IsOk()) << text;
  };
  const auto bind = [&put](const std::string& id, const std::string& fact,
                           const std::string& tenants = "tenant_ids: 'red'") {
    put(absl::StrCat("meta { kind: KIND_BINDING id: '", id, "' } binding { ",
                     fact, " ", tenants, " roles: ROLE_READ }"));
  };
  const auto sha256 = [](const char* field, const std::string& text) {
    return absl::StrCat(field, ": '", absl::CHexEscape(tenancy::Sha256(text)),
                        "'");
  };
  put("meta { kind: KIND_TENANT id: 'red' } tenant {}");
  put("meta { kind: KIND_TENANT id: 'blue' } tenant {}");
  bind("token", sha256("token_sha256", "static"));
  bind("both", sha256("token_sha256", "several"),
       "tenant_ids: 'red' tenant_ids: 'blue'");
  bind("key", sha256("api_key_sha256", "key"));
  bind("project", absl::StrCat("keystone { auth_url: '", keystone_url,
                               "' project_id: 'red-id' }"));
  bind("account", "kubernetes { cluster: 'c' user: 'grafana' }");
  bind("reviewed",
       "kubernetes { cluster: 'c' user: 'prober' "
       "access { verb: 'get' resource: 'namespace' subresource: 'metrics' } }",
       "tenant_ids: 'red' tenant_ids: 'blue'");
  bind("ann", "basic { user: 'ann' }");
  bind("subject", "jwt { issuer: 'https://id' claim: 'sub' value: 'ann' }");
  bind("uri", "certificate { uri: 'spiffe://a/reader' }");
  bind("namespace", "header { header: 'X-Tenant-Namespace' value: 'web' }");
  return std::move(builder).Build(1, "epoch");
}

using HeaderList = std::vector<std::pair<std::string, std::string>>;

class IdentityTest : public testing::Test {
 protected:
  IdentityTest() {
    runtime::ProcessConfig config;
    config.admin_listen_address = "127.0.0.1:0";
    config.worker_threads = 2;
    directory_ = testing::TempDir() + "insula-identity-XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    ports_file_ = directory_ + "/ports";
    config.ports_file = ports_file_;
    auto process = runtime::Process::Start("identity-test", config, "");
    EXPECT_THAT(process, IsOk());
    process_ = *std::move(process);
    keystone_ = std::make_unique<auth::FakeKeystone>(process_->executor(),
                                                     &process_->metrics());
    mirror_ = std::make_unique<Mirror>(MakeSnapshot(keystone_->url()));
    config_.auth.bearer = false;
  }
  ~IdentityTest() override {
    listeners_.reset();
    client_.reset();
    keystone_->Stop();
    keystone_.reset();
    process_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = absl::StrCat(directory_, "/", name);
    std::ofstream(path) << text;
    std::filesystem::permissions(path, std::filesystem::perms::owner_read |
                                           std::filesystem::perms::owner_write);
    // Past the moment for which a new file counts as being written.
    std::filesystem::last_write_time(
        path,
        std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    return path;
  }

  void Start() {
    auto listeners = Listeners::Start({config_}, http::ServerOptions(),
                                      mirror_.get(), process_.get());
    ASSERT_THAT(listeners, IsOk());
    listeners_ = *std::move(listeners);
    process_->SetReady();
    std::ifstream file(ports_file_);
    std::string name;
    std::string address;
    while (file >> name >> address) {
      if (name == "door") address_ = address;
    }
    ASSERT_FALSE(address_.empty());
    Use(std::nullopt);
  }

  // Connects with these from now on.
  void Use(std::optional<http::ClientTls> tls) {
    http::ClientOptions options;
    options.name = "test";
    options.tls = std::move(tls);
    client_ = std::make_unique<http::Client>(options, process_->executor(),
                                             &process_->metrics());
  }

  absl::StatusOr<http::Response> Get(const HeaderList& headers,
                                     const char* method = "GET") {
    http::ClientRequest request;
    request.method = method;
    request.url =
        http::Url::Parse(
            absl::StrCat(config_.tls_cert_file.empty() ? "http" : "https",
                         "://", address_, "/api/v1/query"))
            .value();
    for (const auto& [name, value] : headers) request.headers.Add(name, value);
    return asio::co_spawn(
               asio::make_strand(process_->executor()),
               client_->Send(std::move(request), absl::Now() + kPatience),
               asio::use_future)
        .get();
  }
  // "STATUS BODY", without the end of the line.
  std::string Ask(const HeaderList& headers, const char* method = "GET") {
    const auto answer = Get(headers, method);
    if (!answer.ok()) return answer.status().ToString();
    return absl::StrCat(answer->status, " ",
                        absl::StripSuffix(answer->body, "\n"));
  }
  std::vector<std::string> Challenges(const HeaderList& headers) {
    std::vector<std::string> challenges;
    const auto answer = Get(headers);
    EXPECT_THAT(answer, IsOk());
    if (!answer.ok()) return challenges;
    EXPECT_EQ(answer->status, 401);
    for (const auto& [name, value] : answer->headers) {
      if (absl::EqualsIgnoreCase(name, "WWW-Authenticate")) {
        challenges.push_back(value);
      }
    }
    return challenges;
  }
  // Asks until the answer begins so. False after a while.
  bool Becomes(const HeaderList& headers, const std::string& status) {
    for (const absl::Time end = absl::Now() + kPatience; absl::Now() < end;
         absl::SleepFor(absl::Milliseconds(20))) {
      if (absl::StartsWith(Ask(headers), status)) return true;
    }
    return false;
  }

  static std::pair<std::string, std::string> Bearer(const std::string& token) {
    return {"Authorization", absl::StrCat("Bearer ", token)};
  }
  static std::pair<std::string, std::string> Basic(absl::string_view login) {
    return {"Authorization", absl::StrCat("Basic ", absl::Base64Escape(login))};
  }

  std::string directory_;
  std::string ports_file_;
  ListenerConfig config_{"door", "127.0.0.1:0"};
  std::unique_ptr<runtime::Process> process_;
  std::unique_ptr<auth::FakeKeystone> keystone_;
  std::unique_ptr<Mirror> mirror_;
  std::unique_ptr<Listeners> listeners_;
  std::unique_ptr<http::Client> client_;
  std::string address_;
};

TEST_F(IdentityTest, TokensOfTheRegistry) {
  config_.auth.bearer = true;
  Start();
  EXPECT_EQ(Ask({Bearer("static")}), "200 binding/token red");
  EXPECT_THAT(Ask({Bearer("wrong")}), StartsWith("401 "));
  EXPECT_THAT(Challenges({Bearer("wrong")}), ElementsAre("Bearer"));
  EXPECT_THAT(Challenges({}), ElementsAre("Bearer"));
  EXPECT_THAT(Ask({Bearer("static"), {"X-Scope-OrgID", "blue"}}),
              StartsWith("403 "));
}

TEST_F(IdentityTest, WhoHasSeveralTenantsNamesOneOfThem) {
  config_.auth.bearer = true;
  Start();
  EXPECT_THAT(Ask({Bearer("several")}), StartsWith("400 "));
  EXPECT_EQ(Ask({Bearer("several"), {"X-Scope-OrgID", "blue"}}),
            "200 binding/both blue");
  EXPECT_THAT(Ask({Bearer("several"), {"X-Scope-OrgID", "green"}}),
              StartsWith("403 "));
  for (const HeaderList& named : std::vector<HeaderList>{
           {{"X-Scope-OrgID", "red|blue"}},
           {{"X-Scope-OrgID", "red,blue"}},
           {{"X-Scope-OrgID", "red"}, {"X-Scope-OrgID", "blue"}},
           {{"X-Scope-OrgID", "red"}, {"X_Scope_OrgID", "blue"}}}) {
    HeaderList headers = named;
    headers.push_back(Bearer("several"));
    EXPECT_THAT(Ask(headers), StartsWith("400 "));
  }
}

TEST_F(IdentityTest, ApiKeys) {
  config_.auth.api_key_header = "X-API-Key";
  Start();
  EXPECT_EQ(Ask({{"X-API-Key", "key"}}), "200 binding/key red");
  EXPECT_THAT(Challenges({{"X-API-Key", "static"}}),
              ElementsAre("ApiKey header=\"X-API-Key\""));
  EXPECT_THAT(Ask({{"X-API-Key", "key"}, {"X-API-Key", "key"}}),
              StartsWith("400 "));
  EXPECT_THAT(Ask({{"X_API_Key", "key"}}), StartsWith("400 "));
}

TEST_F(IdentityTest, Passwords) {
  config_.auth.basic.password_file = Write(
      "passwords", absl::StrCat("ann:", kHash, "\nunbound:", kHash, "\n"));
  Start();
  EXPECT_EQ(Ask({Basic("ann:correct horse")}), "200 binding/ann red");
  EXPECT_EQ(Ask({Basic("ann:correct horse")}), "200 binding/ann red");
  EXPECT_THAT(Challenges({Basic("ann:wrong")}),
              ElementsAre("Basic realm=\"insula\", charset=\"UTF-8\""));
  EXPECT_THAT(Ask({Basic("nobody:correct horse")}), StartsWith("401 "));
  EXPECT_THAT(Ask({Basic("unbound:correct horse")}), StartsWith("403 "));
  EXPECT_THAT(Ask({Bearer("static")}), StartsWith("401 "));
  EXPECT_THAT(
      process_->metrics().Expose(),
      AllOf(HasSubstr("insula_auth_verifications_total{method=\"basic\","
                      "result=\"cached\"} 1\n"),
            HasSubstr("insula_auth_verifications_total{method=\"basic\","
                      "result=\"ok\"} 2\n"),
            HasSubstr("insula_auth_verifications_total{method=\"basic\","
                      "result=\"wrong\"} 2\n")));
}

TEST_F(IdentityTest, WhoGuessesPasswordsIsHeldUpAndNobodyElse) {
  config_.auth.basic.password_file =
      Write("passwords", absl::StrCat("ann:", kHash, "\nbob:", kHash, "\n"));
  Start();
  EXPECT_EQ(Ask({Basic("ann:correct horse")}), "200 binding/ann red");
  EXPECT_TRUE(Becomes({Basic("ann:guess")}, "429"));
  // Ann was let in not long ago, and another user is another one.
  EXPECT_EQ(Ask({Basic("ann:correct horse")}), "200 binding/ann red");
  EXPECT_THAT(Ask({Basic("bob:correct horse")}), StartsWith("403 "));
}

TEST_F(IdentityTest, APasswordFileThatIsNotThereEndsTheStart) {
  config_.auth.basic.password_file = directory_ + "/missing";
  const auto listeners = Listeners::Start({config_}, http::ServerOptions(),
                                          mirror_.get(), process_.get());
  EXPECT_THAT(std::string(listeners.status().message()),
              AllOf(HasSubstr("listener 'door': basic.password_file: "),
                    HasSubstr("missing")));
}

class KeystoneIdentityTest : public IdentityTest {
 protected:
  void StartKeystone() {
    auth::KeystoneConfig& config = config_.auth.keystone;
    config.auth_url = keystone_->url();
    config.user_name = "insula";
    config.project_name = "service";
    config.password_file = Write("keystone-password", "s3cret\n");
    config.recheck_interval = absl::Milliseconds(50);
    config.timeout = absl::Seconds(5);
    Start();
  }
};

TEST_F(KeystoneIdentityTest, TokensOfAProject) {
  StartKeystone();
  const std::string token = keystone_->Issue({});
  EXPECT_EQ(Ask({{"X-Auth-Token", token}}), "200 binding/project red");
  EXPECT_EQ(Ask({Bearer(token)}), "200 binding/project red");
  EXPECT_THAT(Ask({Bearer(token), {"X-Auth-Token", token}}),
              StartsWith("400 "));
  EXPECT_THAT(
      Challenges({{"X-Auth-Token", "wrong"}}),
      ElementsAre(absl::StrCat("Keystone uri=\"", keystone_->url(), "\"")));
  auth::FakeKeystone::Token other;
  other.project = "other";
  EXPECT_THAT(Ask({{"X-Auth-Token", keystone_->Issue(other)}}),
              StartsWith("403 "));
  auth::FakeKeystone::Token expired;
  expired.expires = absl::Now() - absl::Seconds(1);
  EXPECT_THAT(Ask({{"X-Auth-Token", keystone_->Issue(expired)}}),
              StartsWith("401 "));
}

TEST_F(KeystoneIdentityTest, ARevokedTokenIsOut) {
  StartKeystone();
  const std::string token = keystone_->Issue({});
  EXPECT_THAT(Ask({{"X-Auth-Token", token}}), StartsWith("200 "));
  keystone_->Revoke(token);
  EXPECT_TRUE(Becomes({{"X-Auth-Token", token}}, "401"));
}

TEST_F(KeystoneIdentityTest, NobodyIsLetInWhileItIsDown) {
  StartKeystone();
  const std::string token = keystone_->Issue({});
  EXPECT_THAT(Ask({{"X-Auth-Token", token}}), StartsWith("200 "));
  keystone_->SetMayValidate(false);
  EXPECT_THAT(Ask({{"X-Auth-Token", "other"}}), StartsWith("503 "));
  EXPECT_TRUE(Becomes({{"X-Auth-Token", token}}, "503"));
  keystone_->SetMayValidate(true);
  EXPECT_THAT(Ask({{"X-Auth-Token", token}}), StartsWith("200 "));
  keystone_->Stop();
  EXPECT_TRUE(Becomes({{"X-Auth-Token", token}}, "503"));
  // A body does not change that.
  EXPECT_THAT(Ask({{"X-Auth-Token", token}}, "POST"), StartsWith("503 "));
}

class KubernetesIdentityTest : public IdentityTest {
 protected:
  using Answer = kube::FakeApi::Answer;

  KubernetesIdentityTest()
      : api_([this](const kube::FakeApi::Request& request) {
          return AnswerTo(request);
        }) {
    auth::KubernetesConfig& config = config_.auth.kubernetes;
    config.api_url = api_.url().ToString();
    config.cluster = "c";
    config.token_file = Write("own-token", "own\n");
    config.audiences = {"insula"};
    config.cache_ttl = absl::Milliseconds(50);
  }
  // What is asked refers to the API.
  ~KubernetesIdentityTest() override { listeners_.reset(); }

  Answer AnswerTo(const kube::FakeApi::Request& request) {
    Answer answer;
    {
      const sync::MutexLock lock(&mutex_);
      answer.status = down_ ? 500 : 201;
    }
    if (!absl::StrContains(request.head, "Bearer own")) answer.status = 401;
    if (absl::StrContains(request.line, "tokenreviews")) {
      answer.body =
          R"({"kind":"TokenReview","status":{"authenticated":false}})";
      for (const char* user : {"grafana", "prober", "unbound"}) {
        if (!absl::StrContains(request.body, absl::StrCat(user, "-token"))) {
          continue;
        }
        answer.body = absl::StrCat(
            R"({"kind":"TokenReview","status":{"authenticated":true,)",
            R"("audiences":["insula"],"user":{"username":")", user, "\"}}}");
      }
      return answer;
    }
    const bool allowed =
        absl::StrContains(request.body, "\"namespace\":\"blue\"");
    answer.body =
        absl::StrCat(R"({"kind":"SubjectAccessReview","status":{"allowed":)",
                     allowed ? "true" : "false", "}}");
    return answer;
  }
  void SetDown(bool down) {
    const sync::MutexLock lock(&mutex_);
    down_ = down;
  }

  sync::Mutex mutex_;
  bool down_ ABSL_GUARDED_BY(mutex_) = false;
  kube::FakeApi api_;
};

TEST_F(KubernetesIdentityTest, TokensOfTheCluster) {
  Start();
  EXPECT_EQ(Ask({Bearer("grafana-token")}), "200 binding/account red");
  EXPECT_THAT(Ask({Bearer("unbound-token")}), StartsWith("403 "));
  EXPECT_THAT(Challenges({Bearer("wrong")}),
              ElementsAre("Bearer realm=\"kubernetes\""));
}

TEST_F(KubernetesIdentityTest, RightsInTheNamespaceThatIsNamed) {
  Start();
  EXPECT_EQ(Ask({Bearer("prober-token"), {"X-Scope-OrgID", "blue"}}),
            "200 binding/reviewed blue");
  EXPECT_THAT(Ask({Bearer("prober-token"), {"X-Scope-OrgID", "red"}}),
              StartsWith("403 "));
  EXPECT_THAT(Ask({Bearer("prober-token")}), StartsWith("400 "));
}

TEST_F(KubernetesIdentityTest, NobodyIsLetInWhileItIsDown) {
  Start();
  const HeaderList headers = {Bearer("prober-token"),
                              {"X-Scope-OrgID", "blue"}};
  EXPECT_THAT(Ask(headers), StartsWith("200 "));
  SetDown(true);
  EXPECT_THAT(Ask({Bearer("grafana-token")}), StartsWith("503 "));
  EXPECT_TRUE(Becomes(headers, "503"));
}

class JwtIdentityTest : public IdentityTest {
 protected:
  JwtIdentityTest() {
    http::ServerOptions options;
    options.name = "issuer";
    auto server = http::Server::Start(
        std::move(options), process_->executor(),
        [this](http::Request) { return Keys(); }, &process_->metrics());
    EXPECT_THAT(server, IsOk());
    issuer_ = *std::move(server);
    auth::JwtIssuerConfig& config = config_.auth.jwt.emplace_back();
    config.issuer = "https://id";
    config.jwks_url =
        absl::StrCat("http://127.0.0.1:", issuer_->port(), "/keys");
    config.allow_loopback_http = true;
    config.audiences = {"insula"};
  }
  ~JwtIdentityTest() override {
    listeners_.reset();
    issuer_.reset();
  }

  asio::awaitable<http::Response> Keys() {
    co_return http::TextResponse(
        200, absl::StrCat("{\"keys\":[", key_.PublicJwk("one"), "]}"));
  }

  std::string Token(const std::string& subject, const std::string& audience,
                    absl::Duration left, const auth::SigningKey& key) const {
    return key.Token(
        auth::JwtAlgorithm::kEs256, R"({"alg":"ES256","kid":"one"})",
        absl::StrCat(
            R"({"iss":"https://id","aud":")", audience, R"(","sub":")", subject,
            "\",\"iat\":", absl::ToUnixSeconds(absl::Now()) - 600,
            ",\"exp\":", absl::ToUnixSeconds(absl::Now() + left), "}"));
  }
  std::string Token() const {
    return Token("ann", "insula", absl::Minutes(5), key_);
  }

  const auth::SigningKey key_ = auth::SigningKey::Ec();
  std::unique_ptr<http::Server> issuer_;
};

TEST_F(JwtIdentityTest, TokensOfAnIssuer) {
  Start();
  const absl::Duration left = absl::Minutes(5);
  EXPECT_EQ(Ask({Bearer(Token())}), "200 binding/subject red");
  EXPECT_THAT(Ask({Bearer(Token("eve", "insula", left, key_))}),
              StartsWith("403 "));
  EXPECT_THAT(Ask({Bearer(Token("ann", "others", left, key_))}),
              StartsWith("401 "));
  EXPECT_THAT(Ask({Bearer(Token("ann", "insula", -left, key_))}),
              StartsWith("401 "));
  EXPECT_THAT(
      Ask({Bearer(Token("ann", "insula", left, auth::SigningKey::Ec()))}),
      StartsWith("401 "));
  EXPECT_THAT(Challenges({Bearer("no.jwt.atall")}), ElementsAre("Bearer"));
}

TEST_F(JwtIdentityTest, NobodyIsLetInWhileKeysCanNotBeHad) {
  issuer_.reset();
  Start();
  EXPECT_THAT(Ask({Bearer(Token())}), StartsWith("503 "));
}

TEST_F(JwtIdentityTest, ARequestHasOneCredential) {
  config_.auth.bearer = true;
  config_.auth.api_key_header = "X-API-Key";
  config_.auth.basic.password_file =
      Write("passwords", absl::StrCat("ann:", kHash, "\n"));
  Start();
  const std::vector<std::pair<std::string, std::string>> credentials = {
      Bearer("static"),
      Bearer(Token()),
      Basic("ann:correct horse"),
      {"X-API-Key", "key"}};
  for (const auto& one : credentials) {
    EXPECT_THAT(Ask({one}), StartsWith("200 "));
    for (const auto& other : credentials) {
      EXPECT_THAT(Ask({one, other}), StartsWith("400 "));
    }
  }
  EXPECT_THAT(Challenges({}),
              ElementsAre("Bearer", "Basic realm=\"insula\", charset=\"UTF-8\"",
                          "ApiKey header=\"X-API-Key\""));
}

TEST_F(IdentityTest, ATrustedHeaderIsOfListedAddresses) {
  config_.auth.trusted_header = "X-Tenant";
  Start();
  EXPECT_EQ(Ask({{"X-Tenant", "red"}}), "200 header/red red");
  EXPECT_THAT(Ask({{"X-Tenant", "green"}}), StartsWith("403 "));
  EXPECT_THAT(Ask({}), StartsWith("401 "));
  for (const HeaderList& headers :
       std::vector<HeaderList>{{{"X-Tenant", "red"}, {"X-Tenant", "blue"}},
                               {{"X-Tenant", "red"}, {"x-tenant", "red"}},
                               {{"X-Tenant", "red,blue"}},
                               {{"X-Tenant", "red|blue"}},
                               {{"X-Tenant", ""}},
                               {{"X_Tenant", "red"}},
                               {{"X-Tenant", "red"}, {"X_Tenant", "blue"}}}) {
    EXPECT_THAT(Ask(headers), StartsWith("400 "));
  }
}

TEST_F(IdentityTest, ATrustedHeaderOfAnybodyElseIsRefused) {
  config_.auth.trusted_header = "X-Tenant";
  config_.auth.trusted_addresses = {"192.0.2.1"};
  Start();
  EXPECT_THAT(Ask({{"X-Tenant", "red"}}), StartsWith("403 "));
  // What the peer says of itself is nobody's address.
  EXPECT_THAT(Ask({{"X-Tenant", "red"}, {"X-Forwarded-For", "192.0.2.1"}}),
              StartsWith("403 "));
}

// A listener that demands client certificates.
class CertificateIdentityTest : public IdentityTest {
 protected:
  CertificateIdentityTest() {
    config_.tls_cert_file = own_->cert_file;
    config_.tls_key_file = own_->key_file;
    config_.tls_client_ca_file = authority_.ca_file();
  }

  void UseCertificate(const std::string& name, const std::string& names,
                      tls::TestAuthority* of = nullptr) {
    certificate_ = (of == nullptr ? &authority_ : of)->Issue(name, names);
    http::ClientTls tls;
    tls.ca_file = authority_.ca_file();
    tls.cert_file = certificate_->cert_file;
    tls.key_file = certificate_->key_file;
    Use(std::move(tls));
  }

  tls::TestAuthority authority_;
  const std::unique_ptr<tls::TestIdentity> own_ =
      authority_.Issue("server", "IP:127.0.0.1");
  std::unique_ptr<tls::TestIdentity> certificate_;
};

TEST_F(CertificateIdentityTest, ClientCertificatesByTheirNames) {
  config_.auth.client_certificate = true;
  Start();
  UseCertificate("reader", "URI:spiffe://a/reader");
  EXPECT_EQ(Ask({}), "200 binding/uri red");
  UseCertificate("other", "URI:spiffe://a/reader/other");
  EXPECT_THAT(Ask({}), StartsWith("403 "));
  // The common name is nobody's.
  UseCertificate("spiffe:a", "");
  EXPECT_THAT(Ask({}), StartsWith("401 "));
  tls::TestAuthority foreign;
  UseCertificate("forged", "URI:spiffe://a/reader", &foreign);
  EXPECT_THAT(Get({}), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(CertificateIdentityTest, ATrustedHeaderIsOfListedCertificates) {
  config_.auth.trusted_header = "X-Tenant";
  config_.auth.trusted_addresses = {};
  config_.auth.trusted_names = {"spiffe://a/proxy"};
  Start();
  UseCertificate("proxy", "URI:spiffe://a/proxy");
  EXPECT_EQ(Ask({{"X-Tenant", "red"}}), "200 header/red red");
  UseCertificate("reader", "URI:spiffe://a/reader");
  EXPECT_THAT(Ask({{"X-Tenant", "red"}}), StartsWith("403 "));
}

TEST_F(CertificateIdentityTest, ABoundHeaderIsNoTenant) {
  config_.auth.trusted_header = "X-Tenant-Namespace";
  config_.auth.trusted_header_bound = true;
  config_.auth.trusted_addresses = {};
  config_.auth.trusted_names = {"spiffe://a/proxy"};
  Start();
  UseCertificate("proxy", "URI:spiffe://a/proxy");
  EXPECT_EQ(Ask({{"X-Tenant-Namespace", "web"}}), "200 binding/namespace red");
  EXPECT_THAT(Ask({{"X-Tenant-Namespace", "red"}}), StartsWith("403 "));
}

}  // namespace
}  // namespace insula::edge
