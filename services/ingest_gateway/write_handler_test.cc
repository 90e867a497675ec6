#include "services/ingest_gateway/write_handler.h"

#include <gmock/gmock.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/auth/authenticator.h"
#include "libs/auth/fake_verifier.h"
#include "libs/status/status_matchers.h"
#include "services/ingest_gateway/fake_store.h"
#include "services/ingest_gateway/write_fixture.h"

namespace insula::ingest_gateway {
namespace {

namespace asio = boost::asio;
namespace v1 = registry::v1;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Optional;
using testing::Pair;
using testing::StartsWith;
using testing::UnorderedElementsAre;

using WriteHandlerTest = WriteFixture;

TEST_F(WriteHandlerTest, GivesEachTenantItsSeries) {
  TenantNamed("blue")->set_org_id("blue-at-the-store");
  const auto response = Write("sender", BodyOf({"red", "blue", "red"}));

  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.body, "");
  const auto arrived = Arrived();
  EXPECT_EQ(arrived.size(), 2u);
  EXPECT_THAT(arrived.at("red"), ElementsAre("__name__=up,namespace=red",
                                             "__name__=up,namespace=red"));
  EXPECT_THAT(arrived.at("blue-at-the-store"),
              ElementsAre("__name__=up,namespace=blue"));
  EXPECT_EQ(Metric("ingest_gateway_samples_received_total"), 3);
  EXPECT_EQ(Metric("ingest_gateway_samples_accepted_total{tenant=\"red\"}"), 2);
}

TEST_F(WriteHandlerTest, ForwardsAnUntouchedRequestAsItCame) {
  // A valid block that our own compressor would not make: one long literal.
  const std::string message = Message({{{"__name__", "up"}}});
  ASSERT_LT(message.size(), 60u);
  std::string body(1, static_cast<char>(message.size()));
  body += static_cast<char>((message.size() - 1) << 2);
  body += message;

  EXPECT_EQ(Write("only-red", body).status, 204);
  const auto seen = store_.TakeSeen();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].body, body);
  EXPECT_EQ(seen[0].tenant, "red");
}

TEST_F(WriteHandlerTest, BuildsItsOwnHeadersFromNothing) {
  http::Request request = Request("only-red", BodyOf({"red"}));
  request.headers.Add("X-Scope-OrgID", "red");
  request.headers.Add("THANOS-TENANT", "blue");
  request.headers.Add("Connection", "X-Scope-OrgID");
  request.headers.Add("Cookie", "secret");
  request.headers.Add("User-Agent", "curl");
  EXPECT_EQ(Handle(std::move(request)).status, 204);

  const auto seen = store_.TakeSeen();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].method, "POST");
  EXPECT_EQ(seen[0].target, "/api/v1/push");
  const http::Headers& headers = seen[0].headers;
  EXPECT_THAT(headers.Get("Content-Type"),
              Optional(Eq("application/x-protobuf")));
  EXPECT_THAT(headers.Get("Content-Encoding"), Optional(Eq("snappy")));
  EXPECT_THAT(headers.Get("X-Prometheus-Remote-Write-Version"),
              Optional(Eq("0.1.0")));
  EXPECT_THAT(headers.Get("User-Agent"), Optional(Eq("insula/test")));
  EXPECT_THAT(headers.Get("X-Scope-OrgID"), Optional(Eq("red")));
  for (const char* name : {"Authorization", "Cookie", "THANOS-TENANT"}) {
    EXPECT_EQ(headers.Get(name), std::nullopt) << name;
  }
}

TEST_F(WriteHandlerTest, SharedStoresGetTheEnforcedLabelsAndNoHeader) {
  TenantNamed("red")->set_upstream_id("shared");
  (*TenantNamed("red")->mutable_enforced_labels())["namespace"] = "red";
  const auto response =
      Write("only-red",
            Compressed(Message({{{"__name__", "a"}},
                                {{"__name__", "b"}, {"namespace", "blue"}},
                                {{"__name__", "c"}, {"namespace", "red"}}})));

  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body,
              AllOf(StartsWith("insula: "), HasSubstr("foreign_label"),
                    HasSubstr("1 of 3"), HasSubstr("'red'")));
  EXPECT_THAT(Arrived(),
              ElementsAre(Pair("", ElementsAre("__name__=a,namespace=red",
                                               "__name__=c,namespace=red"))));
}

