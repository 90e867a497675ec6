#include "services/rule_sync/ruler_target.h"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <thread>

#include "absl/strings/escaping.h"
#include "libs/rules/write.h"
#include "libs/status/status_matchers.h"
#include "services/rule_sync/fake_ruler.h"
#include "services/rule_sync/target_fixture.h"

namespace insula::rule_sync {
namespace {

namespace asio = boost::asio;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using Mood = FakeRuler::Mood;
using Kind = FakeRuler::Mood::Kind;
using State = GroupOutcome::State;

constexpr char kForeign[] =
    "name: theirs\nrules: [{record: 'a:b', expr: up}]\n";

class RulerTargetTest : public TargetFixture {
 protected:
  RulerTargetTest() {
    unit_.spec.type = UnitSpec::Type::kRuler;
    unit_.spec.url = ruler_.url();
    unit_.spec.header = "X-Scope-OrgID";
    unit_.spec.org_id = "org";
    AddTenant("red");
    target_ = NewTarget();
  }
  ~RulerTargetTest() override { ruler_.Release(); }

  std::unique_ptr<RulerTarget> NewTarget() {
    return std::make_unique<RulerTarget>(RulerTargetOptions(), &client_,
                                         &blocking_);
  }
  SyncResult SyncNow(bool may_delete = true) {
    return Sync(target_.get(), may_delete);
  }
  // "METHOD target" of what the ruler was asked.
  std::vector<std::string> Calls() {
    std::vector<std::string> calls;
    for (const FakeRuler::Seen& seen : ruler_.TakeSeen()) {
      calls.push_back(absl::StrCat(seen.method, " ", seen.target));
    }
    return calls;
  }
  std::vector<std::string> Writes() {
    std::vector<std::string> calls = Calls();
    std::erase_if(calls, [](const std::string& call) {
      return call.rfind("GET ", 0) == 0;
    });
    return calls;
  }

