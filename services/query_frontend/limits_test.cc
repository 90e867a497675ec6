// What a tenant may cost, and what it is told that asks for more.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <string>
#include <utility>

#include "services/query_frontend/api_fixture.h"

namespace insula::query_frontend {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kQuery[] = "/api/v1/query?query=up";
constexpr char kHour[] =
    "/api/v1/query_range?query=up&start=3600&end=7200&step=36";

class LimitsTest : public ApiTest {
 protected:
  LimitsTest() { store_.SetAnswer(200, kVector); }

  // Of red, from now on.
  void SetLimits(const std::string& text) {
    tenancy::SnapshotBuilder builder(*snapshot_);
    Put(&builder, v1::KIND_LIMITS, "of-red", [&](v1::Object* object) {
      ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
          text, object->mutable_limits()));
    });
    Put(&builder, v1::KIND_TENANT, "red", [](v1::Object* object) {
      object->mutable_tenant()->set_upstream_id("shared");
      object->mutable_tenant()->set_limits_id("of-red");
      (*object->mutable_tenant()->mutable_enforced_labels())["namespace"] =
          "red";
    });
    snapshot_ = std::move(builder).Build(++revision_, "e");
  }

  void ExpectRefused(const http::Response& response,
                     absl::string_view message) {
    EXPECT_EQ(response.status, 422) << response.body;
    EXPECT_THAT(response.body, HasSubstr(std::string(message)));
    EXPECT_THAT(response.body, HasSubstr("insula: tenant red: "));
    EXPECT_EQ(response.headers.Count("Retry-After"), 0);
  }

  int64_t revision_ = 7;
};

// Requests whose answers the store keeps back until it is told.
class HangingStoreTest : public LimitsTest {
 protected:
  HangingStoreTest() {
    store_.SetAnswer([this](http::Request) { return Hang(); });
  }
  ~HangingStoreTest() override {
    released_ = true;
    for (auto& request : requests_) request->response.wait();
  }

  struct OnItsWay {
    explicit OnItsWay(const asio::any_io_executor& executor)
        : strand(asio::make_strand(executor)) {}
    std::shared_future<http::Response> response;
    asio::strand<asio::any_io_executor> strand;
    asio::cancellation_signal cancel;
  };

  OnItsWay* Begin(absl::string_view target,
                  absl::string_view token = "token-red") {
    requests_.push_back(std::make_unique<OnItsWay>(pool_.get_executor()));
    OnItsWay* const request = requests_.back().get();
    request->response =
        asio::co_spawn(request->strand,
                       handler_.Handle(Request("GET", target, token), &auth_),
                       asio::bind_cancellation_slot(request->cancel.slot(),
                                                    asio::use_future))
            .share();
    return request;
  }
  static void Leave(OnItsWay* request) {
    asio::post(request->strand, [request] {
      request->cancel.emit(asio::cancellation_type::terminal);
    });
  }
  void WaitForAsked(size_t count) const {
    WaitFor([&] { return store_.asked().size() >= count; });
  }
  double Waiting() {
    return registry_
        .AddGauge("insula_fair_queue_waiting",
                  "Requests that wait for a place.", {{"queue", "queries"}})
        .Value();
  }

  std::atomic<bool> released_{false};
  std::atomic<int> abandoned_{0};

 private:
  asio::awaitable<http::Response> Hang() {
    // Wherever the request is when its client leaves, it ends there.
    struct Leave {
      ~Leave() {
        if (!answered) ++count;
      }
      std::atomic<int>& count;
      bool answered = false;
    };
    Leave leave{abandoned_};
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (!released_) {
      timer.expires_after(std::chrono::milliseconds(2));
      co_await timer.async_wait(asio::use_awaitable);
    }
    leave.answered = true;
    http::Response response;
    response.headers.Set("Content-Type", "application/json");
    response.body = kVector;
    co_return response;
  }

  std::vector<std::unique_ptr<OnItsWay>> requests_;
};