struct MoodCase {
  FakeStore::Mood mood;
  int status;
  std::string reason;
};

TEST_F(WriteHandlerTest, AnswersByTheWorstPartAndKeepsTheOthers) {
  const MoodCase cases[] = {
      {{.status = 200}, 204, ""},
      {{.status = 202}, 204, ""},
      {{.status = 400, .body = "out of order"}, 400, "upstream_refused"},
      {{.status = 409}, 400, "upstream_refused"},
      {{.status = 413}, 400, "upstream_refused"},
      {{.status = 408}, 503, "upstream_unavailable"},
      {{.status = 429, .retry_after = "7"}, 429, "rate_limited"},
      {{.status = 500}, 503, "upstream_unavailable"},
      {{.status = 503, .retry_after = "11"}, 503, "upstream_unavailable"},
  };
  for (const MoodCase& c : cases) {
    Restart();
    store_.SetMood("blue", c.mood);
    const auto response = Write("sender", BodyOf({"red", "blue"}));
    EXPECT_EQ(response.status, c.status) << c.mood.status;
    EXPECT_THAT(TenantsReached(), ElementsAre("blue", "red"));
    EXPECT_EQ(Metric("ingest_gateway_samples_accepted_total{tenant=\"red\"}"),
              1);
    if (c.status == 204) continue;
    EXPECT_THAT(response.body,
                AllOf(StartsWith("insula: "), HasSubstr("tenant 'blue'"),
                      Not(HasSubstr("'red'")), HasSubstr(c.reason),
                      HasSubstr(c.mood.body)));
    EXPECT_EQ(response.headers.Get("Retry-After").has_value(), c.status != 400);
    if (!c.mood.retry_after.empty()) {
      EXPECT_EQ(*response.headers.Get("Retry-After"), c.mood.retry_after);
    }
    EXPECT_EQ(
        Metric(absl::StrCat("ingest_gateway_samples_refused_total{reason=\"",
                            c.reason, "\"}")),
        1);
  }
}

TEST_F(WriteHandlerTest, AStoreThatHangsCostsOnlyItsOwnTenant) {
  objects_[absl::StrCat(v1::KIND_UPSTREAM, "/store")]
      .mutable_upstream()
      ->mutable_timeout()
      ->set_nanos(300'000'000);
  // The client's deadlines are of the real clock.
  clock_.Advance(absl::Now() - clock_.Now());
  store_.SetMood("blue", {.waits = true});
  const auto response = Write("sender", BodyOf({"red", "blue"}));

  EXPECT_EQ(response.status, 503);
  EXPECT_THAT(response.body, HasSubstr("tenant 'blue': upstream_unavailable"));
  EXPECT_EQ(Metric("ingest_gateway_samples_accepted_total{tenant=\"red\"}"), 1);
  EXPECT_EQ(Metric("ingest_gateway_upstream_requests_total{code=\"error\"}"),
            1);
}

TEST_F(WriteHandlerTest, WhatBecomesOfAPartIsKnownEvenIfTheSenderGoesAway) {
  const std::string body = BodyOf({"red", "blue"});
  store_.SetMood("red", {.waits = true});
  store_.SetMood("blue", {.status = 503});
  asio::cancellation_signal gone;
  std::promise<int> answered;
  asio::co_spawn(strand_, handler_->Handle(Request("sender", body), &listener_),
                 asio::bind_cancellation_slot(
                     gone.slot(), [&](std::exception_ptr, http::Response r) {
                       answered.set_value(r.status);
                     }));
  store_.AwaitWaiting();
  std::promise<void> emitted;
  asio::post(strand_, [&] {
    gone.emit(asio::cancellation_type::terminal);
    emitted.set_value();
  });
  emitted.get_future().wait();
  store_.Release();
  EXPECT_EQ(answered.get_future().get(), 503);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue", "red"));

  store_.SetMood("blue", {});
  EXPECT_EQ(Write("sender", body).status, 204);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue"));
}

