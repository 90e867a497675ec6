// Results that are passed on while they come.

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/http/body_source.h"
#include "libs/status/status_matchers.h"
#include "services/query_frontend/api_fixture.h"

namespace insula::query_frontend {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

// A matrix of at least so many bytes, without its last two brackets.
std::string Matrix(size_t least_bytes) {
  std::string text =
      R"({"status":"success","data":{"resultType":"matrix","result":[)";
  while (text.size() < least_bytes) {
    absl::StrAppend(&text, absl::EndsWith(text, "[") ? "" : ",",
                    R"({"metric":{"namespace":"red"},"values":[[1,"2"]]})");
  }
  return text + "]}";
}

// A store's answer, in pieces. With `may_fail` it fails in place of its end,
// once that is true.
class Pieces : public http::BodySource {
 public:
  Pieces(std::string text, const std::atomic<bool>* may_fail)
      : text_(std::move(text)), may_fail_(may_fail) {}

  asio::awaitable<absl::StatusOr<absl::string_view>> Next() override {
    const absl::string_view piece =
        absl::string_view(text_).substr(taken_, 100'000);
    taken_ += piece.size();
    if (!piece.empty() || may_fail_ == nullptr) co_return piece;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (!*may_fail_) {
      timer.expires_after(std::chrono::milliseconds(1));
      co_await timer.async_wait(asio::use_awaitable);
    }
    co_return absl::UnavailableError("cut");
  }

 private:
  const std::string text_;
  const std::atomic<bool>* const may_fail_;
  size_t taken_ = 0;
};

class ResultStreamTest : public ApiTest {
 protected:
  struct Passed {
    http::Response response;
    bool in_pieces = false;
    absl::Status status;
  };

  // The whole answer, however it comes.
  Passed GetWhole(absl::string_view target) {
    return asio::co_spawn(asio::make_strand(pool_),
                          Whole(Request("GET", target, "token-red")),
                          asio::use_future)
        .get();
  }
  asio::awaitable<Passed> Whole(http::Request request) {
    Passed passed;
    passed.response = co_await handler_.Handle(std::move(request), &auth_);
    passed.in_pieces = passed.response.rest != nullptr;
    passed.status = co_await http::CollectRest(&passed.response, 64 << 20);
    co_return passed;
  }

  void AnswerWith(std::string text,
                  const std::atomic<bool>* may_fail = nullptr) {
    store_.SetAnswer([text = std::move(text), may_fail](
                         http::Request) -> asio::awaitable<http::Response> {
      http::Response response;
      response.headers.Set("Content-Type", "application/json");
      response.rest = std::make_shared<Pieces>(text, may_fail);
      co_return response;
    });
  }

  // Red's limits, from now on.
  void SetLimits(const std::function<void(v1::Limits*)>& fill) {
    tenancy::SnapshotBuilder builder(*snapshot_);
    Put(&builder, v1::KIND_LIMITS, "of-red",
        [&](v1::Object* object) { fill(object->mutable_limits()); });
    Put(&builder, v1::KIND_TENANT, "red", [](v1::Object* object) {
      object->mutable_tenant()->set_upstream_id("shared");
      object->mutable_tenant()->set_limits_id("of-red");
      (*object->mutable_tenant()->mutable_enforced_labels())["namespace"] =
          "red";
    });
    snapshot_ = std::move(builder).Build(8, "e");
  }

