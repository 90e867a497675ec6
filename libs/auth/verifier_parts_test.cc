// What all verifiers are made of.
#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/auth/digest.h"
#include "libs/auth/digest_cache.h"
#include "libs/auth/failure_limiter.h"
#include "libs/auth/single_flight.h"
#include "libs/auth/verifier_metrics.h"
#include "libs/metrics/metrics.h"
#include "libs/secret/secret.h"
#include "libs/status/status_matchers.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Ne;
using ::testing::Optional;
using enum absl::StatusCode;

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

std::string Hex(const Digest& digest) {
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(digest.data()), digest.size()));
}

TEST(DigestTest, IsSha256OfTheWhole) {
  EXPECT_THAT(Hex(Sha256Of("abc")),
              Eq("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f200"
                 "15ad"));
  // Tokens that begin alike are different ones.
  const std::string start(4096, 'x');
  EXPECT_THAT(Sha256Of(start + "a"), Ne(Sha256Of(start + "b")));
}

TEST(KeyedDigestTest, PartsHaveTheirLength) {
  const Secret key = RandomKey();
  const auto of = [&key](std::vector<absl::string_view> parts) {
    KeyedDigest digest(key);
    for (const absl::string_view part : parts) digest.Add(part);
    return digest.Finish();
  };
  EXPECT_THAT(of({"ab", "c"}), Ne(of({"a", "bc"})));
  EXPECT_THAT(of({"a", ""}), Ne(of({"a"})));
  EXPECT_THAT(of({"", "a"}), Ne(of({"a", ""})));
  EXPECT_THAT(of({"a", "b"}), Eq(of({"a", "b"})));
}

TEST(KeyedDigestTest, AnotherKeyGivesAnotherDigest) {
  const Secret one = RandomKey();
  const Secret two = RandomKey();
  EXPECT_THAT(KeyedDigest(one).Add("a").Finish(),
              Ne(KeyedDigest(two).Add("a").Finish()));
}

TEST(KeyedDigestTest, IsHmacOfLengthsAndParts) {
  // hmac.new(b"k" * 32, b"\x02" + bytes(7) + b"ab", "sha256")
  const Secret key(std::string(32, 'k'));
  EXPECT_THAT(
      Hex(KeyedDigest(key).Add("ab").Finish()),
      Eq("27e89af56ea30a0a738079d82684a9601a3df0b9ed71b01c1097b900d046a753"));
}

TEST(DigestCacheTest, ForgetsWhenTheTimeIsOver) {
  DigestCache<int> cache(10);
  const Digest key = Sha256Of("a");
  cache.Put(key, 1, kStart + absl::Seconds(5), kStart);
  EXPECT_THAT(cache.Find(key, kStart + absl::Seconds(4)), Optional(1));
  EXPECT_THAT(cache.Find(key, kStart + absl::Seconds(5)), Eq(std::nullopt));
  EXPECT_THAT(cache.size(), Eq(0u));
}

TEST(DigestCacheTest, KeepsNothingThatIsOverAlready) {
  DigestCache<int> cache(10);
  cache.Put(Sha256Of("a"), 1, kStart + absl::Seconds(1), kStart);
  cache.Put(Sha256Of("a"), 2, kStart, kStart);
  EXPECT_THAT(cache.Find(Sha256Of("a"), kStart), Eq(std::nullopt));
}

TEST(DigestCacheTest, TheLongestUnusedGoesWhenItIsFull) {
  DigestCache<int> cache(2);
  const absl::Time until = kStart + absl::Hours(1);
  cache.Put(Sha256Of("a"), 1, until, kStart);
  cache.Put(Sha256Of("b"), 2, until, kStart);
  EXPECT_THAT(cache.Find(Sha256Of("a"), kStart), Optional(1));
  cache.Put(Sha256Of("c"), 3, until, kStart);
  EXPECT_THAT(cache.size(), Eq(2u));
  EXPECT_THAT(cache.Find(Sha256Of("b"), kStart), Eq(std::nullopt));
  EXPECT_THAT(cache.Find(Sha256Of("a"), kStart), Optional(1));
  EXPECT_THAT(cache.Find(Sha256Of("c"), kStart), Optional(3));
  cache.Erase(Sha256Of("c"));
  EXPECT_THAT(cache.Find(Sha256Of("c"), kStart), Eq(std::nullopt));
}