TEST_F(WriteHandlerTest, AStoreThatIsGoneIsUnavailable) {
  objects_[absl::StrCat(v1::KIND_UPSTREAM, "/store")]
      .mutable_upstream()
      ->set_write_url("http://127.0.0.1:1/");
  clock_.Advance(absl::Now() - clock_.Now());
  EXPECT_EQ(Write("only-red", BodyOf({"red"})).status, 503);
}

TEST_F(WriteHandlerTest, ARetryReachesOnlyTheTenantThatFailed) {
  const std::string body = BodyOf({"red", "blue"});
  store_.SetMood("blue", {.status = 503});
  EXPECT_EQ(Write("sender", body).status, 503);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue", "red"));
  EXPECT_EQ(Write("sender", body).status, 503);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue"));

  store_.SetMood("blue", {});
  EXPECT_EQ(Write("sender", body).status, 204);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue"));
  EXPECT_EQ(Metric("ingest_gateway_parts_skipped_total"), 2);

  // That was the last of it: the same body again is a new request.
  EXPECT_EQ(Write("sender", body).status, 204);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue", "red"));
}

TEST_F(WriteHandlerTest, TheMemoryOfARetryIsTheCallersOwnAndEnds) {
  const std::string body = BodyOf({"red", "blue"});
  store_.SetMood("blue", {.status = 503});
  EXPECT_EQ(Write("sender", body).status, 503);
  store_.TakeSeen();

  EXPECT_EQ(Write("other-sender", body).status, 503);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue", "red"));
  clock_.Advance(absl::Minutes(6));
  EXPECT_EQ(Write("sender", body).status, 503);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue", "red"));
}

TEST_F(WriteHandlerTest, ATenantMadeAgainGetsItsPartOfARetry) {
  const std::string body = BodyOf({"red", "blue"});
  store_.SetMood("blue", {.status = 503});
  EXPECT_EQ(Write("sender", body).status, 503);
  store_.TakeSeen();

  AddTenant("red");  // Another uid.
  EXPECT_EQ(Write("sender", body).status, 503);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue", "red"));
}

TEST_F(WriteHandlerTest, APartThatChangedIsSentOnARetry) {
  const std::string body = BodyOf({"red", "blue"});
  store_.SetMood("blue", {.status = 503});
  EXPECT_EQ(Write("sender", body).status, 503);
  store_.TakeSeen();

  (*TenantNamed("red")->mutable_enforced_labels())["team"] = "a";
  EXPECT_EQ(Write("sender", body).status, 503);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue", "red"));
}

TEST_F(WriteHandlerTest, ATenantOverItsRateWaitsAndTheOthersDoNot) {
  auto& limits = *Add(v1::KIND_LIMITS, "slow")->mutable_limits();
  limits.set_samples_per_second(1);
  limits.set_samples_burst(3);
  TenantNamed("blue")->set_limits_id("slow");
  const std::string body = BodyOf({"red", "blue", "blue"});
  EXPECT_EQ(Write("sender", body).status, 204);
  store_.TakeSeen();

  const auto response = Write("sender", body);
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(*response.headers.Get("Retry-After"), "1");
  EXPECT_THAT(response.body, AllOf(HasSubstr("tenant 'blue': rate_limited"),
                                   HasSubstr("limit 1")));
  EXPECT_THAT(TenantsReached(), ElementsAre("red"));

  // The retry that was asked for is red's no more.
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Write("sender", body).status, 204);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue"));
}

TEST_F(WriteHandlerTest, WhatIsOverTheBurstIsRefusedForGood) {
  auto& limits = *Add(v1::KIND_LIMITS, "slow")->mutable_limits();
  limits.set_samples_per_second(1);
  limits.set_samples_burst(1);
  TenantNamed("blue")->set_limits_id("slow");
  const auto response = Write("sender", BodyOf({"red", "blue", "blue"}));
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("burst_exceeded"));
  EXPECT_THAT(TenantsReached(), ElementsAre("red"));
}

