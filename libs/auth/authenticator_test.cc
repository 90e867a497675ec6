#include "libs/auth/authenticator.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/auth/fake_verifier.h"
#include "libs/auth/methods.h"
#include "libs/metrics/metrics.h"
#include "libs/status/status_matchers.h"
#include "libs/tenancy/fact.h"
#include "libs/time/fake_clock.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::registry::v1;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using enum absl::StatusCode;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

class AuthenticatorTest : public testing::Test {
 protected:
  AuthenticatorTest() {
    Put("meta { kind: KIND_TENANT id: 'red' } tenant {}");
    Put("meta { kind: KIND_TENANT id: 'blue' } tenant {}");
    const std::string red = "tenant_ids: 'red' roles: ROLE_READ ";
    Bind("ann",
         "jwt { issuer: 'https://id' claim: 'sub' value: 'ann' } " + red);
    Bind("user", "basic { user: 'ann' } " + red);
    Bind("kube",
         "kubernetes { user: 'bob' access { verb: 'get' resource: 'pods' } } "
         "every_tenant: true roles: ROLE_READ");
    Bind("uri", "certificate { uri: 'spiffe://a/b' } " + red);
    Bind("namespace",
         "header { header: 'X-Tenant-Namespace' value: 'web' } " + red);
    v1::Object token = Parse(
        "meta { kind: KIND_BINDING id: 'static' } binding { " + red + " }");
    token.mutable_binding()->set_token_sha256(tenancy::Sha256("static"));
    objects_.push_back(token);
    v1::Object key =
        Parse("meta { kind: KIND_BINDING id: 'key' } binding { " + red + " }");
    key.mutable_binding()->set_api_key_sha256(tenancy::Sha256("key"));
    objects_.push_back(key);

    tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
    for (const v1::Object& object : objects_) {
      EXPECT_THAT(builder.Put(object), IsOk());
    }
    snapshot_ = std::move(builder).Build(1, "epoch");
    config_.trusted_addresses = {"127.0.0.1"};
    peer_.address = "127.0.0.1";
  }

  static v1::Object Parse(const std::string& text) {
    v1::Object object;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &object))
        << text;
    return object;
  }
  void Put(const std::string& text) { objects_.push_back(Parse(text)); }
  void Bind(const std::string& id, const std::string& spec) {
    Put(absl::StrCat("meta { kind: KIND_BINDING id: '", id, "' } binding { ",
                     spec, " }"));
  }

  // A listener of JWTs.
  void TakeJwts() {
    config_.jwt.emplace_back();
    methods_.bearer = jwt_;
    jwt_->answers.emplace("good", jwt_->Named("ann"));
  }
  void TakeKubernetes() {
    config_.kubernetes.api_url = "https://k";
    methods_.bearer = kube_;
    methods_.reviewer = reviewer_;
    kube_->answers.emplace("good", kube_->Named("bob"));
  }

  using HeaderList = std::vector<std::pair<std::string, std::string>>;
  http::Request Request(const HeaderList& fields) const {
    http::Request request;
    for (const auto& [name, value] : fields) request.headers.Add(name, value);
    request.peer = peer_;
    request.deadline = kNow + absl::Seconds(9);
    return request;
  }

  absl::StatusOr<Caller> Ask(const HeaderList& fields) {
    const Authenticator authenticator(config_, methods_);
    const http::Request request = Request(fields);
    asio::io_context io;
    auto caller = asio::co_spawn(
        io,
        authenticator.Authenticate(&request, snapshot_, v1::ROLE_READ, kNow),
        asio::use_future);
    io.run();
    return caller.get();
  }
  std::optional<absl::StatusOr<Caller>> TryNow(const HeaderList& fields) {
    return Authenticator(config_, methods_)
        .TryNow(Request(fields), snapshot_, v1::ROLE_READ, kNow);
  }
  // The identity of whoever is let in, or the error.
  std::string Who(const HeaderList& fields) {
    const auto caller = Ask(fields);
    return caller.ok() ? caller->identity : caller.status().ToString();
  }

  static std::pair<std::string, std::string> Bearer(const std::string& token) {
    return {"Authorization", absl::StrCat("Bearer ", token)};
  }

  std::vector<v1::Object> objects_;
  std::shared_ptr<const tenancy::Snapshot> snapshot_;
  http::Peer peer_;
  ListenerAuth config_;
  Methods methods_;
  const std::shared_ptr<FakeVerifier> jwt_ =
      std::make_shared<FakeVerifier>("jwt", "Bearer");
  const std::shared_ptr<FakeVerifier> kube_ =
      std::make_shared<FakeVerifier>("kubernetes", "Bearer");
  const std::shared_ptr<FakeReviewer> reviewer_ =
      std::make_shared<FakeReviewer>();
};

