#include "tools/loadgen/run.h"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/http/server.h"
#include "libs/metrics/metrics.h"
#include "libs/remote_write/block.h"
#include "libs/sync/mutex.h"
#include "libs/tls/test_authority.h"
#include "prometheus/remote.pb.h"

namespace insula::loadgen {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::Pair;
using testing::SizeIs;
using testing::UnorderedElementsAre;

// A store that keeps what it is sent and answers as it is told.
class Store {
 public:
  using Answer = std::function<http::Response(const http::Request&)>;

  explicit Store(Answer answer, const tls::TestIdentity* identity = nullptr)
      : answer_(std::move(answer)) {
    http::ServerOptions options;
    options.name = "store";
    if (identity != nullptr) {
      options.tls.emplace().cert_file = identity->cert_file;
      options.tls->key_file = identity->key_file;
    }
    auto server = http::Server::Start(
        options, pool_.get_executor(),
        [this](http::Request request) { return Handle(std::move(request)); },
        &metrics_);
    if (!server.ok()) {
      ADD_FAILURE() << server.status();
      return;
    }
    server_ = *std::move(server);
  }
  ~Store() { server_.reset(); }

  std::string Url(const std::string& scheme = "http") const {
    return absl::StrCat(scheme, "://127.0.0.1:", server_->port(), "/write");
  }

  std::vector<http::Headers> headers() {
    const sync::MutexLock lock(&mutex_);
    return headers_;
  }
  // Uncompressed.
  std::vector<std::string> messages() {
    const sync::MutexLock lock(&mutex_);
    return messages_;
  }

 private:
  boost::asio::awaitable<http::Response> Handle(http::Request request) {
    remote_write::Arena arena;
    const auto message =
        remote_write::Decompress(request.body.view(), 64 << 20, &arena);
    {
      const sync::MutexLock lock(&mutex_);
      headers_.push_back(request.headers);
      messages_.emplace_back(message.value_or("not snappy"));
    }
    co_return answer_(request);
  }