TEST_F(WriteHandlerTest, RefusesSeriesOfTenantsThatCanNotBeWritten) {
  TenantNamed("red")->set_state(v1::Tenant::STATE_SUSPENDED);
  TenantNamed("blue")->set_state(v1::Tenant::STATE_READ_ONLY);
  AddTenant("homeless")->clear_upstream_id();
  AddTenant("open")->set_upstream_id("shared");
  struct {
    const char* token;
    const char* name;
    const char* reason;
    int status;
  } cases[] = {
      {"every", "red", "tenant_suspended", 403},
      {"every", "blue", "tenant_read_only", 403},
      {"every", "nobody", "tenant_unknown", 403},
      {"every", "homeless", "no_upstream", 400},
      {"every", "open", "no_enforced_labels", 400},
      {"every", "..", "tenant_id_invalid", 400},
      {"every", "a/b", "tenant_id_invalid", 400},
      {"every", "a|b", "tenant_id_invalid", 400},
      {"every", "a\r\nb", "tenant_id_invalid", 400},
      {"every", "green ", "tenant_id_invalid", 400},
      {"every", "gr\xc3\xa9\xc3\xa9n", "tenant_id_invalid", 400},
      {"sender", "green", "tenant_not_allowed", 403},
      {"sender", "unheard-of", "tenant_not_allowed", 403},
      {"sender", "ghost", "tenant_unknown", 403},
      {"sender", "Green", "tenant_not_allowed", 403},
  };
  for (const auto& c : cases) {
    const auto response = Write(c.token, BodyOf({c.name}));
    EXPECT_EQ(response.status, c.status) << c.name;
    EXPECT_THAT(response.body, HasSubstr(c.reason)) << c.name;
    EXPECT_THAT(response.body, Not(HasSubstr("\r"))) << c.name;
    EXPECT_THAT(TenantsReached(), IsEmpty()) << c.name;
  }
}

TEST_F(WriteHandlerTest, ASeriesOfAnotherTenantDoesNotStopTheCallersOwn) {
  const auto response = Write("sender", BodyOf({"red", "green"}));
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body,
              AllOf(HasSubstr("tenant_not_allowed"), HasSubstr("'green'")));
  EXPECT_THAT(TenantsReached(), ElementsAre("red"));
}

TEST_F(WriteHandlerTest, TheDefaultTenantMustBeInTheBindingToo) {
  objects_[absl::StrCat(v1::KIND_CLAIM_RULE, "/by-namespace")]
      .mutable_claim_rule()
      ->set_default_tenant_id("green");
  const std::string body = Compressed(Message({{{"__name__", "up"}}}));
  EXPECT_EQ(Write("sender", body).status, 403);
  EXPECT_EQ(Write("every", body).status, 204);
  EXPECT_THAT(TenantsReached(), ElementsAre("green"));
}

TEST_F(WriteHandlerTest, KnowsItsCallers) {
  EXPECT_EQ(Write("stranger", BodyOf({"red"})).status, 401);
  EXPECT_EQ(Write("reader", BodyOf({"red"})).status, 403);
  http::Request bare = Request("x", BodyOf({"red"}));
  bare.headers.Remove("Authorization");
  bare.headers.Add("X-Scope-OrgID", "red");
  EXPECT_EQ(Handle(std::move(bare)).status, 401);
  EXPECT_THAT(TenantsReached(), IsEmpty());
}

TEST_F(WriteHandlerTest, RefusesBeforeTheBodyIsRead) {
  const auto refused = handler_->Admit(Request("stranger", ""), &listener_);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 401);
  EXPECT_THAT(refused->body, StartsWith("insula:"));
  EXPECT_EQ(handler_->Admit(Request("sender", ""), &listener_), std::nullopt);
}

