#include "libs/range_cache/range_cache.h"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/metrics/metrics.h"
#include "libs/range_cache/model_store.h"
#include "libs/status/status_matchers.h"
#include "libs/sync/event.h"
#include "libs/time/fake_clock.h"

namespace insula::range_cache {
namespace {

namespace asio = boost::asio;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kDay = 86'400'000;
const absl::Time kNow = absl::FromUnixMillis(100 * kDay - kDay / 2);
constexpr size_t kPlenty = 4 << 20;

// A cache before a store whose answers a test holds back at will.
class RangeCacheTest : public ::testing::Test {
 protected:
  // A request that has come to the store.
  struct Asked {
    int64_t start;
    int64_t end;
    std::shared_ptr<sync::Event> go = std::make_shared<sync::Event>();
    absl::StatusOr<Answer> answer = absl::UnknownError("");
    bool cancelled = false;
  };
  // A request to the cache.
  struct Call {
    asio::cancellation_signal cancel;
    std::optional<absl::StatusOr<Answer>> answer;
  };

  RangeCacheTest() {
    for (int64_t t = 0; t < 100 * kDay; t += kDay / 4) {
      store_.Write("up", R"({"__name__":"up"})", t, absl::StrCat(t / 1000));
    }
  }

  RangeCache& cache() {
    if (cache_ == nullptr) {
      cache_ = std::make_unique<RangeCache>(
          options_,
          RangeCache::Environment{.executor = elsewhere_.get_executor(),
                                  .clock = &clock_,
                                  .metrics = &metrics_});
    }
    return *cache_;
  }

  // Steps of an hour, in hours since 1970.
  static RangeQuery Hours(int64_t from, int64_t to) {
    RangeQuery query;
    query.tenant_uid = "red";
    query.policy = "p";
    query.text = "up";
    query.start = absl::UnixEpoch() + absl::Hours(from);
    query.end = absl::UnixEpoch() + absl::Hours(to);
    query.step = absl::Hours(1);
    return query;
  }
  std::string Expected(const RangeQuery& query) const {
    return store_.Answer({}, absl::ToUnixMillis(query.start),
                         absl::ToUnixMillis(query.end),
                         absl::ToInt64Milliseconds(query.step));
  }

  RangeCache::Fetch Fetch() {
    return [this](absl::Time start, absl::Time end, absl::Time deadline) {
      return AskStore(this, start, end, deadline);
    };
  }

  // Begins to ask the cache.
  std::shared_ptr<Call> Start(RangeQuery query,
                              absl::Time deadline = absl::InfiniteFuture(),
                              QueryTraits traits = {}) {
    auto call = std::make_shared<Call>();
    asio::co_spawn(
        asio::make_strand(context_),
        cache().Query(std::move(query), traits, kPlenty, Fetch(), deadline),
        asio::bind_cancellation_slot(
            call->cancel.slot(),
            [call](std::exception_ptr failed, absl::StatusOr<Answer> answer) {
              call->answer =
                  failed ? absl::AbortedError("thrown") : std::move(answer);
            }));
    Poll();
    return call;
  }
  // Asks the cache, and lets the store answer whatever it is asked.
  absl::StatusOr<Answer> Get(RangeQuery query, QueryTraits traits = {}) {
    const auto call = Start(std::move(query), absl::InfiniteFuture(), traits);
    AnswerAll();
    return call->answer.value_or(absl::UnknownError("not answered"));
  }