TEST_F(AuthenticatorTest, AskingWaitsForNothingItDoesNotNeed) {
  TakeJwts();
  EXPECT_EQ(Who({Bearer("static")}), "binding/static");
  const auto known = TryNow({Bearer("static")});
  ASSERT_TRUE(known.has_value());
  ASSERT_THAT(*known, IsOk());
  EXPECT_EQ((*known)->identity, "binding/static");
  const auto nobody = TryNow({});
  ASSERT_TRUE(nobody.has_value());
  EXPECT_THAT(*nobody, StatusIs(kUnauthenticated, HasSubstr("no credential")));
  EXPECT_THAT(jwt_->asked, IsEmpty());
}

TEST_F(AuthenticatorTest, AVerifierIsAskedAboutTokensThatNoBindingNames) {
  TakeJwts();
  EXPECT_FALSE(TryNow({Bearer("good")}).has_value());
  EXPECT_EQ(Who({Bearer("good")}), "binding/ann");
  ASSERT_EQ(jwt_->asked.size(), 1u);
  EXPECT_EQ(jwt_->asked[0].scheme, "bearer");
  EXPECT_EQ(jwt_->asked[0].text, "good");
  EXPECT_EQ(jwt_->asked[0].peer_address, "127.0.0.1");
  EXPECT_EQ(jwt_->asked[0].deadline, kNow + absl::Seconds(9));
}

TEST_F(AuthenticatorTest, WhatAVerifierKnowsTakesNoWaiting) {
  TakeJwts();
  const auto ann = TryNow({Bearer("cached-ann")});
  ASSERT_TRUE(ann.has_value());
  ASSERT_THAT(*ann, IsOk());
  EXPECT_EQ((*ann)->identity, "binding/ann");
  // Known, and not bound.
  const auto eve = TryNow({Bearer("cached-eve")});
  ASSERT_TRUE(eve.has_value());
  EXPECT_THAT(*eve, StatusIs(kPermissionDenied, HasSubstr("'eve'")));
}

TEST_F(AuthenticatorTest, ErrorsOfAVerifierAreTheAnswer) {
  TakeJwts();
  EXPECT_THAT(Ask({Bearer("bad")}), StatusIs(kUnauthenticated));
  for (const absl::Status& error :
       {absl::UnavailableError("down"), absl::PermissionDeniedError("no"),
        absl::ResourceExhaustedError("slow down")}) {
    jwt_->answers.insert_or_assign("bad", error);
    const auto caller = Ask({Bearer("bad")});
    EXPECT_EQ(caller.status(), error);
  }
  jwt_->answers.insert_or_assign("bad", jwt_->Named("eve"));
  EXPECT_THAT(Ask({Bearer("bad")}), StatusIs(kPermissionDenied));
}

TEST_F(AuthenticatorTest, ATenantHeaderChoosesAndGrantsNothing) {
  TakeJwts();
  EXPECT_EQ(Who({Bearer("good"), {"X-Scope-OrgID", "red"}}), "binding/ann");
  EXPECT_THAT(Ask({Bearer("good"), {"X-Scope-OrgID", "blue"}}),
              StatusIs(kPermissionDenied));
  EXPECT_THAT(Ask({Bearer("good"), {"X-Scope-OrgID", "red,blue"}}),
              StatusIs(kInvalidArgument));
  EXPECT_THAT(jwt_->asked, testing::SizeIs(2));  // Not about the last.
}

TEST_F(AuthenticatorTest, EachCredentialGoesToItsVerifier) {
  TakeJwts();
  config_.basic.password_file = "passwords";
  config_.keystone.auth_url = "https://k";
  const auto basic = std::make_shared<FakeVerifier>("basic", "Basic");
  basic->answers.emplace("YTpi", basic->Named("ann"));
  methods_.basic = basic;
  const auto token =
      std::make_shared<FakeVerifier>("keystone", "Keystone uri=\"u\"");
  methods_.token = token;
  EXPECT_EQ(Who({{"Authorization", "Basic YTpi"}}), "binding/user");
  EXPECT_THAT(Ask({{"X-Auth-Token", "good"}}), StatusIs(kUnauthenticated));
  EXPECT_THAT(jwt_->asked, IsEmpty());
  EXPECT_THAT(basic->asked, testing::SizeIs(1));
  EXPECT_THAT(token->asked, testing::SizeIs(1));
  EXPECT_THAT(Ask({Bearer("good"), {"X-Auth-Token", "good"}}),
              StatusIs(kInvalidArgument, HasSubstr("2 credentials")));
  EXPECT_THAT(jwt_->asked, IsEmpty());
  EXPECT_THAT(Authenticator(config_, methods_).challenges(),
              ElementsAre("Bearer", "Basic", "Keystone uri=\"u\""));
}