  const Answer answer_;
  sync::Mutex mutex_;
  std::vector<http::Headers> headers_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> messages_ ABSL_GUARDED_BY(mutex_);
  metrics::Registry metrics_;
  boost::asio::thread_pool pool_{2};
  std::unique_ptr<http::Server> server_;
};

http::Response NoContent(const http::Request& /*request*/) {
  http::Response response;
  response.status = 204;
  return response;
}

// Two passes of 6 requests of 40 series of 2 tenants.
Options Small(const std::string& url) {
  Options options;
  options.url = http::Url::Parse(url).value();
  options.load.tenants = 2;
  options.load.series = 40;
  options.load.requests = 6;
  options.connections = 3;
  options.passes = 2;
  return options;
}

Report RunAll(const Options& options) {
  const std::atomic<bool> stop = false;
  return SendLoad(options, stop, nullptr);
}

TEST(RunTest, SendsEachRequestOfEachPassOnceAndSeriesInOrder) {
  Store store(NoContent);
  const Report report = RunAll(Small(store.Url()));

  EXPECT_EQ(report.totals.requests, 12);
  EXPECT_EQ(report.totals.failed, 0);
  EXPECT_EQ(report.totals.samples, 12 * 40);
  EXPECT_THAT(report.totals.answers, UnorderedElementsAre(Pair("204", 12)));

  std::map<std::string, std::vector<int64_t>> times_of_series;
  for (const std::string& message : store.messages()) {
    prometheus::WriteRequest request;
    ASSERT_TRUE(request.ParseFromString(message));
    for (const auto& series : request.timeseries()) {
      std::string key;
      for (const auto& label : series.labels()) {
        absl::StrAppend(&key, label.name(), "=", label.value(), ",");
      }
      times_of_series[key].push_back(series.samples(0).timestamp());
    }
  }
  EXPECT_THAT(times_of_series, SizeIs(6 * 40));
  for (const auto& [series, times] : times_of_series) {
    ASSERT_THAT(times, SizeIs(2)) << series;
    EXPECT_LE(times[0], times[1]) << series;
  }
}

TEST(RunTest, ShowsItsTokenAndTheProtocol) {
  Store store(NoContent);
  Options options = Small(store.Url());
  options.headers.Add("Authorization", "Bearer secret");
  options.passes = 1;
  RunAll(options);

  const std::vector<http::Headers> all = store.headers();
  ASSERT_THAT(all, SizeIs(6));
  EXPECT_EQ(all[0].Get("Authorization"), "Bearer secret");
  EXPECT_EQ(all[0].Get("Content-Type"), "application/x-protobuf");
  EXPECT_EQ(all[0].Get("Content-Encoding"), "snappy");
  EXPECT_EQ(all[0].Get("X-Prometheus-Remote-Write-Version"), "0.1.0");
}

TEST(RunTest, NamesTheTenantOfARequestInItsHeader) {
  Store store(NoContent);
  Options options = Small(store.Url());
  options.tenant_header = "X-Scope-OrgID";
  options.load.one_tenant_a_request = true;
  options.passes = 1;
  RunAll(options);

  std::multiset<std::string> tenants;
  for (const http::Headers& headers : store.headers()) {
    tenants.emplace(headers.Get("X-Scope-OrgID").value_or("none"));
  }
  EXPECT_EQ(tenants.count("team-0"), 3);
  EXPECT_EQ(tenants.count("team-1"), 3);
}

TEST(RunTest, CountsWhatIsRefusedAndGoesOn) {
  int asked = 0;
  Store store([&asked](const http::Request& request) {
    return ++asked == 2 ? http::TextResponse(503, "no room today")
                        : NoContent(request);
  });
  Options options = Small(store.Url());
  options.connections = 1;
  const Report report = RunAll(options);

  EXPECT_EQ(report.totals.requests, 12);
  EXPECT_EQ(report.totals.failed, 1);
  EXPECT_EQ(report.totals.samples, 11 * 40);
  EXPECT_THAT(report.totals.first_failure,
              AllOf(HasSubstr("503"), HasSubstr("no room today")));
}

TEST(RunTest, CountsWhatHasNoAnswer) {
  std::string url;
  {
    const Store gone(NoContent);
    url = gone.Url();
  }
  Options options = Small(url);
  options.passes = 1;
  const Report report = RunAll(options);

  EXPECT_EQ(report.totals.failed, 6);
  EXPECT_THAT(report.totals.answers,
              UnorderedElementsAre(Pair("UNAVAILABLE", 6)));
}

TEST(RunTest, TwoDotZeroIsAcceptedOnlyIfAllIsWritten) {
  const struct {
    const char* written;
    int failed;
  } cases[] = {{"40", 0}, {"39", 6}, {"", 6}};
  for (const auto& answer : cases) {
    Store store([&answer](const http::Request& request) {
      http::Response response = NoContent(request);
      if (*answer.written != '\0') {
        response.headers.Add("X-Prometheus-Remote-Write-Samples-Written",
                             answer.written);
      }
      return response;
    });
    Options options = Small(store.Url());
    options.protocol = Protocol::kV2;
    options.passes = 1;
    const Report report = RunAll(options);

    EXPECT_EQ(report.totals.failed, answer.failed) << answer.written;
    EXPECT_EQ(store.headers()[0].Get("Content-Type"),
              "application/x-protobuf;proto=io.prometheus.write.v2.Request");
  }
}

TEST(RunTest, KeepsToTheRate) {
  Store store(NoContent);
  Options options = Small(store.Url());
  options.rate = 50;
  const Report report = RunAll(options);

  // The last of 12 is due after 220 ms.
  EXPECT_EQ(report.totals.requests, 12);
  EXPECT_GE(report.took, absl::Milliseconds(220));
}

TEST(RunTest, WithARateATimeCountsFromWhenTheRequestWasDue) {
  std::vector<absl::Time> arrived;
  Store store([&arrived](const http::Request& request) {
    arrived.push_back(absl::Now());
    return NoContent(request);
  });
  Options options = Small(store.Url());
  options.connections = 1;
  options.rate = 1e6;
  const Report report = RunAll(options);

  // The last was due before the first arrived.
  ASSERT_THAT(arrived, SizeIs(12));
  EXPECT_GE(report.totals.latencies.max(), arrived.back() - arrived.front());
}

TEST(RunTest, EndsAfterItsDuration) {
  Store store(NoContent);
  Options options = Small(store.Url());
  options.passes = 0;
  options.duration = absl::Seconds(1);
  const Report report = RunAll(options);

  EXPECT_GE(report.totals.requests, 1);
  EXPECT_GE(report.took, absl::Seconds(1));
}

TEST(RunTest, EndsWhenItIsToldTo) {
  std::atomic<bool> stop = false;
  Store store([&stop](const http::Request& request) {
    stop = true;
    return NoContent(request);
  });
  Options options = Small(store.Url());
  options.passes = 0;
  const Report report = SendLoad(options, stop, nullptr);

  EXPECT_THAT(report.totals.requests, AllOf(Ge(1), Le(options.connections)));
}

// Ends a run when the first line is written.
class StopAtLine : public std::stringbuf {
 public:
  explicit StopAtLine(std::atomic<bool>* stop) : stop_(stop) {}

 protected:
  int sync() override {
    *stop_ = true;
    return std::stringbuf::sync();
  }

 private:
  std::atomic<bool>* const stop_;
};

TEST(RunTest, TellsItsProgress) {
  Store store(NoContent);
  Options options = Small(store.Url());
  options.passes = 0;
  options.rate = 100;
  std::atomic<bool> stop = false;
  StopAtLine lines(&stop);
  std::ostream progress(&lines);
  SendLoad(options, stop, &progress);

  EXPECT_THAT(lines.str(),
              AllOf(HasSubstr("requests/s"), HasSubstr("samples/s"),
                    HasSubstr("0 errors"), HasSubstr("p99")));
}

TEST(RunTest, TrustsTheCaThatItIsGiven) {
  tls::TestAuthority authority;
  const auto identity = authority.Issue("store", "IP:127.0.0.1");
  Store store(NoContent, identity.get());
  Options options = Small(store.Url("https"));
  options.passes = 1;
  EXPECT_EQ(RunAll(options).totals.failed, 6);

  options.ca_file = authority.ca_file();
  EXPECT_EQ(RunAll(options).totals.failed, 0);
}

}  // namespace
}  // namespace insula::loadgen