  // Lets the store answer request `i`.
  void AnswerOne(size_t i) {
    Asked& asked = *asked_[i];
    if (asked.answer.status().code() == absl::StatusCode::kUnknown) {
      Answer answer;
      answer.body = store_.Answer({}, asked.start, asked.end, step_);
      asked.answer = answer;
    }
    asked.go->Set();
    Poll();
  }
  void AnswerAll() {
    for (size_t i = 0; i < asked_.size(); ++i) AnswerOne(i);
  }
  // The requests to the store since the last call, as "from-to" in hours.
  std::vector<std::string> TakeAsked() {
    std::vector<std::string> texts;
    for (const auto& asked : asked_) {
      texts.push_back(
          absl::StrCat(asked->start / 3'600'000, "-", asked->end / 3'600'000));
    }
    asked_.clear();
    return texts;
  }
  void Poll() {
    context_.restart();
    context_.poll();
  }
  double Count(const std::string& result) {
    return metrics_
        .AddCounter("insula_range_cache_requests_total",
                    "Range queries, by whether the store was asked.",
                    {{"result", result}})
        .Value();
  }

  asio::io_context context_;
  asio::io_context elsewhere_;  // For what takes long.
  FakeClock clock_{kNow};
  metrics::Registry metrics_;
  RangeCache::Options options_;
  ModelStore store_;
  int64_t step_ = 3'600'000;
  std::vector<std::shared_ptr<Asked>> asked_;

 private:
  static asio::awaitable<absl::StatusOr<Answer>> AskStore(RangeCacheTest* self,
                                                          absl::Time start,
                                                          absl::Time end,
                                                          absl::Time deadline) {
    auto asked = std::make_shared<Asked>();
    asked->start = absl::ToUnixMillis(start);
    asked->end = absl::ToUnixMillis(end);
    self->asked_.push_back(asked);
    const auto ended = co_await sync::Event::Wait(asked->go, deadline);
    asked->cancelled = ended == sync::Event::End::kCancelled;
    if (ended == sync::Event::End::kDeadline) {
      co_return absl::DeadlineExceededError("the store is slow");
    }
    co_return asked->answer;
  }

  std::unique_ptr<RangeCache> cache_;
};

// A piece of these steps is 21 days long, 504 hours.

TEST_F(RangeCacheTest, AsksOnlyForWhatIsNew) {
  const RangeQuery first = Hours(1000, 1400);
  EXPECT_THAT(Get(first)->body, Eq(Expected(first)));
  EXPECT_THAT(TakeAsked(), ElementsAre("1000-1007", "1008-1400"));
  EXPECT_THAT(Get(first)->body, Eq(Expected(first)));
  EXPECT_THAT(TakeAsked(), IsEmpty());
  const RangeQuery wider = Hours(990, 1420);
  EXPECT_THAT(Get(wider)->body, Eq(Expected(wider)));
  EXPECT_THAT(TakeAsked(), ElementsAre("990-999", "1401-1420"));
  EXPECT_THAT(Count("miss"), Eq(1));
  EXPECT_THAT(Count("hit"), Eq(1));
  EXPECT_THAT(Count("partial"), Eq(1));
}

TEST_F(RangeCacheTest, LongAnswersAreReadAndWrittenElsewhere) {
  const RangeQuery query = Hours(1010, 1012);
  store_.Write("up",
               absl::StrCat(R"({"__name__":"up","x":")",
                            std::string(600 << 10, 'x'), "\"}"),
               1011 * int64_t{3'600'000}, "1");
  for (const size_t requests : {1, 0}) {
    const auto call = Start(query);
    ASSERT_THAT(asked_, SizeIs(requests));
    AnswerAll();
    EXPECT_FALSE(call->answer.has_value());
    size_t done = 1;
    while (!call->answer.has_value() && done > 0) {
      elsewhere_.restart();
      done = elsewhere_.poll();
      Poll();
    }
    ASSERT_TRUE(call->answer.has_value());
    ASSERT_TRUE(call->answer->ok()) << call->answer->status();
    EXPECT_TRUE((*call->answer)->body == Expected(query));
    TakeAsked();
  }
}

TEST_F(RangeCacheTest, StepsBesideTheGridAreAnotherQuestion) {
  ASSERT_TRUE(Get(Hours(1010, 1020)).ok());
  TakeAsked();
  RangeQuery shifted = Hours(1010, 1020);
  shifted.start += absl::Minutes(30);
  EXPECT_THAT(Get(shifted)->body, Eq(Expected(shifted)));
  EXPECT_THAT(asked_, SizeIs(1));
  EXPECT_THAT(asked_[0]->start, Eq(absl::ToUnixMillis(shifted.start)));
}

TEST_F(RangeCacheTest, WhatMayStillChangeIsAskedForAgain) {
  step_ = 60'000;
  RangeQuery query = Hours(0, 0);
  query.start = kNow - absl::Minutes(20);
  query.end = kNow;
  query.step = absl::Minutes(1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Get(query)->body, Eq(Expected(query)));
    // Ten minutes, and the step of now itself.
    ASSERT_THAT(asked_, SizeIs(Gt(0)));
    if (i > 0) {
      EXPECT_THAT(asked_.back()->start,
                  Eq(absl::ToUnixMillis(kNow - absl::Minutes(9))));
    }
    asked_.clear();
  }
}