TEST_F(AuthenticatorTest, WithoutItsVerifierACredentialIsRefused) {
  config_.jwt.emplace_back();
  EXPECT_THAT(Ask({Bearer("good")}), StatusIs(kUnavailable));
}

TEST_F(AuthenticatorTest, ApiKeysAndTokensAreNotTheSame) {
  config_.api_key_header = "X-API-Key";
  EXPECT_EQ(Who({{"X-API-Key", "key"}}), "binding/key");
  EXPECT_THAT(Ask({{"X-API-Key", "static"}}),
              StatusIs(kUnauthenticated, HasSubstr("API key is not known")));
  EXPECT_THAT(Ask({Bearer("key")}), StatusIs(kUnauthenticated));
  EXPECT_THAT(Authenticator(config_).challenges(),
              ElementsAre("Bearer", "ApiKey header=\"X-API-Key\""));
}

TEST_F(AuthenticatorTest, ACertificateIsKnownByItsNames) {
  config_.bearer = false;
  config_.client_certificate = true;
  EXPECT_THAT(Ask({}), StatusIs(kUnauthenticated, HasSubstr("certificate")));
  peer_.tls = true;
  peer_.san_uris = {"spiffe://a/b"};
  EXPECT_EQ(Who({}), "binding/uri");
  peer_.san_uris = {"spiffe://a/c"};
  EXPECT_THAT(Ask({}),
              StatusIs(kPermissionDenied, HasSubstr("'spiffe://a/c'")));
  peer_.san_uris = {};
  peer_.san_dns = {"spiffe"};
  EXPECT_THAT(Ask({}), StatusIs(kPermissionDenied, HasSubstr("'spiffe'")));
}

TEST_F(AuthenticatorTest, ABoundHeaderStandsForItsBinding) {
  config_.bearer = false;
  config_.trusted_header = "X-Tenant-Namespace";
  config_.trusted_header_bound = true;
  EXPECT_EQ(Who({{"x-tenant-namespace", "web"}}), "binding/namespace");
  EXPECT_THAT(Ask({{"X-Tenant-Namespace", "red"}}),
              StatusIs(kPermissionDenied, HasSubstr("no binding names")));
  EXPECT_THAT(Ask({{"X-Tenant-Namespace", "web"}, {"X-Scope-OrgID", "blue"}}),
              StatusIs(kPermissionDenied));
  for (const HeaderList& fields : std::vector<HeaderList>{
           {{"X-Tenant-Namespace", "web"}, {"X-Tenant-Namespace", "web"}},
           {{"X-Tenant-Namespace", "web,red"}},
           {{"X-Tenant-Namespace", ""}},
           {{"X_Tenant_Namespace", "web"}}}) {
    EXPECT_THAT(Ask(fields), StatusIs(kInvalidArgument));
  }
  peer_.address = "192.0.2.1";
  EXPECT_THAT(Ask({{"X-Tenant-Namespace", "web"}}),
              StatusIs(kPermissionDenied, HasSubstr("not trusted from")));
  // Unless its certificate says who it is.
  config_.trusted_names = {"spiffe://proxy"};
  peer_.san_uris = {"spiffe://proxy"};
  EXPECT_EQ(Who({{"X-Tenant-Namespace", "web"}}), "binding/namespace");
  peer_.san_uris = {"spiffe://proxy/other"};
  EXPECT_THAT(Ask({{"X-Tenant-Namespace", "web"}}),
              StatusIs(kPermissionDenied));
}

TEST_F(AuthenticatorTest, AReviewMustAllowWhatABindingLeavesToIt) {
  TakeKubernetes();
  EXPECT_EQ(Who({Bearer("good"), {"X-Scope-OrgID", "blue"}}), "binding/kube");
  EXPECT_THAT(reviewer_->asked, ElementsAre("bob get blue"));
  EXPECT_EQ(reviewer_->deadline, kNow + absl::Seconds(9));
  for (const absl::Status& answer :
       {absl::PermissionDeniedError("no"), absl::UnavailableError("down")}) {
    reviewer_->answer = answer;
    const auto caller = Ask({Bearer("good"), {"X-Scope-OrgID", "red"}});
    EXPECT_THAT(caller, StatusIs(answer.code(), std::string(answer.message())));
    EXPECT_EQ(IdentityIn(caller.status()), "binding/kube");
  }
}