  FakeRuler ruler_{pool_.get_executor(), &metrics_};
  std::unique_ptr<RulerTarget> target_;
};

TEST_F(RulerTargetTest, GroupsBecomeActiveWhenTheListShowsThem) {
  SetFile("red", "api", FileWith({"a", "b"}));
  const SyncResult result = SyncNow();
  EXPECT_THAT(result.status, IsOk());
  EXPECT_EQ(result.created, 2u);
  EXPECT_EQ(OutcomeOf(result, "red", "api", "a").state, State::kActive);
  EXPECT_EQ(OutcomeOf(result, "red", "api", "b").state, State::kActive);
  EXPECT_THAT(*result.present, SizeIs(2));
  EXPECT_THAT(
      ruler_.Places("org"),
      UnorderedElementsAre(Pair("insula/api", "a"), Pair("insula/api", "b")));
  EXPECT_THAT(
      Calls(),
      ElementsAre("GET /api/v1/rules", "POST /api/v1/rules/insula%2Fapi",
                  "POST /api/v1/rules/insula%2Fapi", "GET /api/v1/rules"));
}

TEST_F(RulerTargetTest, NothingIsSentWhenNothingDiffers) {
  SetFile("red", "api",
          "groups:\n- name: a\n  interval: 60s\n  limit: 0\n  rules:\n"
          "  - alert: A\n    expr: sum(up)by(job)==0\n    for: 90s\n"
          "    labels: {severity: page}\n");
  SyncNow();
  Calls();
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(SyncNow().status, IsOk());
    EXPECT_THAT(Calls(), ElementsAre("GET /api/v1/rules"));
  }
}

TEST_F(RulerTargetTest, OnlyDifferencesAreSentUpdatesThenCreatesThenDeletes) {
  SetFile("red", "api", FileWith({"a", "b", "c"}));
  SyncNow();
  Calls();
  SetFile(
      "red", "api",
      FileWith({"b", "d"}) + "- name: c\n  rules: [{record: c, expr: up}]\n");
  const SyncResult result = SyncNow();
  EXPECT_THAT(result.status, IsOk());
  EXPECT_THAT(Writes(), ElementsAre("POST /api/v1/rules/insula%2Fapi",
                                    "POST /api/v1/rules/insula%2Fapi",
                                    "DELETE /api/v1/rules/insula%2Fapi/a"));
  EXPECT_EQ(result.updated, 1u);
  EXPECT_EQ(result.created, 1u);
  EXPECT_EQ(result.deleted, 1u);
}

TEST_F(RulerTargetTest, NamesAreEncodedOnceAndComeBackAsTheyWere) {
  const std::string stem = "a b/../%2F?ü";
  SetFile("red", stem,
          "groups:\n- name: '..'\n  rules: [{record: a, expr: up}]\n"
          "- name: 'x/y?z%20'\n  rules: [{record: b, expr: up}]\n");
  EXPECT_THAT(SyncNow().status, IsOk());
  EXPECT_THAT(ruler_.Places("org"),
              UnorderedElementsAre(Pair("insula/" + stem, ".."),
                                   Pair("insula/" + stem, "x/y?z%20")));
  SetFile("red", stem, "");
  EXPECT_THAT(SyncNow().status, IsOk());
  EXPECT_THAT(ruler_.Places("org"), IsEmpty());
}

TEST_F(RulerTargetTest, ForeignNamespacesAreNeverTouched) {
  for (const char* name : {"insula", "insula2/api", "other/insula/api", ""}) {
    ruler_.Plant("org", name, kForeign);
  }
  ruler_.Plant("org", "insula/old", kForeign);
  SetFile("red", "api", FileWith({"a"}));
  EXPECT_THAT(SyncNow().status, IsOk());
  EXPECT_THAT(ruler_.Places("org"), SizeIs(5));  // Without insula/old.
  SetFile("red", "api", "");
  EXPECT_THAT(SyncNow().status, IsOk());
  EXPECT_THAT(ruler_.Places("org"), SizeIs(4));
}

TEST_F(RulerTargetTest, DriftIsRepaired) {
  SetFile("red", "api", FileWith({"a"}));
  SyncNow();
  const std::string before = ruler_.Dump("org");
  ruler_.Plant("org", "insula/api", kForeign);
  EXPECT_THAT(SyncNow().status, IsOk());
  EXPECT_EQ(ruler_.Dump("org"), before);
}

// Answers each connection with the beginning of an answer, and closes it.
class CutServer {
 public:
  CutServer() {
    acceptor_.set_option(asio::ip::tcp::acceptor::reuse_address(true));
    thread_ = std::thread([this] { Serve(); });
  }
  ~CutServer() {
    // The thread waits for one more connection.
    ended_ = true;
    boost::system::error_code ignored;
    asio::ip::tcp::socket socket(context_);
    socket.connect(acceptor_.local_endpoint(), ignored);
    thread_.join();
  }
  int port() const { return acceptor_.local_endpoint().port(); }

 private:
  void Serve() {
    boost::system::error_code ignored;
    while (true) {
      asio::ip::tcp::socket socket(context_);
      acceptor_.accept(socket, ignored);
      if (ended_) return;
      char request[4096];
      socket.read_some(asio::buffer(request), ignored);
      asio::write(socket,
                  asio::buffer(std::string(
                      "HTTP/1.1 200 OK\r\nContent-Type: application/yaml\r\n"
                      "Content-Length: 1000\r\n\r\n{}\n")),
                  ignored);
    }
  }