TEST_F(WriteHandlerTest, AsksAVerifierAboutTokensThatNoBindingNames) {
  auto* fact = AddBinding("ann", {"red"}, "")->mutable_jwt();
  fact->set_issuer("https://id");
  fact->set_claim("sub");
  fact->set_value("ann");
  auth::ListenerAuth config;
  config.jwt.emplace_back();
  const auto verifier = std::make_shared<auth::FakeVerifier>("jwt");
  verifier->answers.emplace("late-ann", verifier->Named("ann"));
  verifier->answers.emplace("late-eve", verifier->Named("eve"));
  verifier->answers.emplace("late-down", absl::UnavailableError("down"));
  verifier->answers.emplace("late-many", absl::ResourceExhaustedError("many"));
  auth::Methods methods;
  methods.bearer = verifier;
  const auth::Authenticator listener(config, methods);
  const auto status = [&](const std::string& token) {
    return boost::asio::co_spawn(
               strand_,
               handler_->Handle(Request(token, BodyOf({"red"})), &listener),
               boost::asio::use_future)
        .get()
        .status;
  };
  EXPECT_EQ(status("late-eve"), 403);
  EXPECT_EQ(status("late-nobody"), 401);
  EXPECT_EQ(status("late-down"), 503);
  EXPECT_EQ(status("late-many"), 429);
  EXPECT_EQ(status("cached-eve"), 403);
  EXPECT_THAT(TenantsReached(), IsEmpty());
  EXPECT_EQ(status("late-ann"), 204);
  EXPECT_EQ(status("cached-ann"), 204);
  EXPECT_THAT(TenantsReached(), ElementsAre("red", "red"));
  EXPECT_EQ(verifier->asked.size(), 5u);

  // Before the body is read, only what takes no waiting is refused.
  EXPECT_EQ(handler_->Admit(Request("late-eve", ""), &listener), std::nullopt);
  const auto refused = handler_->Admit(Request("cached-eve", ""), &listener);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 403);
}

TEST_F(WriteHandlerTest, RefusesBodiesThatAreNoRemoteWrite) {
  config_.max_decoded_body = {1000};
  config_.max_series = 10;
  Restart();
  const std::string good = Message({{{"__name__", "up"}}});
  struct {
    std::string body;
    int status;
  } cases[] = {
      {"", 400},
      {"garbage", 400},
      {good, 400},  // Not compressed.
      {Compressed("garbage"), 400},
      {Compressed(good) + "x", 400},
      {Compressed(good).substr(0, 10), 400},
      {Compressed(std::string(1001, 'x')), 413},
      {BodyOf(std::vector<std::string>(11, "red")), 413},
  };
  for (const auto& c : cases) {
    const auto response = Write("sender", c.body);
    EXPECT_EQ(response.status, c.status) << testing::PrintToString(c.body);
    EXPECT_THAT(response.body, StartsWith("insula:"));
  }
  EXPECT_EQ(Metric("ingest_gateway_requests_malformed_total"), 8);
  EXPECT_THAT(TenantsReached(), IsEmpty());
  EXPECT_EQ(Write("sender", Compressed("")).status,
            204);  // Nothing, well said.
}

TEST_F(WriteHandlerTest, WritesOfManyTenantsAllArrive) {
  config_.max_parallel_parts = 4;
  Restart();
  std::vector<std::string> names;
  for (int i = 0; i < 50; ++i) {
    names.push_back(absl::StrCat("tenant-", i));
    AddTenant(names.back());
  }
  EXPECT_EQ(Write("every", BodyOf(names)).status, 204);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(TenantsReached(), names);
}

TEST_F(WriteHandlerTest, MetadataAloneGoesToTheTenantsThatHadTheMetric) {
  Write("sender", BodyOf({"red", "blue"}));
  store_.TakeSeen();
  std::string message;
  remote_write::AppendMetadata(2, "up", "Whether it is up.", &message);
  EXPECT_EQ(Write("sender", Compressed(message)).status, 204);
  EXPECT_THAT(TenantsReached(), ElementsAre("blue", "red"));

  // Another sender learns nothing of it.
  EXPECT_EQ(Write("other-sender", Compressed(message)).status, 204);
  EXPECT_THAT(TenantsReached(), IsEmpty());
  EXPECT_EQ(Metric("ingest_gateway_metadata_dropped_total"), 1);

  // What it may no longer write it is not sent to.
  objects_[absl::StrCat(v1::KIND_BINDING, "/sender")]
      .mutable_binding()
      ->clear_tenant_ids();
  objects_[absl::StrCat(v1::KIND_BINDING, "/sender")]
      .mutable_binding()
      ->add_tenant_ids("red");
  EXPECT_EQ(Write("sender", Compressed(message)).status, 204);
  EXPECT_THAT(TenantsReached(), ElementsAre("red"));
}

}  // namespace
}  // namespace insula::ingest_gateway