TEST_F(RangeCacheTest, EqualQuestionsAtOnceAreOneToTheStore) {
  const RangeQuery query = Hours(1010, 1100);
  const auto first = Start(query);
  const auto second = Start(query);
  EXPECT_THAT(TakeAsked().size(), Eq(1));
  const auto third = Start(query);
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_FALSE(first->answer.has_value());
}

TEST_F(RangeCacheTest, OneAnswerIsForAllWhoWait) {
  const RangeQuery query = Hours(1010, 1100);
  const auto first = Start(query);
  const auto second = Start(query);
  AnswerOne(0);
  for (const auto& call : {first, second}) {
    ASSERT_TRUE(call->answer.has_value());
    EXPECT_THAT((*call->answer)->body, Eq(Expected(query)));
  }
  EXPECT_THAT(asked_, SizeIs(1));
}

TEST_F(RangeCacheTest, WhoGivesUpTakesNothingFromTheOthers) {
  const RangeQuery query = Hours(1010, 1100);
  const auto first = Start(query);
  const auto second = Start(query);
  first->cancel.emit(asio::cancellation_type::terminal);
  Poll();
  ASSERT_TRUE(first->answer.has_value());
  EXPECT_THAT(first->answer->status().code(), Eq(absl::StatusCode::kCancelled));
  EXPECT_FALSE(asked_[0]->cancelled);
  AnswerOne(0);
  ASSERT_TRUE(second->answer.has_value());
  EXPECT_THAT((*second->answer)->body, Eq(Expected(query)));
  EXPECT_THAT(asked_, SizeIs(1));
}

TEST_F(RangeCacheTest, WhenAllHaveGivenUpTheStoreIsLeftAlone) {
  const RangeQuery query = Hours(1010, 1100);
  const auto first = Start(query);
  const auto second = Start(query);
  first->cancel.emit(asio::cancellation_type::terminal);
  second->cancel.emit(asio::cancellation_type::terminal);
  Poll();
  EXPECT_TRUE(asked_[0]->cancelled);
  // Who comes later begins anew.
  const auto third = Start(query);
  ASSERT_THAT(asked_, SizeIs(2));
  AnswerOne(1);
  EXPECT_THAT((*third->answer)->body, Eq(Expected(query)));
}

TEST_F(RangeCacheTest, WhoHasTimeLeftAsksAgainForWhoHadNone) {
  const RangeQuery query = Hours(1010, 1100);
  const auto hasty = Start(query, absl::Now() + absl::Milliseconds(20));
  const auto patient = Start(query);
  while (asked_.size() < 2) context_.run_one();
  Poll();
  ASSERT_TRUE(hasty->answer.has_value());
  EXPECT_THAT(hasty->answer->status().code(),
              Eq(absl::StatusCode::kDeadlineExceeded));
  EXPECT_FALSE(patient->answer.has_value());
  AnswerOne(1);
  EXPECT_THAT((*patient->answer)->body, Eq(Expected(query)));
}

