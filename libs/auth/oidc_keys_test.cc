#include "libs/auth/oidc_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/auth/jwt_signer.h"
#include "libs/http/message.h"
#include "libs/http/server.h"
#include "libs/metrics/metrics.h"
#include "libs/status/status_matchers.h"
#include "libs/sync/mutex.h"

namespace insula::auth {
namespace {

using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::NotNull;
using enum absl::StatusCode;
using enum JwtAlgorithm;

class FakeClock final : public Clock {
 public:
  absl::Time Now() const override {
    return absl::UnixEpoch() + absl::Seconds(seconds_.load());
  }
  void Advance(absl::Duration by) { seconds_ += absl::ToInt64Seconds(by); }

 private:
  std::atomic<int64_t> seconds_ = 1'000'000;
};

// An issuer, whose answers a test sets.
class OidcKeysTest : public testing::Test {
 protected:
  void SetUp() override {
    http::ServerOptions options;
    options.name = "issuer";
    auto server = http::Server::Start(
        std::move(options), pool_.get_executor(),
        [this](http::Request request) {
          return Answer(std::string(request.target));
        },
        &metrics_);
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    issuer_ = absl::StrCat("http://127.0.0.1:", server_->port(), "/realm");
    Discovery(absl::StrCat(R"({"issuer":")", issuer_, R"(","jwks_uri":")",
                           issuer_, R"(/keys","x":[1]})"));
    Keys({ec_.PublicJwk("one")});
  }
  ~OidcKeysTest() override {
    keys_.reset();
    server_.reset();
  }

  boost::asio::awaitable<http::Response> Answer(std::string target) {
    const sync::MutexLock lock(&mutex_);
    if (target == "/realm/.well-known/openid-configuration") {
      co_return discovery_;
    }
    if (target == "/realm/keys") {
      ++fetches_;
      co_return key_set_;
    }
    co_return http::TextResponse(404, "");
  }

  void Discovery(std::string body) {
    const sync::MutexLock lock(&mutex_);
    discovery_ = http::TextResponse(200, body);
  }
  void KeysAnswer(http::Response response) {
    const sync::MutexLock lock(&mutex_);
    key_set_ = std::move(response);
  }
  void Keys(const std::vector<std::string>& keys) {
    std::string body = R"({"keys":[)";
    for (const std::string& key : keys) {
      absl::StrAppend(&body, body.back() == '[' ? "" : ",", key);
    }
    KeysAnswer(http::TextResponse(200, absl::StrCat(body, "]}")));
  }
  int fetches() {
    const sync::MutexLock lock(&mutex_);
    return fetches_;
  }

  OidcKeysOptions Options() {
    OidcKeysOptions options;
    options.issuer = issuer_;
    options.allow_loopback_http = true;
    return options;
  }
  void Make(OidcKeysOptions options) {
    ASSERT_THAT(options.Validate(), IsOk());
    keys_ = std::make_unique<OidcKeys>(std::move(options), pool_.get_executor(),
                                       &clock_, &metrics_);
  }
  void Make() { Make(Options()); }

  using Found = absl::StatusOr<std::shared_ptr<const Jwk>>;
  std::future<Found> Ask(const std::string& kid) {
    return boost::asio::co_spawn(boost::asio::make_strand(pool_.get_executor()),
                                 keys_->Find(kid, kEs256),
                                 boost::asio::use_future);
  }
  Found Find(const std::string& kid) { return Ask(kid).get(); }

  const SigningKey ec_ = SigningKey::Ec();
  const SigningKey other_ = SigningKey::Ec();
  FakeClock clock_;
  metrics::Registry metrics_;
  boost::asio::thread_pool pool_{2};
  std::unique_ptr<http::Server> server_;
  std::string issuer_;
  std::unique_ptr<OidcKeys> keys_;