TEST_F(HangingStoreTest, QueriesBeyondThoseThatMayRunWaitAndThenAreRefused) {
  SetLimits("max_concurrent_queries: 1 max_queued_queries: 1");
  OnItsWay* const first = Begin(kQuery);
  WaitForAsked(1);
  OnItsWay* const second = Begin(kQuery);
  WaitFor([&] { return Waiting() == 1; });

  const http::Response third = Get(kQuery);
  EXPECT_EQ(third.status, 429) << third.body;
  EXPECT_EQ(third.headers.Get("Retry-After"), "1");
  EXPECT_THAT(third.body,
              HasSubstr("insula: tenant red: 1 requests of the tenant wait "
                        "already (max_queued_queries), beside 1 that may run "
                        "(max_concurrent_queries)"));
  EXPECT_EQ(metrics_.refused_queue.Value(), 1);
  EXPECT_THAT(store_.asked(), SizeIs(1));

  // Another tenant, and what is no query, does not wait behind them.
  Begin(kQuery, "token-blue");
  Begin("/api/v1/labels");
  WaitForAsked(3);

  released_ = true;
  EXPECT_EQ(first->response.get().status, 200);
  EXPECT_EQ(second->response.get().status, 200);
}

TEST_F(HangingStoreTest, AClientThatLeavesGivesItsPlaceToTheNext) {
  SetLimits("max_concurrent_queries: 1");
  OnItsWay* const runs = Begin("/api/v1/query?query=first");
  WaitForAsked(1);
  OnItsWay* const waits = Begin("/api/v1/query?query=second");
  WaitFor([&] { return Waiting() == 1; });
  Begin("/api/v1/query?query=third");
  WaitFor([&] { return Waiting() == 2; });

  Leave(waits);
  WaitFor([&] { return Waiting() == 1; });
  EXPECT_EQ(abandoned_, 0);
  Leave(runs);
  WaitFor([&] { return abandoned_ == 1; });
  WaitForAsked(2);
  EXPECT_THAT(store_.asked()[1].body, HasSubstr("third"));
}

TEST_F(LimitsTest, WhoWaitsForTooLongIsToldWhichLimitsHold) {
  QueueConfig config;
  config.max_concurrent = 1;
  config.max_wait = absl::Milliseconds(20);
  Admission admission(config, &registry_, &metrics_);
  const auto enter = [&](std::string tenant) {
    return asio::co_spawn(asio::make_strand(pool_),
                          admission.Enter(Endpoint::kQuery, tenant, tenant, {},
                                          1, absl::InfiniteFuture()),
                          asio::use_future)
        .get();
  };
  const absl::StatusOr<Admission::Place> first = enter("red");
  ASSERT_TRUE(first.ok());
  const absl::Status second = enter("blue").status();
  EXPECT_TRUE(absl::IsUnavailable(second)) << second;
  EXPECT_THAT(std::string(second.message()),
              testing::AllOf(HasSubstr("insula: tenant blue: no place for it"),
                             HasSubstr("1 of all (queue.max_concurrent)")));
  EXPECT_FALSE(RetryAfterOf(second).has_value());
}

TEST_F(HangingStoreTest, TheTimeoutOfATenantBoundsAnAnswer) {
  SetLimits("query_timeout { nanos: 50000000 }");
  const http::Response response = Get(kQuery);
  EXPECT_EQ(response.status, 504) << response.body;
  EXPECT_THAT(response.body, HasSubstr("did not answer in time"));
}