TEST_F(RangeCacheTest, AFailureIsEverybodysAndNotKept) {
  const RangeQuery query = Hours(1010, 1100);
  const auto first = Start(query);
  const auto second = Start(query);
  asked_[0]->answer = absl::UnavailableError("the store is away");
  AnswerOne(0);
  for (const auto& call : {first, second}) {
    EXPECT_THAT(call->answer->status().code(),
                Eq(absl::StatusCode::kUnavailable));
  }
  EXPECT_THAT(Get(query)->body, Eq(Expected(query)));
}

TEST_F(RangeCacheTest, AnErrorForAPieceIsTheAnswer) {
  const auto call = Start(Hours(1000, 1100));
  Answer refused;
  refused.http_status = 422;
  refused.body = R"({"status":"error"})";
  asked_[1]->answer = refused;
  AnswerAll();
  ASSERT_TRUE(call->answer.has_value());
  EXPECT_THAT((*call->answer)->http_status, Eq(422));
  EXPECT_THAT((*call->answer)->body, Eq(refused.body));
  TakeAsked();
  // What was good is kept, the error is not.
  ASSERT_TRUE(Get(Hours(1000, 1100)).ok());
  EXPECT_THAT(TakeAsked(), ElementsAre("1008-1100"));
}

TEST_F(RangeCacheTest, AsksForFewPiecesAtATime) {
  options_.max_parallel = 2;
  RangeQuery query = Hours(0, 2300);
  const auto call = Start(query);
  EXPECT_THAT(asked_, SizeIs(2));
  AnswerOne(0);
  EXPECT_THAT(asked_, SizeIs(3));
  AnswerOne(2);  // Not the next one: the others wait for that.
  EXPECT_THAT(asked_, SizeIs(3));
  AnswerAll();
  EXPECT_THAT(asked_, SizeIs(5));
  EXPECT_THAT((*call->answer)->body, Eq(Expected(query)));
}

TEST_F(RangeCacheTest, WhatCantBeReadIsAskedForAsAWhole) {
  const auto call = Start(Hours(1000, 1100));
  Answer odd;
  odd.body = R"({"status":"success","data":{"resultType":"streams"}})";
  asked_[0]->answer = odd;
  AnswerOne(0);
  ASSERT_THAT(asked_, SizeIs(3));
  EXPECT_THAT(TakeAsked()[2], Eq("1000-1100"));
}

TEST_F(RangeCacheTest, AWarningIsShownAndNothingWithItKept) {
  for (int i = 0; i < 2; ++i) {
    const auto call = Start(Hours(1000, 1100));
    ASSERT_THAT(asked_, SizeIs(Gt(0))) << i;
    for (const auto& asked : asked_) {
      Answer answer;
      answer.body = store_.Answer({}, asked->start, asked->end, step_);
      answer.body.pop_back();
      answer.body += R"(,"warnings":["PromQL warning: odd"]})";
      asked->answer = answer;
    }
    AnswerAll();
    EXPECT_THAT((*call->answer)->body,
                HasSubstr(R"(]},"warnings":["PromQL warning: odd"]})"));
    EXPECT_THAT(TakeAsked(), SizeIs(2));
  }
}

TEST_F(RangeCacheTest, WhatTheCallerRefusesToKeepIsNotKept) {
  for (int i = 0; i < 2; ++i) {
    const auto call = Start(Hours(1010, 1100));
    ASSERT_THAT(asked_, SizeIs(1)) << i;
    Answer answer;
    answer.body = Expected(Hours(1010, 1100));
    answer.storable = false;
    asked_[0]->answer = answer;
    AnswerOne(0);
    EXPECT_TRUE(call->answer->ok());
    asked_.clear();
  }
  EXPECT_THAT(cache().bytes(), Eq(0));
}

