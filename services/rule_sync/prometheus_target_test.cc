#include "services/rule_sync/prometheus_target.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <optional>
#include <set>

#include "libs/labels/matcher.h"
#include "libs/promql/clause_union.h"
#include "libs/rules/confine.h"
#include "libs/status/status_matchers.h"
#include "services/rule_sync/fake_prometheus.h"
#include "services/rule_sync/rule_file_name.h"
#include "services/rule_sync/target_fixture.h"

namespace insula::rule_sync {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using State = GroupOutcome::State;

class PrometheusTargetTest : public TargetFixture {
 protected:
  PrometheusTargetTest() {
    std::filesystem::create_directories(dir_ + "/main");
    prometheus_ = std::make_unique<FakePrometheus>(pool_.get_executor(),
                                                   &metrics_, dir_ + "/main");
    unit_.spec.target_id = "main";
    unit_.spec.url = prometheus_->url();
    AddTenant("red", "red");
    AddTenant("blue", "blue");
    target_ = NewTarget();
  }

  std::unique_ptr<PrometheusTarget> NewTarget() {
    return std::make_unique<PrometheusTarget>(dir_ + "/main", &client_,
                                              &blocking_);
  }
  SyncResult SyncNow(bool may_delete = true) {
    return Sync(target_.get(), may_delete);
  }
  static std::string Name(const std::string& id, const std::string& stem) {
    return FormatRuleFileName({UidOf(id), stem});
  }
  std::string PathOf(const std::string& id, const std::string& stem) const {
    return absl::StrCat(dir_, "/main/", Name(id, stem));
  }
  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const auto& entry :
         std::filesystem::directory_iterator(dir_ + "/main")) {
      names.insert(entry.path().filename());
    }
    return names;
  }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ + "/main/" + name) << text;
  }

  std::unique_ptr<FakePrometheus> prometheus_;
  std::unique_ptr<PrometheusTarget> target_;
};

TEST_F(PrometheusTargetTest, GroupsAreActiveWhenPrometheusShowsThem) {
  SetFile("red", "api", FileWith({"a", "b"}));
  SetFile("blue", "api", FileWith({"a"}));
  const SyncResult result = SyncNow();
  EXPECT_THAT(result.status, IsOk());
  for (const auto& [key, outcome] : result.outcomes) {
    EXPECT_EQ(outcome.state, State::kActive) << key.group << outcome.error;
  }
  EXPECT_THAT(result.outcomes, SizeIs(3));
  EXPECT_THAT(*result.present, SizeIs(3));
  EXPECT_THAT(Names(),
              UnorderedElementsAre(Name("red", "api"), Name("blue", "api")));
  EXPECT_THAT(TextOf(PathOf("red", "api")),
              HasSubstr(R"(up{namespace=\"red\"} * 1)"));
  EXPECT_EQ(prometheus_->reloads(), 1);
}

TEST_F(PrometheusTargetTest, InAStateThatIsRightNothingIsReloaded) {
  SetFile("red", "api", FileWith({"a"}));
  SyncNow();
  target_ = NewTarget();
  for (int i = 0; i < 5; ++i) EXPECT_THAT(SyncNow().status, IsOk());
  EXPECT_EQ(prometheus_->reloads(), 1);
}

TEST_F(PrometheusTargetTest, APrometheusThatHasForgottenIsAskedToReload) {
  SetFile("red", "api", FileWith({"a"}));
  SyncNow();
  const std::string text = TextOf(PathOf("red", "api"));
  std::filesystem::remove(PathOf("red", "api"));
  EXPECT_TRUE(prometheus_->Restart());
  Write(Name("red", "api"), text);
  const SyncResult result = SyncNow();
  EXPECT_EQ(OutcomeOf(result, "red", "api", "a").state, State::kActive);
  EXPECT_EQ(prometheus_->reloads(), 2);
}

TEST_F(PrometheusTargetTest, FilesOfOthersAreNeverTouched) {
  const std::vector<std::string> foreign = {
      "theirs.yaml",
      "insula-.yaml",
      "insula-mine.yaml",
      "insula-0123456789abcdef0123456789abcdef.yaml",
      "insula-0123456789ABCDEF0123456789ABCDEF-api.yaml",
      "insula-0123456789abcdef0123456789abcdef-a%2fb.yaml",
      "insula-0123456789abcdef0123456789abcdef-a.yml",
      "theirs.yaml.tmp",
      "theirs.yaml.good"};
  for (const std::string& name : foreign) Write(name, "groups: []\n");
  // Ours by its name, of a tenant that is gone.
  Write("insula-0123456789abcdef0123456789abcdef-a.yaml", "groups: []\n");
  Write("insula-0123456789abcdef0123456789abcdef-b.yaml.tmp", "half");
  Write("insula-0123456789abcdef0123456789abcdef-c.yaml.good", "");
  SetFile("red", "api", FileWith({"a"}));
  EXPECT_THAT(SyncNow(/*may_delete=*/false).status, IsOk());
  std::set<std::string> expected(foreign.begin(), foreign.end());
  expected.insert(Name("red", "api"));
  EXPECT_EQ(Names(), expected);
  for (const std::string& name : foreign) {
    EXPECT_EQ(TextOf(dir_ + "/main/" + name), "groups: []\n");
  }
}

