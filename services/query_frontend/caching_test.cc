// Range queries whose answers are kept, and who is never shown them.

#include "services/query_frontend/caching.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "absl/time/clock.h"
#include "services/query_frontend/api_fixture.h"

namespace insula::query_frontend {
namespace {

namespace asio = boost::asio;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

// A day long ago, at which nothing changes any more.
constexpr int64_t kDay = 1'600'000'000 / 86'400 * 86'400;

std::string Range(int64_t start, int64_t end, absl::string_view more = "",
                  absl::string_view query = "sum(up)") {
  return absl::StrCat("/api/v1/query_range?step=60&start=", start, "&end=", end,
                      "&query=", query, more);
}

class CachingTest : public ApiTest {
 protected:
  CachingTest() { Answer("1"); }

  // One series, with `value` at every step that is asked for.
  void Answer(std::string value, std::string more = "",
              std::string cache_control = "") {
    store_.SetAnswer(
        [=](http::Request request) -> asio::awaitable<http::Response> {
          int64_t start = 0;
          int64_t end = 0;
          const absl::StatusOr<http::Params> form =
              http::ParseForm(request.body.view());
          for (const auto& [name, text] : *form) {
            double seconds = 0;
            EXPECT_TRUE(name != "start" || absl::SimpleAtod(text, &seconds));
            if (name == "start") start = static_cast<int64_t>(seconds);
            EXPECT_TRUE(name != "end" || absl::SimpleAtod(text, &seconds));
            if (name == "end") end = static_cast<int64_t>(seconds);
          }
          std::string values;
          for (int64_t at = start; at <= end; at += 60) {
            absl::StrAppend(&values, values.empty() ? "" : ",", "[", at, ",\"",
                            value, "\"]");
          }
          http::Response response;
          response.headers.Set("Content-Type", "application/json");
          if (!cache_control.empty()) {
            response.headers.Set("Cache-Control", cache_control);
          }
          response.body = absl::StrCat(
              R"({"status":"success","data":{"resultType":"matrix","result":)",
              R"([{"metric":{},"values":[)", values, "]}]}", more, "}");
          co_return response;
        });
  }
  size_t Asked() const { return store_.asked().size(); }

  void PutRed(const std::function<void(v1::Tenant*)>& fill,
              std::string uid = "red-uid-red-uid-") {
    tenancy::SnapshotBuilder builder(*snapshot_);
    Put(&builder, v1::KIND_TENANT, "red", [&](v1::Object* object) {
      object->mutable_meta()->set_uid(uid);
      object->mutable_tenant()->set_upstream_id("shared");
      (*object->mutable_tenant()->mutable_enforced_labels())["namespace"] =
          "red";
      fill(object->mutable_tenant());
    });
    snapshot_ = std::move(builder).Build(++revision_, "e");
  }

