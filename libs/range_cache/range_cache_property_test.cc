// Answers of the cache against those of the store, while samples come late, the
// time goes on, queries overlap, tenants and policies differ, and memory is
// short. The same with something left out of the cache must find a difference.
#include <gmock/gmock.h>

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "libs/metrics/metrics.h"
#include "libs/range_cache/model_store.h"
#include "libs/range_cache/query_traits.h"
#include "libs/range_cache/range_cache.h"
#include "libs/time/fake_clock.h"

namespace insula::range_cache {
namespace {

namespace asio = boost::asio;
using ::testing::Eq;
using ::testing::Gt;
using ::testing::Lt;

constexpr int64_t kMinute = 60'000;
constexpr int64_t kDay = 24 * 60 * kMinute;
constexpr int64_t kWindow = 10 * kMinute;
const absl::Time kStart = absl::FromUnixSeconds(1'760'000'123);

// What the cache is not told.
enum class Fault {
  kNone,
  kNoFreshness,   // That young samples change.
  kNoTraits,      // That of the text.
  kNoPolicy,      // That the policy has changed.
  kNoTenant,      // Who asks.
  kRoundedTimes,  // The times of the user, but those of whole steps.
};

struct Outcome {
  int different = 0;
  std::string example;
  double stored_hits = 0;
  size_t most_bytes = 0;
};

class World {
 public:
  World(Fault fault, RangeCache::Options options, unsigned seed)
      : fault_(fault),
        random_(seed),
        cache_(WithFault(options, fault), {.executor = context_.get_executor(),
                                           .clock = &clock_,
                                           .metrics = &metrics_}) {}

  Outcome Run(int rounds) {
    for (int i = 0; i < 400; ++i) Write(kDay * 3);
    for (int round = 0; round < rounds; ++round) {
      clock_.Advance(absl::Milliseconds(Pick(kMinute / 2)));
      for (int i = 0; i < 5; ++i) Write(kWindow - 1);
      if (Pick(50) == 0) policies_[PickTenant()] = Pick(2);
      const auto together = 1 + Pick(3);
      // Some ask the same at one time.
      Ask ask = Make();
      for (int64_t i = 0; i < together; ++i) {
        if (Pick(2) == 0) ask = Make();
        Start(ask);
      }
      context_.restart();
      context_.run();
      outcome_.most_bytes = std::max(outcome_.most_bytes, cache_.bytes());
    }
    outcome_.stored_hits =
        metrics_
            .AddCounter("insula_range_cache_requests_total",
                        "Range queries, by whether the store was asked.",
                        {{"result", "hit"}})
            .Value();
    return outcome_;
  }

 private:
  // A query as a tenant sends it, and under which policy.
  struct Ask {
    std::string tenant;
    int64_t policy = 0;
    ModelQuery query;
    int64_t start = 0;
    int64_t end = 0;
    int64_t step = 0;
  };

  static RangeCache::Options WithFault(RangeCache::Options options,
                                       Fault fault) {
    options.freshness = absl::Milliseconds(kWindow);
    if (fault == Fault::kNoFreshness) options.freshness = absl::ZeroDuration();
    return options;
  }

  int64_t Pick(int64_t n) {
    return std::uniform_int_distribution<int64_t>(0, n - 1)(random_);
  }
  std::string PickTenant() { return Pick(2) == 0 ? "red" : "blue"; }
  int64_t Now() const { return absl::ToUnixMillis(clock_.Now()); }

  // A sample of the last `age` milliseconds, for what a policy shows.
  void Write(int64_t age) {
    static const char* const kLabels[] = {
        R"({"__name__":"up","job":"a"})", R"({"__name__":"up","job":"b"})",
        R"({"__name__":"up","job":"bb","pod":"1"})",
        R"({"__name__":"up","kob":""})"};
    static const char* const kValues[] = {
        "0", "1", "NaN", "+Inf", "1e-7", R"({"count":"3","sum":"1"})"};
    StoreOf(PickTenant(), Pick(2))
        .Write("up", kLabels[Pick(4)], Now() - Pick(age),
               Pick(3) == 0 ? kValues[Pick(6)] : absl::StrCat(Pick(1'000'000)));
  }

  ModelStore& StoreOf(const std::string& tenant, int64_t policy) {
    return stores_[{tenant, policy}];
  }

  Ask Make() {
    static constexpr int64_t kSteps[] = {15'000, 7'003, kMinute, kDay / 24};
    Ask ask;
    ask.tenant = PickTenant();
    ask.policy = policies_[ask.tenant];
    ask.step = kSteps[Pick(4)];
    const int64_t length = Pick(4) == 0 ? kDay * 2 : Pick(200) * kMinute;
    ask.end = Now() + kMinute - (Pick(3) == 0 ? Pick(kDay) : Pick(kMinute));
    ask.start = ask.end - std::min(length, 1000 * ask.step);
    // Mostly on the one grid that dashboards use.
    if (Pick(4) != 0) ask.start -= ask.start % ask.step;
    switch (Pick(12)) {
      case 0:
        ask.query.at = ModelQuery::At::kEnd;
        break;
      case 1:
        ask.query.at = ModelQuery::At::kStart;
        break;
      case 2:
        ask.query.at = ModelQuery::At::kTime;
        ask.query.time = absl::ToUnixMillis(kStart) + Pick(3) * 10 * kMinute;
        break;
      case 3:
        ask.query.offset = -5 * kMinute;
        break;
      case 4:
        ask.query.offset = 3 * kMinute;
        break;
      default:
        break;
    }
    return ask;
  }

  void Start(const Ask& ask) {
    asio::co_spawn(asio::make_strand(context_), AskCache(this, ask),
                   [](std::exception_ptr failed) {
                     if (failed) std::rethrow_exception(failed);
                   });
  }

  static asio::awaitable<absl::StatusOr<Answer>> AskStore(World* self, Ask ask,
                                                          absl::Time start,
                                                          absl::Time end) {
    // Others have their turn before and after.
    for (int64_t turns = self->Pick(3); turns > 0; --turns) {
      co_await asio::post(self->context_, asio::use_awaitable);
    }
    Answer answer;
    answer.body = self->StoreOf(ask.tenant, ask.policy)
                      .Answer(ask.query, absl::ToUnixMillis(start),
                              absl::ToUnixMillis(end), ask.step);
    co_await asio::post(self->context_, asio::use_awaitable);
    co_return answer;
  }

  static asio::awaitable<void> AskCache(World* self, Ask ask) {
    const auto time = [&](int64_t millis) {
      if (self->fault_ == Fault::kRoundedTimes) millis -= millis % ask.step;
      return absl::FromUnixMillis(millis);
    };
    RangeQuery query;
    query.tenant_uid = self->fault_ == Fault::kNoTenant ? "" : ask.tenant;
    if (self->fault_ != Fault::kNoPolicy) {
      query.policy = absl::StrCat(ask.policy);
    }
    query.text = ask.query.Text();
    query.start = time(ask.start);
    query.end = time(ask.end);
    query.step = absl::Milliseconds(ask.step);
    QueryTraits traits;
    if (self->fault_ != Fault::kNoTraits) traits = *TraitsOf(query.text);
    const RangeCache::Fetch fetch =
        [self, ask](absl::Time start, absl::Time end, absl::Time /*deadline*/) {
          return AskStore(self, ask, start, end);
        };
    const auto answer = co_await self->cache_.Query(
        std::move(query), traits, 1 << 20, fetch, absl::InfiniteFuture());
    const std::string expected =
        self->StoreOf(ask.tenant, ask.policy)
            .Answer(ask.query, ask.start, ask.end, ask.step);
    if (answer.ok() && answer->body == expected) co_return;
    if (self->outcome_.different++ == 0) {
      self->outcome_.example = absl::StrCat(
          ask.query.Text(), " ", ask.start, " ", ask.end, " ", ask.step, "\n",
          answer.ok() ? answer->body : answer.status().ToString(), "\n",
          expected);
    }
  }

  const Fault fault_;
  std::mt19937_64 random_;
  FakeClock clock_{kStart};
  metrics::Registry metrics_;
  asio::io_context context_;
  std::map<std::pair<std::string, int64_t>, ModelStore> stores_;
  std::map<std::string, int64_t> policies_;
  Outcome outcome_;
  RangeCache cache_;
};

TEST(RangeCachePropertyTest, AnswersAreThoseOfTheStore) {
  const Outcome outcome = World(Fault::kNone, {}, 1).Run(1500);
  EXPECT_THAT(outcome.different, Eq(0)) << outcome.example;
  EXPECT_THAT(outcome.stored_hits, Gt(200));
}

TEST(RangeCachePropertyTest, AlsoIfAllKeysCollide) {
  const Outcome outcome = World(Fault::kNone, {.hash_mask = 0}, 2).Run(400);
  EXPECT_THAT(outcome.different, Eq(0)) << outcome.example;
  EXPECT_THAT(outcome.stored_hits, Gt(50));
}

TEST(RangeCachePropertyTest, AlsoIfMemoryIsShortAndLifeToo) {
  const Outcome outcome =
      World(Fault::kNone,
            {.max_bytes = 200'000, .ttl = absl::Minutes(3), .max_parallel = 1},
            3)
          .Run(400);
  EXPECT_THAT(outcome.different, Eq(0)) << outcome.example;
  EXPECT_THAT(outcome.most_bytes, Lt(200'001));
  EXPECT_THAT(outcome.stored_hits, Gt(5));
}

TEST(RangeCachePropertyTest, EachFaultIsFound) {
  for (const Fault fault :
       {Fault::kNoFreshness, Fault::kNoTraits, Fault::kNoPolicy,
        Fault::kNoTenant, Fault::kRoundedTimes}) {
    EXPECT_THAT(World(fault, {}, 4).Run(400).different, Gt(0))
        << static_cast<int>(fault);
  }
}

}  // namespace
}  // namespace insula::range_cache
