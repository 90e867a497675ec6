#include "libs/backend_pool/discovery.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/kube/fake_api.h"
#include "libs/metrics/metrics.h"
#include "libs/status/status_matchers.h"
#include "libs/sync/mutex.h"

namespace insula::backend_pool {
namespace {

namespace asio = boost::asio;
using ::testing::Eq;
using ::testing::HasSubstr;

http::Url Base(absl::string_view text) {
  return http::Url::Parse(text).value();
}

std::string Texts(const std::vector<http::Url>& urls) {
  return absl::StrJoin(urls, " ", [](std::string* out, const http::Url& url) {
    absl::StrAppend(out, url.ToString());
  });
}

TEST(FileTargetsTest, ReadsWhatPrometheusReads) {
  const http::Url base = Base("http://x/prom");
  EXPECT_THAT(Texts(*ParseFileTargets(
                  R"([{"targets":["a:9090","[::1]:9091"],"labels":{"job":"p"}},
              {"targets":["b"],"labels":{"__scheme__":"https"}}])",
                  base)),
              Eq("http://a:9090/prom http://[::1]:9091/prom https://b/prom"));
  EXPECT_THAT(Texts(*ParseFileTargets("- targets: [a:1, 'b:2']\n", base)),
              Eq("http://a:1/prom http://b:2/prom"));
  EXPECT_THAT(Texts(*ParseFileTargets("[]", base)), Eq(""));
}

TEST(FileTargetsTest, RefusesWhatIsOddWithItsPlace) {
  for (const char* text :
       {"", "{}", "- a", "- targets: a", "- {}", "- targets: [{}]",
        "- targets: ['a:1/x']", "- targets: ['u:p@a:1']", "- targets: ['a:x']",
        "- targets: ['']", "- targets: [a]\n  labels: {__scheme__: ftp}", "[",
        "- targets: ['a?b']"}) {
    EXPECT_THAT(ParseFileTargets(text, Base("http://x/")).status().code(),
                Eq(absl::StatusCode::kInvalidArgument))
        << text;
  }
  EXPECT_THAT(std::string(ParseFileTargets("- targets:\n  - a:1\n  - 'b c'\n",
                                           Base("http://x/"))
                              .status()
                              .message()),
              HasSubstr("line 3: 'b c'"));
}

kube::Object Service(const std::string& name, const std::string& spec) {
  return std::make_shared<const kube::Json>(
      kube::ParseJson(absl::StrCat(R"({"metadata":{"name":")", name,
                                   R"(","namespace":"m"},"spec":)", spec, "}"))
          .value());
}

TEST(ServiceTargetsTest, AreServicesWithThePort) {
  const std::vector<kube::Object> services = {
      Service("one", R"({"ports":[{"name":"web","port":9090}]})"),
      Service(
          "two",
          R"({"ports":[{"name":"grpc","port":1},{"name":"web","port":80}]})"),
      Service("none", R"({"ports":[{"name":"grpc","port":1}]})"),
      Service("odd", R"({"ports":[{"name":"web","port":70000}]})"),
      Service("bare", "{}"),
      Service("Evil/..", R"({"ports":[{"name":"web","port":9090}]})"),
      Service("elsewhere", R"({"type":"ExternalName","externalName":"e.com",)"
                           R"("ports":[{"name":"web","port":9090}]})")};
  EXPECT_THAT(Texts(ServiceTargets(services, {.port = "web"})),
              Eq("http://one.m.svc:9090/ http://two.m.svc/"));
  EXPECT_THAT(Texts(ServiceTargets(
                  services, {.port = "9090", .scheme = "https", .path = "/p"})),
              Eq("https://one.m.svc:9090/p"));
  EXPECT_THAT(Texts(ServiceTargets({services[1]}, {})),
              Eq("http://two.m.svc:1/"));
}

// What was found, one text a time.
class Heard {
 public:
  Found Listener() {
    return [this](const std::vector<http::Url>& urls) {
      sync::MutexLock lock(&mutex_);
      texts_.push_back(Texts(urls));
      changed_.notify_all();
    };
  }
  // Waits until `text` was found last. False after 20 s.
  bool WaitFor(const std::string& text) {
    std::unique_lock<sync::Mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20),
                             [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
                               return !texts_.empty() && texts_.back() == text;
                             });
  }
  size_t count() {
    sync::MutexLock lock(&mutex_);
    return texts_.size();
  }

 private:
  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::string> texts_ ABSL_GUARDED_BY(mutex_);
};

// Looks that a test answers, the last one for ever.
class Script {
 public:
  using Result = absl::StatusOr<std::vector<http::Url>>;
  explicit Script(std::vector<Result> results) : results_(std::move(results)) {}
  PolledDiscovery::Look Look() {
    return [this] { return Next(this); };
  }
  bool WaitForLooks(size_t count) {
    std::unique_lock<sync::Mutex> lock(mutex_);
    return changed_.wait_for(
        lock, std::chrono::seconds(20),
        [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return looks_ >= count; });
  }