  int64_t revision_ = 7;
};

TEST_F(CachingTest, AsksOnceForTheSame) {
  const http::Response first = Get(Range(kDay, kDay + 600));
  EXPECT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(Asked(), 1U);
  Answer("2");
  const http::Response second = Get(Range(kDay, kDay + 600));
  EXPECT_EQ(second.body, first.body);
  EXPECT_EQ(Asked(), 1U);
}

TEST_F(CachingTest, AsksForTheStepsThatAreMissing) {
  EXPECT_EQ(Get(Range(kDay, kDay + 600)).status, 200);
  const http::Response longer = Get(Range(kDay, kDay + 1200, "&timeout=5s"));
  EXPECT_EQ(longer.status, 200);
  ASSERT_THAT(store_.asked(), SizeIs(2));
  EXPECT_THAT(
      store_.asked()[1].Params(),
      testing::AllOf(Contains(Pair("start", absl::StrCat(kDay + 660, ".000"))),
                     Contains(Pair("end", absl::StrCat(kDay + 1200, ".000"))),
                     Contains(Pair("step", "60")),
                     Contains(Pair("timeout", "5s"))));
  for (int64_t at = kDay; at <= kDay + 1200; at += 60) {
    EXPECT_THAT(longer.body, HasSubstr(absl::StrCat("[", at, ",\"1\"]")));
  }
}

TEST_F(CachingTest, AskedForOneTenantItIsNotShownToAnother) {
  EXPECT_EQ(Get(Range(kDay, kDay + 600)).status, 200);
  Answer("2");
  EXPECT_THAT(Get(Range(kDay, kDay + 600), "token-blue").body,
              HasSubstr("\"2\""));
  EXPECT_EQ(Asked(), 2U);
  // Nor to two that both may read the whole store.
  EXPECT_EQ(Get(Range(kDay, kDay + 600), "token-own").status, 200);
  EXPECT_EQ(Asked(), 3U);
  EXPECT_EQ(Get(Range(kDay, kDay + 600), "token-both").status, 200);
  EXPECT_EQ(Asked(), 4U);
}

TEST_F(CachingTest, AccessThatWasRevokedShowsNothingThatWasKept) {
  const auto revoke = snapshot_;
  tenancy::SnapshotBuilder builder(*snapshot_);
  Put(&builder, v1::KIND_ACCESS, "grant", [](v1::Object* object) {
    object->mutable_access()->set_tenant_id("red");
    object->mutable_access()->add_source_tenant_ids("blue");
    object->mutable_access()->add_selectors("up");
  });
  snapshot_ = std::move(builder).Build(++revision_, "e");
  Answer("90210777");
  EXPECT_THAT(Get(Range(kDay, kDay + 600)).body, HasSubstr("90210777"));
  EXPECT_THAT(Get(Range(kDay, kDay + 600)).body, HasSubstr("90210777"));
  EXPECT_EQ(Asked(), 1U);

  Answer("1");
  snapshot_ = revoke;
  EXPECT_THAT(Get(Range(kDay, kDay + 600)).body, Not(HasSubstr("90210777")));
  EXPECT_EQ(Asked(), 2U);
}

TEST_F(CachingTest, ADigestOfThePolicyIsPartOfTheKey) {
  // Two policies with which one query is sent in the same words.
  UpstreamQuery query;
  query.endpoint = Endpoint::kQueryRange;
  query.texts = {"1"};
  query.range = {absl::UnixEpoch(), absl::UnixEpoch(), absl::Seconds(1)};
  const auto of = [&](const char* id) {
    return CacheableQuery(
        query, *PolicyOf(*snapshot_->FindTenant(id), *snapshot_, &pools_));
  };
  ASSERT_TRUE(of("red").has_value());
  EXPECT_NE(of("red")->policy, of("blue")->policy);
  EXPECT_NE(of("red")->tenant_uid, of("blue")->tenant_uid);
  EXPECT_EQ(of("red")->policy, of("red")->policy);
  EXPECT_EQ(of("red")->scope, of("blue")->scope);
  EXPECT_NE(of("own")->scope, of("both")->scope);
  EXPECT_NE(of("red")->scope, of("own")->scope);
  query.params = {{"lookback_delta", "1m"}};
  const auto looking_back = of("red");
  query.params = {};
  EXPECT_NE(of("red")->scope, looking_back->scope);
  for (const char* name : {"limit", "stats", "anything"}) {
    query.params = {{name, "1"}};
    EXPECT_FALSE(of("red").has_value()) << name;
  }
}

TEST_F(CachingTest, ATenantThatIsMadeAgainInheritsNothing) {
  PutRed([](v1::Tenant*) {}, "0123456789abcdef");
  EXPECT_EQ(Get(Range(kDay, kDay + 600)).status, 200);
  PutRed([](v1::Tenant*) {}, "fedcba9876543210");
  EXPECT_EQ(Get(Range(kDay, kDay + 600)).status, 200);
  EXPECT_EQ(Asked(), 2U);
}

TEST_F(CachingTest, AnotherStoreUnderTheSameNameIsAskedAnew) {
  EXPECT_EQ(Get(Range(kDay, kDay + 600)).status, 200);
  FakeStore other(pool_.get_executor(), &registry_);
  other.SetAnswer(
      200,
      R"({"status":"success","data":{"resultType":"matrix","result":[]}})");
  tenancy::SnapshotBuilder builder(*snapshot_);
  PutUpstream(&builder, "shared", other.url(), v1::Upstream::ISOLATION_LABEL);
  snapshot_ = std::move(builder).Build(++revision_, "e");
  EXPECT_THAT(Get(Range(kDay, kDay + 600)).body, HasSubstr(R"("result":[])"));
  EXPECT_THAT(other.asked(), SizeIs(1));
}

TEST_F(CachingTest, WhatMayChangeIsNotKept) {
  const int64_t now = absl::ToUnixSeconds(absl::Now());
  EXPECT_EQ(Get(Range(now - 300, now)).status, 200);
  EXPECT_EQ(Get(Range(now - 300, now)).status, 200);
  EXPECT_EQ(Asked(), 2U);
}

TEST_F(CachingTest, WhatIsNotTheWholeAnswerIsNotKept) {
  Answer("1", R"(,"warnings":["canary at a store"])");
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Get(Range(kDay, kDay + 600)).body, Not(HasSubstr("canary")));
  }
  EXPECT_EQ(Asked(), 2U);
  Answer("1", "", "private, No-Store");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Get(Range(kDay, kDay + 600)).status, 200);
  }
  EXPECT_EQ(Asked(), 4U);
  for (const char* more : {"&limit=5", "&stats=all"}) {
    Answer("1");
    EXPECT_EQ(Get(Range(kDay + 60, kDay + 600, more)).status, 200);
    EXPECT_EQ(Get(Range(kDay + 60, kDay + 600, more)).status, 200);
  }
  EXPECT_EQ(Asked(), 8U);
}