  asio::io_context context_;
  asio::ip::tcp::acceptor acceptor_{context_,
                                    {asio::ip::address_v4::loopback(), 0}};
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

// Whatever is not a list, nothing is written then.
class NoListTest : public RulerTargetTest,
                   public testing::WithParamInterface<Mood> {};

TEST_P(NoListTest, NothingIsWritten) {
  SCOPED_TRACE(absl::StrCat(GetParam().status, " ", GetParam().body));
  SetFile("red", "api", FileWith({"a", "b"}));
  SyncNow();
  const std::string before = ruler_.Dump("org");
  SetFile("red", "api", FileWith({"b", "c"}, "2"));
  Calls();
  ruler_.SetMood("org", GetParam());
  unit_.spec.timeout = absl::Milliseconds(300);
  const SyncResult result = SyncNow();
  EXPECT_FALSE(result.status.ok());
  EXPECT_NE(result.failure, Failure::kNone);
  EXPECT_FALSE(result.present.has_value());
  EXPECT_EQ(OutcomeOf(result, "red", "api", "c").state, State::kFailed);
  EXPECT_THAT(Writes(), IsEmpty());
  EXPECT_EQ(ruler_.Dump("org"), before);

  ruler_.SetMood("org", {});
  unit_.spec.timeout = absl::Seconds(20);
  EXPECT_THAT(SyncNow().status, IsOk());
  EXPECT_THAT(ruler_.Places("org"), SizeIs(2));
}

Mood Says(int status, std::string body, std::string type = "text/plain") {
  Mood mood;
  mood.kind = Kind::kAnswers;
  mood.status = status;
  mood.body = std::move(body);
  mood.content_type = std::move(type);
  return mood;
}

Mood Does(Kind kind) {
  Mood mood;
  mood.kind = kind;
  return mood;
}

INSTANTIATE_TEST_SUITE_P(
    All, NoListTest,
    testing::Values(Says(404, "404 page not found"), Says(404, ""),
                    Says(404, "<html>no rule groups found</html>", "text/html"),
                    Says(200, ""), Says(200, "\n"), Says(200, "null\n"),
                    Says(200, "<html><body>Sign in</body></html>", "text/html"),
                    Says(200, "{}", "text/html"), Says(200, "[]"),
                    Says(200, "ok"),
                    Says(200, R"({"status":"success","data":{"groups":[]}})",
                         "application/json"),
                    Says(200, "insula/api:\n- rules: []\n"), Says(204, ""),
                    Says(302, ""), Says(400, "no org id"),
                    Says(401, "no org id"), Says(403, "no"),
                    Says(429, "slow down"), Says(500, "object store"),
                    Says(503, ""), Does(Kind::kHangs)));

TEST_F(RulerTargetTest, AnEmptyMapIsNoGroupsAsIsTheTextOf404) {
  for (Mood mood : {Says(200, "{}\n", "application/yaml"),
                    Says(404, "no rule groups found\n")}) {
    mood.times = 1;
    ruler_.SetMood("org", mood);
    const std::string stem = absl::StrCat("api", mood.status);
    SetFile("red", stem, FileWith({"a"}));
    const SyncResult result = SyncNow();
    EXPECT_THAT(result.status, IsOk());
    EXPECT_EQ(OutcomeOf(result, "red", stem, "a").state, State::kActive);
  }
}

TEST_F(RulerTargetTest, AnAnswerThatEndsEarlyIsNoAnswer) {
  SetFile("red", "api", FileWith({"a"}));
  CutServer server;
  unit_.spec.url = absl::StrCat("http://127.0.0.1:", server.port());
  const SyncResult result = SyncNow();
  EXPECT_FALSE(result.status.ok());
  EXPECT_EQ(result.failure, Failure::kUnreachable);
}

// A text that ends early may be YAML all the same, of fewer groups.
TEST_F(RulerTargetTest, HalfAListNeverDeletesWhatIsWantedOrForeign) {
  SetFile("red", "api", FileWith({"a", "b"}));
  ruler_.Plant("org", "foreign", kForeign);
  SyncNow();
  const std::string before = ruler_.Dump("org");
  Mood mood = Does(Kind::kHalf);
  mood.method = "GET";
  ruler_.SetMood("org", mood);
  SyncNow();
  EXPECT_EQ(ruler_.Dump("org"), before);
}

TEST_F(RulerTargetTest, RetryAfterIsHandedOnAndTheRestWaits) {
  SetFile("red", "api", FileWith({"a", "b", "c"}));
  Mood mood = Says(429, "rate limited");
  mood.retry_after = "7";
  mood.method = "POST";
  ruler_.SetMood("org", mood);
  const SyncResult result = SyncNow();
  EXPECT_THAT(result.status, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(result.failure, Failure::kBusy);
  EXPECT_EQ(result.retry_after, absl::Seconds(7));
  EXPECT_THAT(Writes(), SizeIs(1));
}

TEST_F(RulerTargetTest, OneGroupThatFailsDoesNotKeepTheOthers) {
  SetFile("red", "a", FileWith({"a"}));
  SetFile("red", "bad", FileWith({"b"}));
  SetFile("red", "c", FileWith({"c"}));
  Mood mood = Says(500, "object store");
  mood.method = "POST";
  mood.contains = "bad";
  ruler_.SetMood("org", mood);
  const SyncResult result = SyncNow();
  EXPECT_THAT(result.status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(OutcomeOf(result, "red", "a", "a").state, State::kActive);
  EXPECT_EQ(OutcomeOf(result, "red", "bad", "b").state, State::kFailed);
  EXPECT_EQ(OutcomeOf(result, "red", "c", "c").state, State::kActive);
}

TEST_F(RulerTargetTest, WhatTheRulerSaysIsWrongIsNotSentAgainUntilItChanges) {
  ruler_.SetLimits(0, 1);
  SetFile("red", "api",
          "groups:\n- name: a\n  rules:\n  - {record: a, expr: up}\n"
          "  - {record: b, expr: up}\n- name: c\n  rules:\n"
          "  - {record: c, expr: up}\n");
  for (int i = 0; i < 3; ++i) {
    const SyncResult result = SyncNow();
    EXPECT_THAT(result.status, IsOk());  // Nothing to hurry for.
    EXPECT_EQ(OutcomeOf(result, "red", "api", "c").state, State::kActive);
    const GroupOutcome refused = OutcomeOf(result, "red", "api", "a");
    EXPECT_EQ(refused.state, State::kFailed);
    EXPECT_THAT(refused.error,
                HasSubstr("per-user rules per rule group limit (limit: 1 "
                          "actual: 2) exceeded"));
    EXPECT_THAT(Writes(), SizeIs(i == 0 ? 2 : 0));
  }
  SetFile("red", "api", FileWith({"a", "c"}));
  const SyncResult result = SyncNow();
  EXPECT_EQ(OutcomeOf(result, "red", "api", "a").state, State::kActive);
}

TEST_F(RulerTargetTest, ATenantAtItsLimitIsChangedByDeleteAndPost) {
  SetFile("red", "api", FileWith({"a", "b", "c"}));
  SyncNow();
  ruler_.SetLimits(3, 0);
  Calls();
  SetFile("red", "api", FileWith({"a", "b", "d"}, "2"));
  const SyncResult result = SyncNow();
  EXPECT_THAT(result.status, IsOk());
  for (const char* group : {"a", "b", "d"}) {
    EXPECT_EQ(OutcomeOf(result, "red", "api", group).state, State::kActive);
  }
  EXPECT_THAT(ruler_.Places("org"), SizeIs(3));
  // One is refused, then c goes, which makes room for the two updates.
  EXPECT_THAT(Writes(), ElementsAre("POST /api/v1/rules/insula%2Fapi",
                                    "DELETE /api/v1/rules/insula%2Fapi/c",
                                    "POST /api/v1/rules/insula%2Fapi",
                                    "POST /api/v1/rules/insula%2Fapi",
                                    "POST /api/v1/rules/insula%2Fapi"));

  SetFile("red", "api", FileWith({"a", "b", "d"}, "3"));
  EXPECT_THAT(SyncNow().status, IsOk());
  EXPECT_THAT(ruler_.Places("org"), SizeIs(3));
  EXPECT_THAT(ruler_.Dump("org"), Not(HasSubstr("* 2")));
}

TEST_F(RulerTargetTest, OverTheLimitTheOldVersionIsBetterThanNone) {
  SetFile("red", "api", FileWith({"a", "b", "c"}));
  SyncNow();
  ruler_.SetLimits(2, 0);
  SetFile("red", "api", FileWith({"a", "b", "c", "d"}, "2"));
  const SyncResult result = SyncNow();
  EXPECT_THAT(ruler_.Places("org"), SizeIs(3));
  for (const char* group : {"a", "d"}) {
    const GroupOutcome outcome = OutcomeOf(result, "red", "api", group);
    EXPECT_EQ(outcome.state, State::kFailed);
    EXPECT_THAT(outcome.error, HasSubstr("limit: 2"));
  }
}

TEST_F(RulerTargetTest, VanishedGroupsStayUntilTheyMayGo) {
  SetFile("red", "api", FileWith({"a", "b"}));
  SyncNow();
  SetFile("red", "api", FileWith({"a", "c"}, "2"));
  SyncResult result = SyncNow(/*may_delete=*/false);
  EXPECT_THAT(result.status, IsOk());
  EXPECT_THAT(*result.present, SizeIs(3));
  EXPECT_THAT(ruler_.Places("org"), SizeIs(3));
  result = SyncNow(/*may_delete=*/true);
  EXPECT_THAT(ruler_.Places("org"), SizeIs(2));

  unit_.tenants.at(UidOf("red")).complete = false;
  SetFile("red", "api", "");
  SyncNow();
  EXPECT_THAT(ruler_.Places("org"), SizeIs(2));
}

TEST_F(RulerTargetTest, GroupsOfATenantThatIsGoneGoAtAnyTime) {
  SetFile("red", "api", FileWith({"a", "b"}));
  SyncNow();
  ruler_.Plant("org", "other", kForeign);
  unit_.tenants.clear();
  const SyncResult result = SyncNow(/*may_delete=*/false);
  EXPECT_THAT(result.status, IsOk());
  EXPECT_THAT(*result.present, IsEmpty());
  EXPECT_THAT(ruler_.Places("org"),
              UnorderedElementsAre(Pair("other", "theirs")));
}

TEST_F(RulerTargetTest, AWriteThatIsForgottenIsNotActive) {
  SetFile("red", "api", FileWith({"a"}));
  Mood mood = Does(Kind::kForgets);
  mood.method = "POST";
  ruler_.SetMood("org", mood);
  const SyncResult result = SyncNow();
  EXPECT_FALSE(result.status.ok());
  EXPECT_EQ(result.failure, Failure::kNotSeen);
  EXPECT_EQ(OutcomeOf(result, "red", "api", "a").state, State::kFailed);
}

TEST_F(RulerTargetTest, RulesForARulerByHeaderStayAsTheyAre) {
  SetFile("red", "api", FileWith({"a"}));
  SyncNow();
  EXPECT_EQ(ruler_.Find("org", {"insula/api", "a"})->rules[0].expr, "up * 1");
}

// A ruler without tenants, where labels keep them apart.
class SharedRulerTest : public RulerTargetTest {
 protected:
  SharedRulerTest() {
    ruler_.SetAuthentication(false);
    unit_.spec.header = "";
    unit_.spec.org_id = "";
    unit_.tenants.clear();
    AddTenant("red", "red");
    AddTenant("blue", "blue");
  }
  static std::string Namespace(const std::string& id, const std::string& stem) {
    return absl::StrCat("insula/", absl::BytesToHexString(UidOf(id)), "/",
                        stem);
  }
};

TEST_F(SharedRulerTest, TenantsHaveNamespacesOfTheirOwn) {
  SetFile("red", "api", FileWith({"a"}));
  SetFile("blue", "api", FileWith({"a"}));
  EXPECT_THAT(SyncNow().status, IsOk());
  EXPECT_THAT(ruler_.Places("fake"),
              UnorderedElementsAre(Pair(Namespace("red", "api"), "a"),
                                   Pair(Namespace("blue", "api"), "a")));
  EXPECT_EQ(ruler_.Find("fake", {Namespace("red", "api"), "a"})->rules[0].expr,
            R"(up{namespace="red"} * 1)");

  unit_.tenants.erase(UidOf("blue"));
  SyncNow(/*may_delete=*/false);
  EXPECT_THAT(ruler_.Places("fake"), SizeIs(1));
}

TEST_F(SharedRulerTest, HeldGroupsThatAreConfinedToFormerLabelsGo) {
  SetFile("red", "api", FileWith({"a"}));
  SyncNow();
  SetFile("red", "api", "");
  SyncNow(/*may_delete=*/false);
  EXPECT_THAT(ruler_.Places("fake"), SizeIs(1));
  unit_.tenants.at(UidOf("red")).confinement =
      *rules::ConfinementTo({{"namespace", "crimson"}});
  SyncNow(/*may_delete=*/false);
  EXPECT_THAT(ruler_.Places("fake"), IsEmpty());
}

TEST(GroupLimitTest, IsReadOutOfCortexMessage) {
  EXPECT_EQ(GroupLimitIn("per-user rule groups limit (limit: 20 actual: 21) "
                         "exceeded\n"),
            20);
  EXPECT_EQ(GroupLimitIn("per-user rules per rule group limit (limit: 20 "
                         "actual: 21) exceeded"),
            std::nullopt);
  EXPECT_EQ(GroupLimitIn("per-user rule groups limit (limit: "), std::nullopt);
}

}  // namespace
}  // namespace insula::rule_sync