TEST_F(LimitsTest, RatesAreThoseOfThePredecessorWhereTheyAreSetSo) {
  v1::Limits limits;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"(query_rates { tenant { per_second: 5 burst: 3 }
                       url { per_second: 3 burst: 2 }
                       address { per_second: 10 burst: 5 } }
         api_rates { tenant { per_second: 5 burst: 5 }
                     address { per_second: 10 burst: 10 } })",
      &limits));
  for (const auto& [set, route] :
       {std::pair(limits.query_rates(), fair_queue::RouteClass::kQuery),
        std::pair(limits.api_rates(), fair_queue::RouteClass::kApi)}) {
    const fair_queue::RateZones ours = ZonesOf(set);
    const fair_queue::RateZones theirs = fair_queue::PredecessorZones(route);
    EXPECT_EQ(ours.tenant.per_second, theirs.tenant.per_second);
    EXPECT_EQ(ours.tenant.burst, theirs.tenant.burst);
    EXPECT_EQ(ours.uri.per_second, theirs.uri.per_second);
    EXPECT_EQ(ours.uri.burst, theirs.uri.burst);
    EXPECT_EQ(ours.address.per_second, theirs.address.per_second);
    EXPECT_EQ(ours.address.burst, theirs.address.burst);
    EXPECT_EQ(ours.retry_after, theirs.retry_after);
  }
}

TEST_F(LimitsTest, WhoAsksTooOftenIsToldToWait) {
  // So slow that none comes back within the test.
  SetLimits("query_rates { tenant { per_second: 0.0001 burst: 3 } }");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Get(kQuery).status, 200);
  const http::Response refused = Get(kQuery);
  EXPECT_EQ(refused.status, 429);
  // Longer than the 30 s that callers are told at least.
  int64_t wait = 0;
  ASSERT_TRUE(absl::SimpleAtoi(*refused.headers.Get("Retry-After"), &wait));
  EXPECT_GT(wait, 30);
  EXPECT_THAT(refused.body,
              HasSubstr("insula: tenant red asks more often than the limit "
                        "query_rates.tenant allows"));
  EXPECT_THAT(store_.asked(), SizeIs(4));
  EXPECT_EQ(metrics_.refused_rate.Value(), 1);
  // Neither other requests nor other tenants count.
  store_.SetAnswer(200, R"({"status":"success","data":[]})");
  EXPECT_EQ(Get("/api/v1/labels").status, 200);
  store_.SetAnswer(200, kVector);
  EXPECT_EQ(Get(kQuery, "token-blue").status, 200);

  SetLimits("query_rates { url { per_second: 1000000 } }");
  EXPECT_EQ(Get(kQuery).status, 200);
}

TEST_F(LimitsTest, OneUrlAndOneAddressHaveRatesOfTheirOwn) {
  SetLimits(
      "query_rates { url { per_second: 0.0001 } } "
      "api_rates { address { per_second: 0.05 } "
      "            retry_after { seconds: 45 } }");
  EXPECT_EQ(Get(kQuery).status, 200);
  EXPECT_EQ(Get(kQuery).status, 429);
  EXPECT_EQ(Get("/api/v1/query?query=down").status, 200);

  store_.SetAnswer(200, R"({"status":"success","data":[]})");
  EXPECT_EQ(Get("/api/v1/labels").status, 200);
  const http::Response last = Get("/api/v1/labels");
  EXPECT_EQ(last.headers.Get("Retry-After"), "45");
  EXPECT_THAT(last.body, HasSubstr("api_rates.address"));
  http::Request elsewhere = Request("GET", "/api/v1/labels", "token-red");
  elsewhere.peer.address = "127.0.0.2";
  EXPECT_EQ(Send(std::move(elsewhere)).status, 200);
}

TEST_F(LimitsTest, StepsAndSelectorsAreBounded) {
  store_.SetAnswer(
      200,
      R"({"status":"success","data":{"resultType":"matrix","result":[]}})");
  SetLimits("max_query_steps: 101");
  EXPECT_EQ(Get(kHour).status, 200);
  SetLimits("max_query_steps: 100");
  ExpectRefused(Get(kHour), "101 steps, the limit max_query_steps is 100");
  store_.SetAnswer(200, kVector);
  SetLimits("max_query_selectors: 2");
  EXPECT_EQ(Get("/api/v1/query?query=a%2Bb").status, 200);
  ExpectRefused(Get("/api/v1/query?query=a%2Bb%2Bc"),
                "3 selectors, the limit max_query_selectors is 2");
  ExpectRefused(Get("/api/v1/query_exemplars?query=a%2Bb%2Bc"),
                "3 selectors, the limit max_query_selectors is 2");
  ExpectRefused(Get("/api/v1/series?match[]=a&match[]=b&match[]=c"),
                "3 match[], the limit max_query_selectors is 2");
  EXPECT_EQ(metrics_.refused_limit.Value(), 4);
}