TEST_F(CachingTest, AnswersThatTheSecondLockWithheldAreNotKept) {
  store_.SetAnswer(200, R"({"status":"success","data":{"resultType":"matrix",)"
                        R"("result":[{"metric":{"__name__":"up","namespace":)"
                        R"("blue"},"values":[[1600000000,"1"]]}]}})");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Get(Range(kDay, kDay + 600, "", "up")).status, 500);
  }
  EXPECT_EQ(Asked(), 2U);
  EXPECT_EQ(metrics_.leaks_prevented.Value(), 2);
}

TEST_F(CachingTest, ATenantOfNoQuotaKeepsNothing) {
  tenancy::SnapshotBuilder builder(*snapshot_);
  Put(&builder, v1::KIND_LIMITS, "tiny", [](v1::Object* object) {
    object->mutable_limits()->set_max_cache_bytes(1);
  });
  snapshot_ = std::move(builder).Build(++revision_, "e");
  PutRed([](v1::Tenant* tenant) { tenant->set_limits_id("tiny"); });
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Get(Range(kDay, kDay + 600)).status, 200);
  }
  EXPECT_EQ(Asked(), 2U);
}

TEST_F(CachingTest, AWholePutTogetherIsWithinTheLimitsOfItsTenant) {
  tenancy::SnapshotBuilder builder(*snapshot_);
  Put(&builder, v1::KIND_LIMITS, "small", [](v1::Object* object) {
    object->mutable_limits()->set_max_response_bytes(500);
  });
  snapshot_ = std::move(builder).Build(++revision_, "e");
  PutRed([](v1::Tenant* tenant) { tenant->set_limits_id("small"); });
  EXPECT_EQ(Get(Range(kDay, kDay + 900)).status, 200);
  const http::Response longer = Get(Range(kDay, kDay + 1800));
  EXPECT_EQ(longer.status, 422) << longer.body;
  EXPECT_THAT(longer.body, HasSubstr("max_response_bytes is 500"));
}

TEST_F(CachingTest, CanBeTurnedOff) {
  CacheConfig config;
  config.enabled = false;
  Caching caching(config, &asking_, kMaxResponse,
                  {.executor = pool_.get_executor(),
                   .clock = &clock_,
                   .metrics = &registry_});
  Answering answering(&confined_queries_, &caching, &metrics_, kMaxResponse,
                      AnswerOptions());
  ApiHandler handler([this] { return snapshot_; }, &clock_, &pools_,
                     &admission_, &answering, &book_, &pages_, &metrics_);
  for (int i = 0; i < 2; ++i) {
    const http::Response response =
        asio::co_spawn(
            asio::make_strand(pool_),
            handler.Handle(Request("GET", Range(kDay, kDay + 600), "token-red"),
                           &auth_),
            asio::use_future)
            .get();
    EXPECT_EQ(response.status, 200);
  }
  EXPECT_EQ(Asked(), 2U);
}

}  // namespace
}  // namespace insula::query_frontend