TEST_F(RangeCacheTest, WhatIsNotKeptPassesAsItCame) {
  const auto call = Start(Hours(1010, 1100));
  Answer answer;
  answer.body = absl::StrCat(" ", Expected(Hours(1010, 1100)), "\n");
  answer.storable = false;
  asked_[0]->answer = answer;
  AnswerOne(0);
  EXPECT_THAT((*call->answer)->body, Eq(answer.body));
}

TEST_F(RangeCacheTest, WhatIsNotKeptIsTakenApartForWhoAskedForMore) {
  // Of 510 to 1007 the first asks for all that it wants, the other for a part.
  const auto piece = Start(Hours(510, 1007));
  const auto more = Start(Hours(510, 1100));
  Answer answer;
  answer.body = Expected(Hours(510, 1007));
  answer.storable = false;
  asked_[0]->answer = answer;
  AnswerAll();
  EXPECT_THAT((*piece->answer)->body, Eq(answer.body));
  EXPECT_THAT((*more->answer)->body, Eq(Expected(Hours(510, 1100))));
  EXPECT_THAT(TakeAsked(), ElementsAre("510-1007", "1008-1100"));
}

TEST_F(RangeCacheTest, IndivisibleQueriesGoAsTheyCame) {
  QueryTraits traits;
  traits.divisible = false;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Get(Hours(1000, 1100), traits).ok());
    EXPECT_THAT(TakeAsked(), ElementsAre("1000-1100"));
  }
  EXPECT_THAT(Count("bypass"), Eq(2));
}

TEST_F(RangeCacheTest, DropForgetsATenant) {
  ASSERT_TRUE(Get(Hours(1010, 1100)).ok());
  EXPECT_THAT(cache().BytesOf("red"), Gt(0));
  cache().Drop("red");
  EXPECT_THAT(cache().bytes(), Eq(0));
  TakeAsked();
  ASSERT_TRUE(Get(Hours(1010, 1100)).ok());
  EXPECT_THAT(TakeAsked(), SizeIs(1));
}

TEST_F(RangeCacheTest, NoOtherTenantPolicyOrScopeIsServed) {
  options_.hash_mask = 0;  // Only the keys themselves tell them apart.
  const RangeQuery red = Hours(1010, 1100);
  ASSERT_TRUE(Get(red).ok());
  std::vector<RangeQuery> others(6, red);
  others[0].tenant_uid = "blue";
  others[1].policy = "q";
  others[2].scope = {"other store"};
  others[3].tenant_uid = "re";
  others[3].policy = "dp";
  others[4].text = "up ";
  others[5].policy = "";
  others[5].scope = {"p"};
  for (const RangeQuery& other : others) {
    TakeAsked();
    const auto while_red_asks = Start(other);
    ASSERT_THAT(asked_, SizeIs(1));
    AnswerAll();
  }
  TakeAsked();
  ASSERT_TRUE(Get(red).ok());
  EXPECT_THAT(TakeAsked(), IsEmpty());
}

TEST_F(RangeCacheTest, NoOtherTenantIsJoined) {
  const RangeQuery red = Hours(1010, 1100);
  RangeQuery blue = red;
  blue.tenant_uid = "blue";
  const auto red_call = Start(red);
  const auto blue_call = Start(blue);
  ASSERT_THAT(asked_, SizeIs(2));
  Answer secret;
  secret.body = absl::StrCat(R"({"status":"success","data":{"resultType":)",
                             R"("matrix","result":[{"metric":{"a":"secret"},)",
                             R"("values":[[)", 1010 * 3600, R"(,"1"]]}]}})");
  asked_[0]->answer = secret;
  AnswerAll();
  EXPECT_THAT((*red_call->answer)->body, HasSubstr("secret"));
  EXPECT_THAT((*blue_call->answer)->body, Eq(Expected(blue)));
}