 private:
  static asio::awaitable<Result> Next(Script* self) {
    sync::MutexLock lock(&self->mutex_);
    self->changed_.notify_all();
    co_return self
        ->results_[std::min(self->looks_++, self->results_.size() - 1)];
  }
  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  size_t looks_ ABSL_GUARDED_BY(mutex_) = 0;
  const std::vector<Result> results_;
};

class DiscoveryTest : public ::testing::Test {
 protected:
  ~DiscoveryTest() override {
    polled_.reset();
    pool_.join();
  }
  void Poll(PolledDiscovery::Look look) {
    PolledDiscovery::Options options;
    options.pool = "store";
    options.interval = absl::Milliseconds(1);
    polled_ = std::make_unique<PolledDiscovery>(
        options, std::move(look), heard_.Listener(), pool_.get_executor(),
        &metrics_);
  }

  void Play(std::vector<Script::Result> results) {
    script_ = std::make_unique<Script>(std::move(results));
    Poll(script_->Look());
  }

  Heard heard_;
  metrics::Registry metrics_;
  std::unique_ptr<Script> script_;  // Looks may end after the discovery.
  std::unique_ptr<PolledDiscovery> polled_;
  asio::thread_pool pool_{2};
};

TEST_F(DiscoveryTest, TellsWhatHasChangedOnly) {
  const std::vector<http::Url> one = {Base("http://a/")};
  const std::vector<http::Url> two = {Base("http://a/"), Base("http://b/")};
  Play({one, one, one, two});
  EXPECT_TRUE(heard_.WaitFor("http://a/ http://b/"));
  ASSERT_TRUE(script_->WaitForLooks(8));
  EXPECT_THAT(heard_.count(), Eq(2));
}

TEST_F(DiscoveryTest, FailuresAndEmptyLooksLeaveWhatIsKnown) {
  Play({std::vector<http::Url>{Base("http://a/")},
        absl::UnavailableError("away"), std::vector<http::Url>{}});
  ASSERT_TRUE(script_->WaitForLooks(6));
  EXPECT_THAT(heard_.count(), Eq(1));
  EXPECT_THAT(metrics_.Expose(),
              HasSubstr("insula_backend_pool_discovery_failures_total"));
}

TEST_F(DiscoveryTest, ANameIsLookedUp) {
  Poll(LookUpName(Base("http://127.0.0.1:9090/p")));
  EXPECT_TRUE(heard_.WaitFor("http://127.0.0.1:9090/p"));
}

asio::awaitable<absl::Status> RunHere(std::function<absl::Status()> work) {
  co_return work();
}

TEST_F(DiscoveryTest, AFileIsReadAgain) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "/targets.", getpid(), ".json");
  const auto write = [&path](absl::string_view text) {
    std::ofstream(path) << text;
  };
  write(R"([{"targets":["a:1"]}])");
  Poll(LookIntoFile(path, Base("http://x/"), RunHere));
  EXPECT_TRUE(heard_.WaitFor("http://a:1/"));
  write(R"([{"targets":["b:1")");  // Half of it.
  write(R"([{"targets":["b:1","c:1"]}])");
  EXPECT_TRUE(heard_.WaitFor("http://b:1/ http://c:1/"));
  EXPECT_THAT(heard_.count(), Eq(2));
  std::remove(path.c_str());
}

TEST_F(DiscoveryTest, ServicesComeAndGo) {
  const auto item = [](const std::string& name) {
    return absl::StrCat(R"({"kind":"Service","metadata":{"name":")", name,
                        R"(","namespace":"m","uid":"u)", name,
                        R"(","resourceVersion":"1"},)",
                        R"("spec":{"ports":[{"port":9090}]}})");
  };
  auto step = std::make_shared<std::atomic<int>>(0);
  kube::FakeApi api([&](const kube::FakeApi::Request& request) {
    kube::FakeApi::Answer answer;
    if (!absl::StrContains(request.line, "watch=1")) {
      EXPECT_THAT(request.line, HasSubstr("/api/v1/namespaces/m/services?"));
      EXPECT_THAT(request.line, HasSubstr("labelSelector=app%3Dprom"));
      answer.body = absl::StrCat(
          R"({"kind":"ServiceList","metadata":{"resourceVersion":"5"},"items":[)",
          item("one"), ",", item("two"), "]}");
      return answer;
    }
    answer.end = kube::FakeApi::Answer::End::kHold;
    if ((*step)++ == 0) {
      answer.body =
          absl::StrCat(R"({"type":"DELETED","object":)", item("one"), "}\n");
    }
    return answer;
  });
  kube::Cluster cluster;
  cluster.server = api.url();
  kube::Client client(cluster, {}, pool_.get_executor(), &metrics_);
  kube::InformerOptions options;
  options.selection.namespace_name = "m";
  options.selection.label_selector = "app=prom";
  const ServiceDiscovery discovery(options, {}, &client, heard_.Listener(),
                                   pool_.get_executor(), &metrics_);
  EXPECT_TRUE(heard_.WaitFor("http://two.m.svc:9090/"));
  EXPECT_THAT(heard_.count(), Eq(2));
  EXPECT_TRUE(discovery.synced());
}

}  // namespace
}  // namespace insula::backend_pool