TEST_F(PrometheusTargetTest, AFileThatIsRefusedStaysBackAloneWithItsLastGood) {
  for (int i = 0; i < 9; ++i) {
    SetFile("red", absl::StrCat("f", i), FileWith({"a"}));
  }
  SyncNow();
  const std::string good = TextOf(PathOf("red", "f3"));
  for (int i = 0; i < 9; ++i) {
    SetFile("red", absl::StrCat("f", i), FileWith({"a", "b"}, "2"));
  }
  SetFile("red", "f3", FileWith({"a", "REFUSE_ME"}));
  SetFile("red", "new", FileWith({"REFUSE_ME"}));
  const SyncResult result = SyncNow();
  EXPECT_THAT(result.status, IsOk());
  EXPECT_EQ(result.failure, Failure::kRefused);
  EXPECT_EQ(result.refused, 2u);
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(OutcomeOf(result, "red", absl::StrCat("f", i), "a").state,
              i == 3 ? State::kFailed : State::kActive);
  }
  EXPECT_THAT(OutcomeOf(result, "red", "f3", "REFUSE_ME").error,
              HasSubstr("Prometheus refuses the rules of this file"));
  EXPECT_EQ(OutcomeOf(result, "red", "new", "REFUSE_ME").state, State::kFailed);
  EXPECT_EQ(TextOf(PathOf("red", "f3")), good);
  EXPECT_THAT(Names(), SizeIs(9));  // Neither `new` nor a trial is left.
  EXPECT_TRUE(prometheus_->last_reload_ok());
  EXPECT_THAT(prometheus_->reloads(), Le(1 + 2 + 4 * 5));

  // It waits, and does not disturb.
  const int reloads = prometheus_->reloads();
  EXPECT_THAT(result.offer_again_after,
              AllOf(testing::Gt(absl::Seconds(50)), Le(absl::Minutes(2))));
  EXPECT_THAT(SyncNow().status, IsOk());
  EXPECT_EQ(prometheus_->reloads(), reloads);

  SetFile("red", "f3", FileWith({"a", "c"}));
  EXPECT_EQ(OutcomeOf(SyncNow(), "red", "f3", "c").state, State::kActive);
}

TEST_F(PrometheusTargetTest, AFaultOfPrometheusItselfIsNobodysHere) {
  SetFile("red", "api", FileWith({"a"}));
  SyncNow();
  const std::string good = TextOf(PathOf("red", "api"));
  prometheus_->SetReloadStatus(500);
  SetFile("red", "api", FileWith({"a"}, "2"));
  SyncResult result = SyncNow();
  EXPECT_THAT(result.status, StatusIs(absl::StatusCode::kUnavailable,
                                      HasSubstr("its own configuration")));
  EXPECT_EQ(result.failure, Failure::kDenied);
  EXPECT_EQ(result.refused, 0u);
  EXPECT_EQ(TextOf(PathOf("red", "api")), good);
  prometheus_->SetReloadStatus(0);
  result = SyncNow();
  EXPECT_EQ(OutcomeOf(result, "red", "api", "a").state, State::kActive);
}

