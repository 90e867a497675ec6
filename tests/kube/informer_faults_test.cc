// An informer against a real Kubernetes API server that fails in every way that
// one meets.
#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <csignal>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/http/url.h"
#include "libs/kube/client.h"
#include "libs/kube/informer.h"
#include "libs/metrics/metrics.h"
#include "libs/status/status_matchers.h"
#include "tests/kube/kube_api.h"

namespace insula::kube {
namespace {

namespace asio = boost::asio;
using e2e::KubeApi;
using e2e::Proxy;
using e2e::WaitUntil;
using testing::HasSubstr;

constexpr char kCrds[] =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
constexpr char kCrd[] = R"({
  "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
  "metadata": {"name": "things.test.example"},
  "spec": {"group": "test.example", "scope": "Namespaced",
    "names": {"kind": "Thing", "plural": "things"},
    "versions": [{"name": "v1", "served": true, "storage": true,
      "subresources": {"status": {}},
      "schema": {"openAPIV3Schema": {"type": "object",
        "x-kubernetes-preserve-unknown-fields": true}}}]}})";
constexpr char kThings[] = "/apis/test.example/v1/namespaces/x/things";
// A stalled connection is found in so long, and then some work is to be done.
constexpr absl::Duration kLongestStall = absl::Seconds(30);
constexpr absl::Duration kSlack = absl::Seconds(30);

class InformerFaultsTest : public testing::Test {
 protected:
  ~InformerFaultsTest() override {
    informer_.reset();
    client_.reset();
    pool_.join();
  }

  void Serve(std::vector<std::string> flags = {}, std::string tokens = "",
             std::string token = "") {
    api_ = std::make_unique<KubeApi>(std::move(flags), tokens);
    proxy_ = std::make_unique<Proxy>(api_->port());
    admin_token_ = tokens.empty() ? "" : e2e::kAdminToken;
    token_ = std::move(token);
    MakeKind();
  }

  void MakeKind() {
    ASSERT_TRUE(WaitUntil([this] { return Send("POST", kCrds, kCrd) == 201; }));
    ASSERT_TRUE(WaitUntil([this] { return Send("GET", kThings) == 200; }));
  }

  void Follow(InformerOptions options = InformerOptions()) {
    Cluster cluster;
    cluster.server =
        http::Url::Parse(absl::StrCat("https://127.0.0.1:", proxy_->port()))
            .value();
    cluster.tls.ca_file = api_->ca_file();
    cluster.token = token_;
    client_ = std::make_unique<Client>(cluster, ClientOptions(),
                                       pool_.get_executor(), &metrics_);
    options.selection.resource = {"test.example", "v1", "things"};
    informer_ = std::make_unique<Informer>(
        options, client_.get(), [](const std::vector<Change>&) {},
        pool_.get_executor(), &metrics_);
  }

  int Send(absl::string_view method, absl::string_view path,
           absl::string_view body = "") {
    return api_->Send(method, path, body, admin_token_).status;
  }

  void Put(const std::string& name) {
    ASSERT_EQ(Send("POST", kThings,
                   absl::StrCat(R"({"apiVersion": "test.example/v1",
                                    "kind": "Thing", "metadata": {"name": ")",
                                name, R"("}, "spec": {"n": 1}})")),
              201)
        << name;
  }
  void Delete(const std::string& name) {
    ASSERT_EQ(Send("DELETE", absl::StrCat(kThings, "/", name)), 200) << name;
  }

  std::set<std::string> Names() {
    std::set<std::string> names;
    for (const Object& object : informer_->All()) {
      names.insert(StringAt(*object, {"metadata", "name"}));
    }
    return names;
  }
  // Whether the copy becomes that.
  bool Becomes(const std::set<std::string>& names,
               absl::Duration timeout = absl::Minutes(1)) {
    if (WaitUntil([&] { return informer_->synced() && Names() == names; },
                  timeout)) {
      return true;
    }
    ADD_FAILURE() << testing::PrintToString(Names()) << " "
                  << informer_->status();
    return false;
  }

  double Watches(const std::string& result) {
    return metrics_
        .AddCounter("insula_kube_informer_watches_total",
                    "Watches, by how they ended.",
                    {{"resource", "things.test.example"},
                     {"namespace", ""},
                     {"result", result}})
        .Value();
  }

  template <typename T>
  T Await(asio::awaitable<T> work) {
    return asio::co_spawn(asio::make_strand(pool_), std::move(work),
                          asio::use_future)
        .get();
  }

  metrics::Registry metrics_;
  asio::thread_pool pool_{2};
  std::unique_ptr<KubeApi> api_;
  std::unique_ptr<Proxy> proxy_;
  std::string token_;
  std::string admin_token_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Informer> informer_;
};

TEST_F(InformerFaultsTest, FollowsObjectsAndSaysWhatBecameOfThem) {
  Serve();
  Put("a");
  InformerOptions options;
  options.page_size = 1;
  Follow(options);
  ASSERT_TRUE(Becomes({"a"}));
  Put("b");
  ASSERT_TRUE(Becomes({"a", "b"}));
  const Object first = informer_->Find("x/a");
  ASSERT_NE(first, nullptr);

  Json status = Json::object();
  status["ready"] = true;
  const Resource things = {"test.example", "v1", "things"};
  const auto apply = [&] {
    return Await(client_->ApplyStatus(things, *first, status, "us",
                                      absl::Now() + absl::Seconds(20)))
        .status();
  };
  ASSERT_THAT(apply(), IsOk());
  ASSERT_TRUE(WaitUntil([&] {
    return At(*informer_->Find("x/a"), {"status", "ready"}) == Json(true);
  }));
  // What is said of one object is not said of another that has its name, nor of
  // what it has become.
  EXPECT_THAT(apply(), StatusIs(absl::StatusCode::kAborted));
  Delete("a");
  EXPECT_THAT(apply(), StatusIs(absl::StatusCode::kNotFound));
  Put("a");
  EXPECT_THAT(apply(), StatusIs(absl::StatusCode::kAborted));
}