  // A range query of which nothing is kept.
  static constexpr char kSum[] =
      "/api/v1/query_range?query=sum(up)&start=1&end=2&step=1&stats=all";
  static constexpr char kRaw[] =
      "/api/v1/query_range?query=up&start=1&end=2&step=1";
};

TEST_F(ResultStreamTest, LongResultsPassWithoutBeingHeld) {
  const std::string text = Matrix(3 * kMaxResponse);
  AnswerWith(text + "}");
  const Passed passed = GetWhole(kSum);
  EXPECT_TRUE(passed.in_pieces);
  EXPECT_THAT(passed.status, IsOk());
  EXPECT_EQ(passed.response.headers.Get("X-Insula-Tenant"), "red");
  EXPECT_TRUE(passed.response.body == text + "}");
}

TEST_F(ResultStreamTest, ShortResultsAreReadAsAWhole) {
  const std::string text = Matrix(100'000) + "}";
  AnswerWith(text);
  const Passed passed = GetWhole(kSum);
  EXPECT_FALSE(passed.in_pieces);
  EXPECT_TRUE(passed.response.body == text);
}

TEST_F(ResultStreamTest, WarningsOfTheStoreAreLeftOut) {
  const std::string text = Matrix(kMaxResponse);
  AnswerWith(text + R"(,"warnings":["PromQL warning: x","canary"]})");
  const Passed passed = GetWhole(kSum);
  EXPECT_TRUE(passed.in_pieces);
  EXPECT_THAT(passed.status, IsOk());
  const std::string end = passed.response.body.substr(text.size());
  EXPECT_THAT(end, HasSubstr(R"("PromQL warning: x")"));
  EXPECT_THAT(end, HasSubstr("insula: the upstream gave a warning"));
  EXPECT_THAT(end, Not(HasSubstr("canary")));
}

TEST_F(ResultStreamTest, ResultsOfQueriesPass) {
  const std::string text = Matrix(kMaxResponse) + "}";
  AnswerWith(text);
  const Passed passed = GetWhole("/api/v1/query?query=sum(up)&time=2");
  EXPECT_TRUE(passed.in_pieces);
  EXPECT_TRUE(passed.response.body == text);
}

TEST_F(ResultStreamTest, WhatIsKeptForLaterIsHeld) {
  AnswerWith(Matrix(kMaxResponse / 2) + "}");
  const Passed passed =
      GetWhole("/api/v1/query_range?query=sum(up)&start=1&end=2&step=1");
  EXPECT_EQ(passed.response.status, 200);
  EXPECT_FALSE(passed.in_pieces);
}

TEST_F(ResultStreamTest, ATenantWithALimitOfBytesIsToldOfIt) {
  SetLimits(
      [](v1::Limits* limits) { limits->set_max_response_bytes(300'000); });
  AnswerWith(Matrix(299'000) + "}");
  EXPECT_FALSE(GetWhole(kSum).in_pieces);
  AnswerWith(Matrix(300'000) + "}");
  const Passed passed = GetWhole(kSum);
  EXPECT_EQ(passed.response.status, 422);
  EXPECT_THAT(passed.response.body,
              HasSubstr("max_response_bytes, which is 300000"));
}

TEST_F(ResultStreamTest, ATenantWithALimitOfSeriesIsToldOfIt) {
  SetLimits([](v1::Limits* limits) { limits->set_max_response_series(100); });
  AnswerWith(Matrix(kMaxResponse / 2) + "}");
  const Passed passed = GetWhole(kSum);
  EXPECT_EQ(passed.response.status, 422);
  EXPECT_THAT(passed.response.body,
              HasSubstr("max_response_series, which is 100"));
}

TEST_F(ResultStreamTest, APlaceIsKeptTillTheRestIsGone) {
  SetLimits([](v1::Limits* limits) {
    limits->set_max_concurrent_queries(1);
    limits->set_max_queued_queries(1);
  });
  AnswerWith(Matrix(kMaxResponse) + "}");
  http::Response first = Get(kSum);
  ASSERT_NE(first.rest, nullptr);
  std::future<Passed> second = asio::co_spawn(
      asio::make_strand(pool_), Whole(Request("GET", kSum, "token-red")),
      asio::use_future);
  auto& waiting = registry_.AddGauge("insula_fair_queue_waiting",
                                     "Requests that wait for a place.",
                                     {{"queue", "queries"}});
  WaitFor([&] { return waiting.Value() == 1; });
  EXPECT_THAT(store_.asked(), SizeIs(1));
  first.rest = nullptr;
  EXPECT_THAT(second.get().status, IsOk());
  EXPECT_THAT(store_.asked(), SizeIs(2));
}

// Each series of such a result is looked at, so that all of it must be here.
TEST_F(ResultStreamTest, RawSeriesAreHeldAndBounded) {
  AnswerWith(Matrix(kMaxResponse / 2) + "}");
  const Passed passed = GetWhole(kRaw);
  EXPECT_EQ(passed.response.status, 200);
  EXPECT_FALSE(passed.in_pieces);
  const std::string foreign =
      R"(,{"metric":{"namespace":"blue"},"values":[[1,"2"]]}]}})";
  std::string text = Matrix(kMaxResponse / 2);
  text.resize(text.size() - 2);
  AnswerWith(text + foreign);
  EXPECT_EQ(GetWhole(kRaw).response.status, 500);
  EXPECT_EQ(metrics_.leaks_prevented.Value(), 1);
}

// Not that of a Prometheus to the letter, so that it has to be read.
TEST_F(ResultStreamTest, OtherAnswersAreHeldAndBounded) {
  AnswerWith(" " + Matrix(kMaxResponse / 2) + "}");
  Passed passed = GetWhole(kSum);
  EXPECT_EQ(passed.response.status, 200);
  EXPECT_FALSE(passed.in_pieces);
  AnswerWith(" " + Matrix(kMaxResponse) + "}");
  passed = GetWhole(kSum);
  EXPECT_EQ(passed.response.status, 422);
  EXPECT_EQ(metrics_.upstream_too_large.Value(), 1);
}

TEST_F(ResultStreamTest, AStoreThatBreaksOffIsSeen) {
  // Not before the beginning is here: a reset takes along what was not read.
  std::atomic<bool> may_fail = false;
  AnswerWith(Matrix(kMaxResponse), &may_fail);
  const auto get = [&]() -> asio::awaitable<absl::Status> {
    http::Response response =
        co_await handler_.Handle(Request("GET", kSum, "token-red"), &auth_);
    EXPECT_EQ(response.status, 200);
    EXPECT_NE(response.rest, nullptr);
    may_fail = true;
    co_return co_await http::CollectRest(&response, 64 << 20);
  };
  EXPECT_THAT(
      asio::co_spawn(asio::make_strand(pool_), get(), asio::use_future).get(),
      StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(metrics_.upstream_unreachable.Value(), 1);
}

TEST_F(ResultStreamTest, DataWithoutAnEndIsSeen) {
  AnswerWith(Matrix(kMaxResponse));
  EXPECT_THAT(GetWhole(kSum).status, StatusIs(absl::StatusCode::kInternal));
  EXPECT_EQ(metrics_.upstream_garbage.Value(), 1);
}

}  // namespace
}  // namespace insula::query_frontend