  sync::Mutex mutex_;
  http::Response discovery_;
  http::Response key_set_;
  int fetches_ = 0;
};

TEST_F(OidcKeysTest, FindsKeysByDiscovery) {
  Make();
  const Found found = Find("one");
  ASSERT_THAT(found, IsOk());
  EXPECT_THAT((*found)->key, NotNull());
  EXPECT_THAT(Find("two"), StatusIs(kUnauthenticated, HasSubstr("a key that")));
  EXPECT_THAT(fetches(), Eq(1));
}

TEST_F(OidcKeysTest, FindsANewKeyAsSoonAsItIsUsedButNotMoreOften) {
  Make();
  ASSERT_THAT(Find("one"), IsOk());
  Keys({ec_.PublicJwk("one"), other_.PublicJwk("two")});
  // The last fetch was just now.
  EXPECT_THAT(Find("two"), StatusIs(kUnauthenticated, HasSubstr("key")));
  EXPECT_THAT(fetches(), Eq(1));

  clock_.Advance(absl::Seconds(30));
  EXPECT_THAT(Find("two"), IsOk());
  EXPECT_THAT(fetches(), Eq(2));
}

TEST_F(OidcKeysTest, ManyMadeUpKidsMakeOneFetch) {
  Make();
  ASSERT_THAT(Find("one"), IsOk());
  clock_.Advance(absl::Seconds(30));
  std::vector<std::future<Found>> asked;
  for (int i = 0; i < 100; ++i) asked.push_back(Ask(absl::StrCat("kid-", i)));
  for (auto& one : asked) {
    EXPECT_THAT(one.get(), StatusIs(kUnauthenticated, HasSubstr("key")));
  }
  EXPECT_THAT(fetches(), Eq(2));
}

TEST_F(OidcKeysTest, AKeyThatIsWithdrawnIsForgotten) {
  Make();
  ASSERT_THAT(Find("one"), IsOk());
  Keys({other_.PublicJwk("two")});
  clock_.Advance(absl::Seconds(30));
  ASSERT_THAT(Find("two"), IsOk());
  EXPECT_THAT(Find("one"), StatusIs(kUnauthenticated, HasSubstr("key")));
}

TEST_F(OidcKeysTest, KeepsItsKeysWhileTheIssuerFailsButNotForEver) {
  Make();
  ASSERT_THAT(Find("one"), IsOk());
  KeysAnswer(http::TextResponse(500, "down"));
  clock_.Advance(absl::Hours(24));
  EXPECT_THAT(Find("two"), StatusIs(kUnauthenticated, HasSubstr("key")));
  EXPECT_THAT(fetches(), Eq(2));
  EXPECT_THAT(Find("one"), IsOk());

  clock_.Advance(absl::Hours(1));
  EXPECT_THAT(Find("one"),
              StatusIs(kUnavailable, HasSubstr("/keys answers 500")));
  Keys({ec_.PublicJwk("one")});
  clock_.Advance(absl::Seconds(30));
  EXPECT_THAT(Find("one"), IsOk());
}

TEST_F(OidcKeysTest, IsNotAvailableUntilTheIssuerIs) {
  KeysAnswer(http::TextResponse(503, ""));
  Make();
  EXPECT_THAT(Find("one"),
              StatusIs(kUnavailable, HasSubstr("/keys answers 503")));
  Keys({ec_.PublicJwk("one")});
  clock_.Advance(absl::Seconds(30));
  EXPECT_THAT(Find("one"), IsOk());
}

TEST_F(OidcKeysTest, FetchesAgainByTheClock) {
  OidcKeysOptions options = Options();
  options.refresh_interval = absl::Seconds(1);
  options.retry_interval = absl::Milliseconds(1);
  Make(options);
  ASSERT_THAT(Find("one"), IsOk());
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  clock_.Advance(absl::Seconds(1));
  while (fetches() < 2 && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_THAT(fetches(), Eq(2));
}

TEST_F(OidcKeysTest, FollowsNoRedirect) {
  http::Response redirect = http::TextResponse(302, "");
  redirect.headers.Add("Location", absl::StrCat(issuer_, "/elsewhere"));
  KeysAnswer(redirect);
  Make();
  EXPECT_THAT(Find("one"), StatusIs(kUnavailable, HasSubstr("answers 302")));
}

TEST_F(OidcKeysTest, RefusesADiscoveryDocumentThatLies) {
  const std::string keys = absl::StrCat(R"("jwks_uri":")", issuer_, "/keys\"");
  const std::vector<std::pair<std::string, std::string>> lies = {
      {absl::StrCat(R"({"issuer":"https://other",)", keys, "}"),
       "of another issuer"},
      {absl::StrCat("{", keys, "}"), "of another issuer"},
      {absl::StrCat(R"({"issuer":")", issuer_, "\"}"), "no jwks_uri"},
      {absl::StrCat(R"({"issuer":")", issuer_,
                    R"(","jwks_uri":"http://192.0.2.1/keys"})"),
       "must be an https URL"},
      {absl::StrCat(R"({"issuer":")", issuer_,
                    R"(","jwks_uri":"file:///etc/passwd"})"),
       "can't be had"},
      {"<html>", "its discovery document: not a JSON object"},
  };
  for (const auto& [document, problem] : lies) {
    Discovery(document);
    Make();
    EXPECT_THAT(Find("one"), StatusIs(kUnavailable, HasSubstr(problem)));
  }
  EXPECT_THAT(fetches(), Eq(0));
}

TEST_F(OidcKeysTest, RefusesASetWithoutUsableKeys) {
  Keys({R"({"kty":"oct","k":"AAAA","kid":"one"})"});
  Make();
  EXPECT_THAT(Find("one"),
              StatusIs(kUnavailable, HasSubstr("none of its 1 keys")));
}

TEST_F(OidcKeysTest, MayEndWhileItFetches) {
  for (int i = 0; i < 20; ++i) {
    Make();
    std::future<Found> found = Ask("one");
    keys_.reset();
    found.wait();
  }
}

TEST(OidcKeysOptionsTest, SayWhatIsWrong) {
  OidcKeysOptions options;
  options.issuer = "https://id.example/realm";
  EXPECT_THAT(options.Validate(), IsOk());
  options.jwks_url = "http://id.example/keys";
  EXPECT_THAT(options.Validate(),
              StatusIs(kInvalidArgument, HasSubstr("jwks_url: ")));
  options.jwks_url = "";
  options.issuer = "http://127.0.0.1";
  EXPECT_THAT(options.Validate(),
              StatusIs(kInvalidArgument, HasSubstr("issuer: ")));
  options.allow_loopback_http = true;
  EXPECT_THAT(options.Validate(), IsOk());
  options.issuer = "http://id.example";
  EXPECT_THAT(options.Validate(),
              StatusIs(kInvalidArgument, HasSubstr("issuer: ")));
  options.issuer = "https://id.example?x";
  EXPECT_THAT(options.Validate(),
              StatusIs(kInvalidArgument, HasSubstr("no query")));
}

}  // namespace
}  // namespace insula::auth