TEST_F(InformerFaultsTest, ListsAgainWhenItWasAwayForTooLong) {
  Serve({"--watch-cache=false"});
  Put("gone");
  Put("stays");
  Follow();
  ASSERT_TRUE(Becomes({"gone", "stays"}));
  proxy_->Cut();
  Delete("gone");
  Put("new");
  Put("newer");
  api_->Compact();
  proxy_->Resume();
  EXPECT_TRUE(Becomes({"stays", "new", "newer"}));
  EXPECT_EQ(Watches("expired"), 1);
}

TEST_F(InformerFaultsTest, HearsThatTheNextPageHasExpired) {
  Serve({"--watch-cache=false"});
  Put("a");
  Put("b");
  Follow();
  Selection selection;
  selection.resource = {"test.example", "v1", "things"};
  const auto list = [&](const std::string& next) {
    return Await(
        client_->List(selection, 1, next, absl::Now() + absl::Seconds(20)));
  };
  const auto page = list("");
  ASSERT_THAT(page, IsOk());
  ASSERT_NE(page->continue_token, "");
  EXPECT_THAT(list(page->continue_token), IsOk());
  Put("c");
  Put("d");
  api_->Compact();
  EXPECT_THAT(
      list(page->continue_token),
      StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("410 Expired")));
}

TEST_F(InformerFaultsTest, SurvivesAKilledServer) {
  Serve();
  Put("a");
  Follow();
  ASSERT_TRUE(Becomes({"a"}));
  for (int round = 0; round < 3; ++round) {
    api_->Kill();
    EXPECT_EQ(Names().size(), 1u + round);
    api_->Start();
    ASSERT_TRUE(WaitUntil([this] { return Send("GET", kThings) == 200; }));
    Put(absl::StrCat("round-", round));
    ASSERT_TRUE(WaitUntil([&] { return Names().size() == 2u + round; },
                          absl::Minutes(1)))
        << informer_->status();
  }
}

TEST_F(InformerFaultsTest, FindsAStalledConnection) {
  Serve();
  Put("a");
  Follow();
  ASSERT_TRUE(Becomes({"a"}));
  Put("b");  // The watch is there.
  ASSERT_TRUE(Becomes({"a", "b"}));
  proxy_->Stall();
  const absl::Time stalled = absl::Now();
  Put("c");
  EXPECT_TRUE(Becomes({"a", "b", "c"}, kLongestStall + kSlack));
  EXPECT_LE(absl::Now() - stalled, kLongestStall + kSlack);
  EXPECT_EQ(Watches("stalled"), 1);
}

TEST_F(InformerFaultsTest, FindsAFrozenServer) {
  Serve();
  Put("a");
  Follow();
  ASSERT_TRUE(Becomes({"a"}));
  api_->Signal(SIGSTOP);
  EXPECT_TRUE(WaitUntil([this] { return !informer_->status().ok(); },
                        kLongestStall + kSlack));
  EXPECT_EQ(Names(), std::set<std::string>({"a"}));
  api_->Signal(SIGCONT);
  Put("b");
  EXPECT_TRUE(Becomes({"a", "b"}, absl::Minutes(1)));
}

TEST_F(InformerFaultsTest, OutlivesItsKind) {
  Serve();
  Put("a");
  InformerOptions options;
  options.watch_duration = absl::Seconds(2);
  Follow(options);
  ASSERT_TRUE(Becomes({"a"}));
  ASSERT_EQ(Send("DELETE", absl::StrCat(kCrds, "/things.test.example")), 200);
  // Its objects are deleted with it.
  ASSERT_TRUE(Becomes({}));
  ASSERT_TRUE(
      WaitUntil([this] { return absl::IsNotFound(informer_->status()); },
                absl::Minutes(1)))
      << informer_->status();
  MakeKind();
  Put("b");
  EXPECT_TRUE(Becomes({"b"}, absl::Minutes(1)));
}

TEST_F(InformerFaultsTest, KeepsItsCopyWhenAccessIsWithdrawn) {
  Serve({"--authz", "rbac"}, e2e::kRbacTokens, e2e::kRedToken);
  e2e::RightsOfRed rights(api_.get(), R"({"apiGroups": ["test.example"],
      "resources": ["things"], "verbs": ["list", "watch"]})");
  Put("a");
  Put("b");
  InformerOptions options;
  options.watch_duration = absl::Seconds(2);
  Follow(options);
  ASSERT_TRUE(Becomes({"a", "b"}));

  rights.Withdraw();
  ASSERT_TRUE(WaitUntil(
      [this] { return absl::IsPermissionDenied(informer_->status()); },
      absl::Minutes(1)))
      << informer_->status();
  Delete("a");
  // It has tried to list, too.
  const metrics::Counter& failed_lists =
      metrics_.AddCounter("insula_kube_informer_lists_total",
                          "Lists of all objects, by how they ended.",
                          {{"resource", "things.test.example"},
                           {"namespace", ""},
                           {"result", "error"}});
  ASSERT_TRUE(
      WaitUntil([&] { return failed_lists.Value() >= 1; }, absl::Minutes(1)));
  EXPECT_EQ(Names(), std::set<std::string>({"a", "b"}));
  rights.Give();
  EXPECT_TRUE(Becomes({"b"}, absl::Minutes(1)));
}

}  // namespace
}  // namespace insula::kube