TEST_F(PrometheusTargetTest, WithoutTheLifecycleApiTheOldFilesStay) {
  SetFile("red", "api", FileWith({"a"}));
  prometheus_->SetReloadStatus(403);
  const SyncResult result = SyncNow();
  EXPECT_THAT(result.status, StatusIs(absl::StatusCode::kPermissionDenied,
                                      HasSubstr("--web.enable-lifecycle")));
  EXPECT_EQ(result.failure, Failure::kDenied);
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(PrometheusTargetTest, WhileItIsAwayNothingIsWritten) {
  prometheus_->SetRulesStatus(503);
  SetFile("red", "api", FileWith({"a"}));
  SyncResult result = SyncNow();
  EXPECT_FALSE(result.status.ok());
  EXPECT_EQ(result.failure, Failure::kBusy);
  unit_.spec.url = "http://127.0.0.1:1";
  result = SyncNow();
  EXPECT_EQ(result.failure, Failure::kUnreachable);
  EXPECT_EQ(OutcomeOf(result, "red", "api", "a").state, State::kFailed);
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(PrometheusTargetTest, AFileThatItDoesNotShowIsNotActive) {
  // It loads another directory.
  FakePrometheus other(pool_.get_executor(), &metrics_, dir_);
  unit_.spec.url = other.url();
  SetFile("red", "api", FileWith({"a"}));
  const SyncResult result = SyncNow();
  EXPECT_FALSE(result.status.ok());
  EXPECT_EQ(result.failure, Failure::kNotSeen);
  EXPECT_THAT(OutcomeOf(result, "red", "api", "a").error,
              HasSubstr(dir_ + "/main/*.yaml"));
}

TEST_F(PrometheusTargetTest, VanishedFilesAndGroupsStayUntilTheyMayGo) {
  SetFile("red", "api", FileWith({"a", "b"}));
  SetFile("red", "web", FileWith({"a"}));
  SyncNow();
  SetFile("red", "api", FileWith({"a"}));
  SetFile("red", "web", "");
  SyncResult result = SyncNow(/*may_delete=*/false);
  EXPECT_THAT(result.status, IsOk());
  EXPECT_THAT(*result.present, SizeIs(3));
  EXPECT_THAT(prometheus_->Loaded(), SizeIs(3));
  EXPECT_THAT(OutcomeOf(result, "red", "api", "a").error,
              HasSubstr("max_deletion_percent"));
  result = SyncNow(/*may_delete=*/true);
  EXPECT_THAT(*result.present, SizeIs(1));
  EXPECT_THAT(prometheus_->Loaded(), ElementsAre(Name("red", "api") + "/a"));
}

TEST_F(PrometheusTargetTest, FilesOfATenantThatIsGoneGoAtAnyTime) {
  SetFile("red", "api", FileWith({"a"}));
  SetFile("blue", "api", FileWith({"a"}));
  SyncNow();
  unit_.tenants.erase(UidOf("blue"));
  EXPECT_THAT(SyncNow(/*may_delete=*/false).status, IsOk());
  EXPECT_THAT(prometheus_->Loaded(), ElementsAre(Name("red", "api") + "/a"));
}

TEST_F(PrometheusTargetTest, NothingStaysThatIsConfinedToFormerLabels) {
  SetFile("red", "api", FileWith({"a"}));
  SetFile("red", "web", FileWith({"a"}));
  SyncNow();
  unit_.tenants.at(UidOf("red")).confinement =
      *rules::ConfinementTo({{"namespace", "crimson"}});
  SetFile("red", "web", "");                       // Held, but for the labels.
  SetFile("red", "api", FileWith({"REFUSE_ME"}));  // Last good: of red.
  SyncNow(/*may_delete=*/false);
  EXPECT_THAT(prometheus_->Loaded(), IsEmpty());
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(PrometheusTargetTest, NothingStaysThatIsConfinedToFormerGrants) {
  const auto by = [](const char* name, const char* value) {
    return promql::Clause{
        *labels::Matcher::Create(labels::MatchType::kEqual, name, value)};
  };
  std::optional<rules::Confinement>& wanted =
      unit_.tenants.at(UidOf("red")).confinement;
  wanted->reads = {by("pod", "p"), by("code", "5"), by("team", "t")};
  SetFile("red", "api", FileWith({"a"}));
  SetFile("red", "web", FileWith({"a"}));
  SyncNow();
  SetFile("red", "web", "");
  SyncNow(/*may_delete=*/false);
  EXPECT_THAT(Names(), SizeIs(2));  // Held.
  wanted->reads.pop_back();
  SetFile("red", "api", FileWith({"REFUSE_ME"}));
  SyncNow(/*may_delete=*/false);
  EXPECT_THAT(prometheus_->Loaded(), IsEmpty());
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(PrometheusTargetTest, AFileOfATenantThatCantBeReadStays) {
  SetFile("red", "api", FileWith({"a"}));
  SyncNow();
  unit_.tenants.at(UidOf("red")).complete = false;
  SetFile("red", "api", "");
  SyncNow();
  EXPECT_THAT(prometheus_->Loaded(), SizeIs(1));
}

TEST_F(PrometheusTargetTest, OneBadGroupIsToldFromAFileOfTheSameGroups) {
  SetFile("red", "api",
          "groups:\n- name: a\n  interval: 30s\n  rules:\n"
          "  - alert: A\n    expr: sum(up)by(job)==0\n    for: 90s\n"
          "    labels: {severity: page}\n"
          "    annotations: {text: '{{ $value }}'}\n");
  EXPECT_EQ(OutcomeOf(SyncNow(), "red", "api", "a").state, State::kActive);
}

TEST_F(PrometheusTargetTest, LinksInPlaceOfOurFilesAreReplaced) {
  std::ofstream(dir_ + "/secret") << "kept";
  ASSERT_EQ(symlink("../secret", PathOf("red", "api").c_str()), 0);
  SetFile("red", "api", FileWith({"a"}));
  EXPECT_THAT(SyncNow().status, IsOk());
  EXPECT_FALSE(std::filesystem::is_symlink(PathOf("red", "api")));
  EXPECT_EQ(TextOf(dir_ + "/secret"), "kept");
  EXPECT_THAT(Names(), SizeIs(1));
}

// What a process leaves that is killed, and what the next one makes of it.
class AfterACrashTest : public PrometheusTargetTest {
 protected:
  AfterACrashTest() {
    SetFile("red", "api", FileWith({"a"}));
    SetFile("blue", "api", FileWith({"a"}));
    SyncNow();
    good_ = TextOf(PathOf("red", "api"));
    target_ = NewTarget();
  }
  void ExpectGood() {
    EXPECT_EQ(TextOf(PathOf("red", "api")), good_);
    EXPECT_THAT(Names(), SizeIs(2));
    EXPECT_THAT(prometheus_->Loaded(),
                UnorderedElementsAre(Name("red", "api") + "/a",
                                     Name("blue", "api") + "/a"));
  }

  std::string good_;
};

TEST_F(AfterACrashTest, AnUntriedFileThatIsRefusedGoesBackToTheGoodOne) {
  SetFile("red", "api", FileWith({"REFUSE_ME"}));
  RuleDirectory directory(dir_ + "/main");
  const std::string bad = unit_.tenants.at(UidOf("red")).files.front()->text;
  ASSERT_THAT(directory.Stage(Name("red", "api"), bad, true), IsOk());
  const SyncResult result = SyncNow();
  EXPECT_THAT(result.status, IsOk());
  EXPECT_EQ(OutcomeOf(result, "red", "api", "REFUSE_ME").state, State::kFailed);
  ExpectGood();
}

TEST_F(AfterACrashTest, AnUntriedNewFileThatIsRefusedGoes) {
  SetFile("red", "new", FileWith({"REFUSE_ME"}));
  RuleDirectory directory(dir_ + "/main");
  const std::string bad = unit_.tenants.at(UidOf("red")).files.back()->text;
  ASSERT_THAT(directory.Stage(Name("red", "new"), bad, true), IsOk());
  EXPECT_THAT(SyncNow().status, IsOk());
  ExpectGood();
}

TEST_F(AfterACrashTest, AnUntriedFileThatIsGoodIsTakenAndTheTrialEnds) {
  SetFile("red", "api", FileWith({"b"}));
  RuleDirectory directory(dir_ + "/main");
  ASSERT_THAT(
      directory.Stage(Name("red", "api"),
                      unit_.tenants.at(UidOf("red")).files[0]->text, true),
      IsOk());
  EXPECT_EQ(OutcomeOf(SyncNow(), "red", "api", "b").state, State::kActive);
  EXPECT_THAT(Names(), SizeIs(2));
}

TEST_F(AfterACrashTest, AnUntriedFileThatIsNoLongerWantedGoesBackToo) {
  RuleDirectory directory(dir_ + "/main");
  ASSERT_THAT(directory.Stage(Name("red", "api"), "REFUSE_ME", true), IsOk());
  EXPECT_THAT(SyncNow().status, IsOk());
  ExpectGood();
}

TEST_F(AfterACrashTest, ALinkThatWasMadeButNotUsedIsCleared) {
  ASSERT_EQ(link(PathOf("red", "api").c_str(),
                 (PathOf("red", "api") + ".good").c_str()),
            0);
  EXPECT_THAT(SyncNow().status, IsOk());
  ExpectGood();
}

TEST_F(AfterACrashTest, ARemovalThatPrometheusHasNotHeardOfIsTold) {
  unit_.tenants.erase(UidOf("blue"));
  std::filesystem::remove(PathOf("blue", "api"));
  EXPECT_THAT(SyncNow().status, IsOk());
  EXPECT_THAT(prometheus_->Loaded(), ElementsAre(Name("red", "api") + "/a"));
}

TEST(RuleFileNameTest, IsOneForOneFileAndComesBack) {
  for (const std::string stem : {"api", "a b", "ü%/..", ".", "-"}) {
    const RuleFileName name{std::string("\0\xff"
                                        "0123456789abcd",
                                        16),
                            stem};
    const std::string text = FormatRuleFileName(name);
    EXPECT_THAT(text,
                testing::MatchesRegex("insula-00ff[0-9a-f]{28}-.*[.]yaml"));
    EXPECT_EQ(text.find('/'), std::string::npos);
    EXPECT_EQ(ParseRuleFileName(text), name);
  }
  EXPECT_TRUE(IsUsableStem(std::string(200, 'a')));
  EXPECT_FALSE(IsUsableStem(std::string(201, 'a')));
  EXPECT_FALSE(IsUsableStem(std::string(67, ' ')));
}

}  // namespace
}  // namespace insula::rule_sync
