// Confinements that are remembered, and by whom they are never found.

#include "services/query_frontend/confined_queries.h"

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/status/status_matchers.h"
#include "libs/tenancy/read_policy.h"
#include "services/query_frontend/api_fixture.h"

namespace insula::query_frontend {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ConfinedQueriesTest : public ApiTest {
 protected:
  Policy PolicyFor(const std::string& tenant) {
    absl::StatusOr<Policy> policy =
        PolicyOf(*snapshot_->FindTenant(tenant), *snapshot_, &pools_);
    EXPECT_THAT(policy, IsOk());
    return *std::move(policy);
  }
  // What is sent for `query`.
  std::string Text(const std::string& query, const Policy& policy,
                   const ApiParams& params = {}) {
    const auto confined = queries_.Confine(query, params, policy);
    EXPECT_THAT(confined, IsOk());
    return confined.ok() ? (*confined)->texts.front() : "";
  }
  double Remembered() { return Count("remembered"); }
  double Made() { return Count("made"); }

  static ApiParams Range(int steps) {
    ApiParams params;
    params.start = absl::UnixEpoch();
    params.step = absl::Seconds(1);
    params.end = *params.start + (steps - 1) * params.step;
    return params;
  }
  // Labels of a tenant, as of now.
  void Label(const std::string& tenant, const std::string& value) {
    tenancy::SnapshotBuilder builder(*snapshot_);
    PutTenant(&builder, tenant, "shared", value);
    snapshot_ = std::move(builder).Build(++revision_, "e");
  }

  metrics::Registry counts_;
  ConfinedQueries queries_{size_t{1} << 20, &counts_};

 private:
  double Count(const std::string& how) {
    return counts_
        .AddCounter("query_frontend_queries_confined_total", "", {{"how", how}})
        .Value();
  }

  int64_t revision_ = 7;
};

TEST_F(ConfinedQueriesTest, TheSameIsConfinedOnce) {
  const Policy red = PolicyFor("red");
  const std::string text = Text("sum(up)", red);
  EXPECT_EQ(text, R"(sum(up{namespace="red"}))");
  EXPECT_EQ(Text("sum(up)", PolicyFor("red")), text);
  EXPECT_EQ(Made(), 1);
  EXPECT_EQ(Remembered(), 1);
}

TEST_F(ConfinedQueriesTest, OnlyTheTimeMayDiffer) {
  const Policy red = PolicyFor("red");
  Text("up", red, Range(10));
  ApiParams later = Range(10);
  *later.start += absl::Hours(1);
  *later.end += absl::Hours(1);
  Text("up", red, later);
  EXPECT_EQ(Remembered(), 1);

  Text("up", red, Range(11));  // It costs more.
  Text("up", red);             // Has no traits.
  Text("up ", red, Range(10));
  Policy other = red;
  other.dialect.version = {3, 0};
  Text("up", other, Range(10));
  other = red;
  other.victoria_metrics = true;
  Text("up", other, Range(10));
  other.takes_filters = true;
  Text("up", other, Range(10));
  EXPECT_EQ(Remembered(), 1);
  EXPECT_EQ(Made(), 7);
}

TEST_F(ConfinedQueriesTest, WhatOneTenantAskedNoOtherFinds) {
  EXPECT_EQ(Text("up", PolicyFor("red")), R"(up{namespace="red"})");
  EXPECT_EQ(Text("up", PolicyFor("blue")), R"(up{namespace="blue"})");
  EXPECT_EQ(Text("up", PolicyFor("red")), R"(up{namespace="red"})");
  EXPECT_EQ(Remembered(), 1);
}

TEST_F(ConfinedQueriesTest, AChangeOfWhatIsReadForgetsAll) {
  EXPECT_EQ(Text("up", PolicyFor("red")), R"(up{namespace="red"})");
  Label("red", "crimson");
  EXPECT_EQ(Text("up", PolicyFor("red")), R"(up{namespace="crimson"})");
  EXPECT_EQ(Remembered(), 0);
}

// As when one policy is freed, and the next is made where it was.
TEST_F(ConfinedQueriesTest, ALaterPolicyAtTheSameAddressFindsNothing) {
  const Policy red = PolicyFor("red");
  const auto keep = [](const tenancy::ReadPolicy*) {};
  Policy first = red;
  first.reads = {red.reads.get(), keep};
  Text("up", first);
  Text("up", first);
  EXPECT_EQ(Remembered(), 1);
  first.reads.reset();
  Policy second = red;
  second.reads = {red.reads.get(), keep};
  Text("up", second);
  EXPECT_EQ(Remembered(), 1);
}

TEST_F(ConfinedQueriesTest, LimitsHoldForWhatIsRemembered) {
  Policy red = PolicyFor("red");
  Text("up + up", red, Range(10));
  red.limits.max_selectors = 1;
  EXPECT_THAT(queries_.Confine("up + up", Range(10), red),
              StatusIs(absl::StatusCode::kResourceExhausted));
  red = PolicyFor("red");
  red.max_query_bytes = 6;
  EXPECT_THAT(
      queries_.Confine("up + up", Range(10), red),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 7 bytes")));
  EXPECT_EQ(Remembered(), 0);
}

TEST_F(ConfinedQueriesTest, WhatIsRefusedIsRefusedEachTime) {
  const Policy red = PolicyFor("red");
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(queries_.Confine("sum(", ApiParams(), red),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_EQ(Made() + Remembered(), 0);
}

TEST_F(ConfinedQueriesTest, TheOldestGoesFirstAndLongTextsAreNotKept) {
  const Policy red = PolicyFor("red");
  ConfinedQueries few(size_t{640} << 10, &counts_);
  const auto text = [](int i) {
    return absl::StrCat("up{n=\"", std::string(1000, 'x'), i, "\"}");
  };
  const auto ask = [&](int i) {
    const double before = Remembered();
    EXPECT_THAT(few.Confine(text(i), ApiParams(), red), IsOk());
    return Remembered() > before;
  };
  EXPECT_FALSE(ask(0));
  EXPECT_TRUE(ask(0));
  for (int i = 1; i < 2000; ++i) {
    EXPECT_FALSE(ask(i));
    // What is asked for again and again stays.
    if (i % 2 == 0) {
      EXPECT_TRUE(ask(0));
    }
  }
  EXPECT_TRUE(ask(1999));
  EXPECT_FALSE(ask(1));

  const std::string longest = absl::StrCat(
      "up{n=\"", std::string(ConfinedQueries::kMaxQueryBytes, 'x'), "\"}");
  const double before = Remembered();
  Text(longest, red);
  Text(longest, red);
  EXPECT_EQ(Remembered(), before);
}

// The same by way of requests, with what a store is sent.
TEST_F(ConfinedQueriesTest, ARequestThatComesAgainIsSentTheSame) {
  store_.SetAnswer(
      200,
      R"({"status":"success","data":{"resultType":"vector","result":[]}})");
  for (const char* const token : {"token-red", "token-blue", "token-red"}) {
    EXPECT_EQ(Get("/api/v1/query?time=1&query=sum(up)", token).status, 200);
  }
  std::vector<std::string> sent;
  for (const Asked& asked : store_.asked()) {
    for (const auto& [name, value] : asked.Params()) {
      if (name == "query") sent.push_back(value);
    }
  }
  EXPECT_THAT(sent, ElementsAre(R"(sum(up{namespace="red"}))",
                                R"(sum(up{namespace="blue"}))",
                                R"(sum(up{namespace="red"}))"));
}

}  // namespace
}  // namespace insula::query_frontend