TEST_F(LimitsTest, TheReachOfAQueryIsBounded) {
  const std::string within =
      R"({"status":"success","data":{"resultType":"matrix","result":[]}})";
  store_.SetAnswer(200, within);
  SetLimits("max_query_range { seconds: 3600 }");
  EXPECT_EQ(Get(kHour).status, 200);
  EXPECT_EQ(Get("/api/v1/query?query=rate(up[30m]+offset+30m)").status, 200);
  ExpectRefused(
      Get("/api/v1/query_range?query=rate(up[1m])&start=3600&end=7200&step=36"),
      "reaches over 1h1m of data, the limit max_query_range is 1h; ask for a "
      "shorter time or have Limits.max_query_range raised");
  ExpectRefused(Get("/api/v1/query?query=max_over_time(up[1h:1m]+offset+1s)"),
                "max_query_range");
  store_.SetAnswer(200, R"({"status":"success","data":[]})");
  EXPECT_EQ(Get("/api/v1/labels?start=0&end=3600").status, 200);
  ExpectRefused(Get("/api/v1/labels?start=0&end=3601"), "max_query_range");
  ExpectRefused(Get("/api/v1/label/job/values?end=3601"), "give both");
}

TEST_F(LimitsTest, AnswersAreBounded) {
  const std::string two =
      R"({"status":"success","data":{"resultType":"vector","result":[)"
      R"({"metric":{},"value":[1,"1"]},{"metric":{},"value":[1,"2"]}]}})";
  store_.SetAnswer(200, two);
  constexpr char kSum[] = "/api/v1/query?query=sum(up)";
  SetLimits(
      absl::StrCat("max_response_series: 2 max_response_bytes: ", two.size()));
  EXPECT_EQ(Get(kSum).status, 200);
  SetLimits("max_response_series: 1");
  ExpectRefused(Get(kSum),
                "upstream shared answered with more series than the limit "
                "max_response_series, which is 1");
  SetLimits(absl::StrCat("max_response_bytes: ", two.size() - 1));
  ExpectRefused(Get(kSum), "the limit max_response_bytes, which is");
  EXPECT_EQ(metrics_.upstream_too_large.Value(), 2);

  store_.SetAnswer(200, R"({"status":"success","data":["a","b"]})");
  SetLimits("max_response_series: 1");
  ExpectRefused(Get("/api/v1/label/job/values"), "max_response_series");
  // A scalar is no series.
  store_.SetAnswer(200, R"({"status":"success","data":{"resultType":"scalar",)"
                        R"("result":[1,"2"]}})");
  EXPECT_EQ(Get("/api/v1/query?query=1").status, 200);
}

TEST_F(LimitsTest, OfSeveralTenantsTheNarrowestLimitsHold) {
  tenancy::SnapshotBuilder builder(*snapshot_);
  Put(&builder, v1::KIND_BINDING, "pair", [&](v1::Object* object) {
    v1::Binding* binding = object->mutable_binding();
    binding->set_token_sha256(Sha256("token-pair"));
    binding->add_tenant_ids("red");
    binding->add_tenant_ids("blue");
    binding->add_roles(v1::ROLE_READ);
  });
  snapshot_ = std::move(builder).Build(++revision_, "e");
  SetLimits("max_query_selectors: 1");
  constexpr char kBoth[] =
      "/api/v1/query?namespace=red&namespace=blue&query=sum(a)%2Bsum(b)";
  ExpectRefused(Get(kBoth, "token-pair"), "max_query_selectors");
  SetLimits("");
  EXPECT_EQ(Get(kBoth, "token-pair").status, 200);
}

}  // namespace
}  // namespace insula::query_frontend