TEST_F(RangeCacheTest, AnAnswerOfManyPiecesIsBounded) {
  options_.max_answer_bytes = 100;
  EXPECT_THAT(Get(Hours(0, 2300)).status().code(),
              Eq(absl::StatusCode::kResourceExhausted));
}

// A store that never changes, asked through the cache by many at once, some of
// whom give up.
class Crowd {
 public:
  Crowd() {
    for (int64_t t = 0; t < 10 * kDay; t += kDay / 96) {
      store_.Write("up", R"({"__name__":"up"})", t, absl::StrCat(t / 1000));
    }
  }

  void Run() {
    for (int who = 0; who < kPeople; ++who) {
      asio::strand<asio::any_io_executor> strand =
          asio::make_strand(asio::any_io_executor(pool_.get_executor()));
      auto cancel = std::make_shared<asio::cancellation_signal>();
      asio::co_spawn(strand, AskOften(this, who),
                     asio::bind_cancellation_slot(
                         cancel->slot(), [cancel, this](std::exception_ptr) {
                           ended_.fetch_add(1);
                         }));
      if (who % 3 == 0) {
        asio::post(strand, [cancel] {
          cancel->emit(asio::cancellation_type::terminal);
        });
      }
    }
    pool_.join();
    EXPECT_THAT(ended_, Eq(kPeople));
    EXPECT_THAT(wrong_, Eq(0));
    EXPECT_THAT(right_, Gt(kPeople / 2 * kQuestions));
    EXPECT_THAT(asked_, testing::Lt(kPeople * kQuestions / 2));
  }

 private:
  static constexpr int kPeople = 48;
  static constexpr int kQuestions = 40;
  static constexpr int64_t kStep = 60'000;

  static asio::awaitable<absl::StatusOr<Answer>> AskStore(Crowd* self,
                                                          absl::Time start,
                                                          absl::Time end) {
    self->asked_.fetch_add(1);
    co_await asio::post(self->pool_, asio::use_awaitable);
    Answer answer;
    answer.body = self->store_.Answer({}, absl::ToUnixMillis(start),
                                      absl::ToUnixMillis(end), kStep);
    co_return answer;
  }

  static asio::awaitable<void> AskOften(Crowd* self, int who) {
    for (int i = 0; i < kQuestions; ++i) {
      RangeQuery query;
      query.tenant_uid = who % 2 == 0 ? "red" : "blue";
      query.text = "up";
      query.start =
          absl::UnixEpoch() + absl::Minutes(1380 + (i * 7 + who) % 60);
      query.end = query.start + absl::Minutes(200);
      query.step = absl::Milliseconds(kStep);
      const std::string expected =
          self->store_.Answer({}, absl::ToUnixMillis(query.start),
                              absl::ToUnixMillis(query.end), kStep);
      const RangeCache::Fetch fetch = [self](absl::Time start, absl::Time end,
                                             absl::Time /*deadline*/) {
        return AskStore(self, start, end);
      };
      // Small enough for some of it to be evicted.
      const auto answer =
          co_await self->cache_.Query(std::move(query), QueryTraits(), 30'000,
                                      fetch, absl::InfiniteFuture());
      if (!answer.ok()) co_return;  // Cancelled.
      (answer->body == expected ? self->right_ : self->wrong_).fetch_add(1);
    }
  }

  FakeClock clock_{kNow};
  metrics::Registry metrics_;
  ModelStore store_;
  std::atomic<int> ended_ = 0;
  std::atomic<int> right_ = 0;
  std::atomic<int> wrong_ = 0;
  std::atomic<int> asked_ = 0;
  asio::thread_pool pool_{4};
  RangeCache cache_{{},
                    {.executor = pool_.get_executor(),
                     .clock = &clock_,
                     .metrics = &metrics_}};
};

TEST(RangeCacheThreadsTest, ManyAskOnManyThreads) { Crowd().Run(); }

}  // namespace
}  // namespace insula::range_cache