TEST_F(AuthenticatorTest, AReviewIsNeverLeftOut) {
  TakeKubernetes();
  // Who it is is known at once; what it may is not.
  EXPECT_FALSE(
      TryNow({Bearer("cached-bob"), {"X-Scope-OrgID", "red"}}).has_value());
  methods_.reviewer = nullptr;
  EXPECT_THAT(Ask({Bearer("good"), {"X-Scope-OrgID", "red"}}),
              StatusIs(kPermissionDenied, HasSubstr("access review")));
  EXPECT_THAT(Ask({Bearer("good")}),
              StatusIs(kInvalidArgument, HasSubstr("several tenants")));
  EXPECT_THAT(reviewer_->asked, IsEmpty());
}

TEST_F(AuthenticatorTest, NobodyIsKnownBeforeTheRegistryIs) {
  TakeJwts();
  snapshot_ = std::make_shared<const tenancy::Snapshot>();
  EXPECT_THAT(Ask({Bearer("good")}), StatusIs(kUnavailable));
  EXPECT_THAT(jwt_->asked, IsEmpty());
}

TEST_F(AuthenticatorTest, MessagesHoldNoCredential) {
  TakeJwts();
  config_.api_key_header = "X-API-Key";
  config_.basic.password_file = "passwords";
  for (const HeaderList& fields :
       std::vector<HeaderList>{{Bearer("canary")},
                               {Bearer("canary"), {"X-API-Key", "canary"}},
                               {{"X-API-Key", "canary"}},
                               {{"X-API-Key", "canary canary"}},
                               {{"Authorization", "Basic canary"}},
                               {{"Authorization", "canary"}},
                               {Bearer("canary"), Bearer("canary")}}) {
    const auto caller = Ask(fields);
    ASSERT_FALSE(caller.ok());
    EXPECT_THAT(std::string(caller.status().message()),
                Not(HasSubstr("canary")));
  }
}

TEST(AuthenticatorChallengeTest, ThereIsAlwaysOne) {
  ListenerAuth header;
  header.bearer = false;
  header.trusted_header = "X-Tenant";
  EXPECT_THAT(Authenticator(header).challenges(), ElementsAre("Bearer"));
  EXPECT_THAT(Authenticator(ListenerAuth()).challenges(),
              ElementsAre("Bearer"));
}

class MakeMethodsTest : public testing::Test {
 protected:
  ~MakeMethodsTest() override { pool_.join(); }

  absl::StatusOr<Methods> Make(const ListenerAuth& config) {
    MethodContext context;
    context.executor = pool_.get_executor();
    context.clock = &clock_;
    context.steady = &clock_;
    context.metrics = &metrics_;
    return MakeMethods(config, context);
  }
  static KeystoneConfig Keystone() {
    KeystoneConfig config;
    config.auth_url = "https://127.0.0.1:1/v3";
    config.user_name = "insula";
    config.password_file = "password";
    return config;
  }

  FakeClock clock_{kNow};
  metrics::Registry metrics_;
  asio::thread_pool pool_{1};
};

TEST_F(MakeMethodsTest, NoneIsMadeThatIsNotAskedFor) {
  const auto methods = Make(ListenerAuth());
  ASSERT_THAT(methods, IsOk());
  EXPECT_EQ(methods->bearer, nullptr);
  EXPECT_EQ(methods->basic, nullptr);
  EXPECT_EQ(methods->token, nullptr);
  EXPECT_EQ(methods->reviewer, nullptr);
}

TEST_F(MakeMethodsTest, KeystoneTakesBearerTokensUnlessAnotherDoes) {
  ListenerAuth config;
  config.keystone = Keystone();
  const auto alone = Make(config);
  ASSERT_THAT(alone, IsOk());
  EXPECT_NE(alone->token, nullptr);
  EXPECT_EQ(alone->bearer, alone->token);
  EXPECT_THAT(Authenticator(config, *alone).challenges(),
              ElementsAre("Bearer", "Keystone uri=\"https://127.0.0.1:1/v3\""));

  config.kubernetes.api_url = "https://127.0.0.1:1";
  config.kubernetes.token_file = "token";
  const auto both = Make(config);
  ASSERT_THAT(both, IsOk());
  EXPECT_NE(both->bearer, both->token);
  EXPECT_NE(both->reviewer, nullptr);
}

TEST_F(MakeMethodsTest, AnErrorNamesTheKey) {
  ListenerAuth config;
  config.basic.password_file = "/nonexistent/passwords";
  EXPECT_THAT(
      std::string(Make(config).status().message()),
      AllOf(HasSubstr("basic.password_file: "), HasSubstr("/nonexistent")));
}

}  // namespace
}  // namespace insula::auth