TEST(FailureLimiterTest, AllowsABurstAndThenOneAtATime) {
  FailureLimiter limiter({.per_second = 0.5, .burst = 3, .max_keys = 10});
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(limiter.Begin("a", kStart), Eq(std::nullopt));
  }
  EXPECT_THAT(limiter.Begin("a", kStart), Optional(absl::Seconds(2)));
  EXPECT_THAT(limiter.Begin("b", kStart), Eq(std::nullopt));
  EXPECT_THAT(limiter.Begin("a", kStart + absl::Seconds(2)), Eq(std::nullopt));
  EXPECT_THAT(limiter.Begin("a", kStart + absl::Seconds(2)),
              Optional(absl::Seconds(2)));
}

TEST(FailureLimiterTest, SuccessesCostNothing) {
  FailureLimiter limiter({.per_second = 1, .burst = 1, .max_keys = 10});
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(limiter.Begin("a", kStart), Eq(std::nullopt));
    EXPECT_THAT(limiter.Begin("a", kStart), Ne(std::nullopt));
    limiter.Succeed("a");
  }
}

TEST(FailureLimiterTest, SuccessesDoNotSaveUpForFailures) {
  FailureLimiter limiter({.per_second = 1, .burst = 2, .max_keys = 10});
  limiter.Succeed("a");
  EXPECT_THAT(limiter.size(), Eq(0u));
  EXPECT_THAT(limiter.Begin("a", kStart), Eq(std::nullopt));
  for (int i = 0; i < 10; ++i) limiter.Succeed("a");
  EXPECT_THAT(limiter.Begin("a", kStart), Eq(std::nullopt));
  EXPECT_THAT(limiter.Begin("a", kStart), Eq(std::nullopt));
  EXPECT_THAT(limiter.Begin("a", kStart), Ne(std::nullopt));
}

TEST(FailureLimiterTest, KeepsSoManyKeysAndNoMore) {
  FailureLimiter limiter({.per_second = 1, .burst = 1, .max_keys = 100});
  for (int i = 0; i < 1000; ++i) limiter.Begin(absl::StrCat(i), kStart);
  EXPECT_THAT(limiter.size(), Eq(100u));
  EXPECT_THAT(limiter.Begin("999", kStart), Ne(std::nullopt));
  EXPECT_THAT(limiter.Begin("0", kStart), Eq(std::nullopt));
}

TEST(FailureLimiterTest, AClockThatStandsStillOrRunsBackAddsNothing) {
  FailureLimiter limiter({.per_second = 1, .burst = 1, .max_keys = 10});
  EXPECT_THAT(limiter.Begin("a", kStart), Eq(std::nullopt));
  EXPECT_THAT(limiter.Begin("a", kStart - absl::Hours(1)), Ne(std::nullopt));
  EXPECT_THAT(limiter.Begin("a", kStart), Ne(std::nullopt));
}

// Work that waits until the test lets it go on.
class Gate {
 public:
  explicit Gate(asio::thread_pool* pool)
      : strand_(asio::make_strand(pool->get_executor())),
        timer_(strand_, asio::steady_timer::time_point::max()) {}

  asio::awaitable<absl::StatusOr<int>> Wait() {
    ++begun_;
    // On the strand of the timer.
    co_await asio::co_spawn(strand_, WaitOnStrand(), asio::use_awaitable);
    co_return 7;
  }
  void Open() {
    asio::post(strand_, [this] {
      open_ = true;
      timer_.cancel();
    });
  }
  int begun() const { return begun_; }

 private:
  asio::awaitable<void> WaitOnStrand() {
    if (!open_) {
      co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }

  asio::strand<asio::any_io_executor> strand_;
  asio::steady_timer timer_;
  bool open_ = false;
  std::atomic<int> begun_ = 0;
};

class SingleFlightTest : public testing::Test {
 protected:
  using Flights = SingleFlight<int>;

  std::future<absl::StatusOr<int>> Run(
      const char* key, Flights::Work work,
      absl::Time deadline = absl::Now() + absl::Seconds(20)) {
    return asio::co_spawn(
        asio::make_strand(pool_.get_executor()),
        Flights::Run(flights_, Sha256Of(key), std::move(work), deadline),
        asio::use_future);
  }
  Flights::Work Waiting(Gate* gate) {
    return [gate] { return gate->Wait(); };
  }

  asio::thread_pool pool_{2};
  std::shared_ptr<Flights> flights_ =
      std::make_shared<Flights>(pool_.get_executor(), 2);
};

asio::awaitable<absl::StatusOr<int>> Refuse() {
  co_return absl::PermissionDeniedError("no");
}

TEST_F(SingleFlightTest, EqualWorkIsDoneOnce) {
  Gate gate(&pool_);
  auto first = Run("a", Waiting(&gate));
  // They give up, which shows that they had come while it was under way.
  std::vector<std::future<absl::StatusOr<int>>> others;
  for (int i = 0; i < 20; ++i) {
    others.push_back(
        Run("a", Waiting(&gate), absl::Now() + absl::Milliseconds(1)));
  }
  for (auto& other : others) EXPECT_THAT(other.get(), StatusIs(kUnavailable));
  EXPECT_THAT(gate.begun(), Eq(1));
  auto last = Run("a", Waiting(&gate));
  gate.Open();
  EXPECT_THAT(first.get().value_or(0), Eq(7));
  EXPECT_THAT(last.get().value_or(0), Eq(7));
  const int before = gate.begun();
  EXPECT_THAT(Run("a", Waiting(&gate)).get().value_or(0), Eq(7));
  EXPECT_THAT(gate.begun(), Eq(before + 1));
}

TEST_F(SingleFlightTest, AnErrorIsTheResultOfAll) {
  EXPECT_THAT(Run("a", [] { return Refuse(); }).get(),
              StatusIs(kPermissionDenied, "no"));
}

TEST_F(SingleFlightTest, WhoCanWaitNoLongerLeavesTheOthersAlone) {
  Gate gate(&pool_);
  auto patient = Run("a", Waiting(&gate));
  auto hasty = Run("a", Waiting(&gate), absl::Now() + absl::Milliseconds(1));
  EXPECT_THAT(hasty.get(), StatusIs(kUnavailable, HasSubstr("in time")));
  gate.Open();
  EXPECT_THAT(patient.get().value_or(0), Eq(7));
  EXPECT_THAT(gate.begun(), Eq(1));
}

TEST_F(SingleFlightTest, MoreThanSoManyAreRefused) {
  Gate gate(&pool_);
  auto one = Run("a", Waiting(&gate));
  auto two = Run("b", Waiting(&gate));
  while (gate.begun() < 2) std::this_thread::yield();
  EXPECT_THAT(Run("c", Waiting(&gate)).get(),
              StatusIs(kUnavailable, HasSubstr("too many")));
  auto same = Run("a", Waiting(&gate));
  gate.Open();
  EXPECT_THAT(one.get().value_or(0), Eq(7));
  EXPECT_THAT(two.get().value_or(0), Eq(7));
  EXPECT_THAT(same.get().value_or(0), Eq(7));
}

TEST_F(SingleFlightTest, TheOwnerMayGoBeforeTheWorkEnds) {
  Gate gate(&pool_);
  auto result = Run("a", Waiting(&gate));
  flights_.reset();
  gate.Open();
  EXPECT_THAT(result.get().value_or(0), Eq(7));
}

TEST(VerifierMetricsTest, CountsByResult) {
  metrics::Registry registry;
  VerifierMetrics metrics(&registry, "basic");
  metrics.Cached();
  metrics.Count(absl::OkStatus());
  metrics.Count(absl::UnauthenticatedError(""));
  metrics.Count(absl::PermissionDeniedError(""));
  metrics.Count(absl::ResourceExhaustedError(""));
  metrics.Count(absl::DeadlineExceededError(""));
  for (const char* result :
       {"ok", "cached", "wrong", "refused", "limited", "unavailable"}) {
    EXPECT_THAT(
        registry.Expose(),
        HasSubstr(absl::StrCat(
            "\ninsula_auth_verifications_total{method=\"basic\",result=\"",
            result, "\"} 1\n")));
  }
}

}  // namespace
}  // namespace insula::auth
