#include "libs/backend_pool/replica_set.h"

#include <gmock/gmock.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/backend_pool/retry_budget.h"
#include "libs/time/fake_clock.h"

namespace insula::backend_pool {
namespace {

using ::testing::Eq;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

std::vector<http::Url> Urls(const std::vector<std::string>& hosts) {
  std::vector<http::Url> urls;
  for (const std::string& host : hosts) {
    urls.push_back(http::Url::Parse(absl::StrCat("http://", host)).value());
  }
  return urls;
}

class ReplicaSetTest : public ::testing::Test {
 protected:
  void Make(Mode mode, const std::vector<std::string>& hosts) {
    ReplicaSet::Options options;
    options.mode = mode;
    set_ = std::make_shared<ReplicaSet>(options, &clock_);
    set_->Update(Urls(hosts));
  }
  // Who is asked, and answers or not.
  std::string Ask(bool answers) {
    auto use = set_->Pick({});
    if (!use.has_value()) return "";
    use->Note(answers);
    return use->url().host;
  }
  // Requests to `host` fail until it is out.
  void PutOut(const std::string& host) {
    for (int i = 0; i < 1000; ++i) {
      auto use = set_->Pick({});
      use->Note(use->url().host != host);
      if (!Status(host).well) return;
    }
    FAIL() << host << " stays";
  }
  ReplicaSet::Status Status(const std::string& host) {
    for (const auto& status : set_->Statuses()) {
      if (status.url == absl::StrCat("http://", host, "/")) return status;
    }
    return {};
  }
  // How often each is asked, of `n` times, one after the other.
  std::map<std::string, int> Asked(int n) {
    std::map<std::string, int> asked;
    for (int i = 0; i < n; ++i) ++asked[Ask(true)];
    return asked;
  }

  FakeClock clock_;
  std::shared_ptr<ReplicaSet> set_;
};

TEST_F(ReplicaSetTest, NobodyIsPickedOfNone) {
  Make(Mode::kBalanced, {});
  EXPECT_FALSE(set_->Pick({}).has_value());
}

TEST_F(ReplicaSetTest, TheFirstThatIsWellIsActive) {
  Make(Mode::kActivePassive, {"a", "b", "c"});
  EXPECT_THAT(Asked(10)["a"], Eq(10));
  PutOut("a");
  EXPECT_THAT(Asked(10)["b"], Eq(10));
  PutOut("b");
  EXPECT_THAT(Ask(true), Eq("c"));
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Asked(10)["a"], Eq(10));
}

TEST_F(ReplicaSetTest, LoadIsSharedOut) {
  Make(Mode::kBalanced, {"a", "b", "c"});
  std::vector<ReplicaSet::Use> open;
  for (int i = 0; i < 300; ++i) open.push_back(*set_->Pick({}));
  for (const char* host : {"a", "b", "c"}) {
    // Chance alone would leave a spread of 8 on average.
    EXPECT_THAT(Status(host).open, Ge(92)) << host;
    EXPECT_THAT(Status(host).open, Le(108)) << host;
  }
  open.clear();
  EXPECT_THAT(Status("a").open, Eq(0));
}

TEST_F(ReplicaSetTest, WhoIsSlowIsAskedLess) {
  Make(Mode::kBalanced, {"slow", "fast"});
  auto one = set_->Pick({});
  auto other = set_->Pick({});  // The other one, which has less to do.
  ASSERT_THAT(Status("slow").open, Eq(1));
  (one->url().host == "fast" ? one : other).reset();
  // Of two the better one is always found.
  EXPECT_THAT(Asked(100)["fast"], Eq(100));
}

TEST_F(ReplicaSetTest, FailuresInARowPutOutAndAnAnswerForgives) {
  Make(Mode::kActivePassive, {"a", "b"});
  for (int i = 0; i < 10; ++i) {
    Ask(false);
    Ask(false);
    EXPECT_THAT(Ask(true), Eq("a"));
  }
  Ask(false);
  Ask(false);
  Ask(false);
  EXPECT_THAT(Ask(true), Eq("b"));
}

TEST_F(ReplicaSetTest, WhoWasOutIsTriedByOneRequestAndLongerEachTime) {
  Make(Mode::kActivePassive, {"a", "b"});
  PutOut("a");
  clock_.Advance(absl::Seconds(1));
  {
    auto trial = set_->Pick({});
    EXPECT_THAT(trial->url().host, Eq("a"));
    EXPECT_THAT(Asked(10)["b"], Eq(10));  // While that is under way.
    trial->Note(false);
  }
  // The second time is between 1 s and 2 s.
  clock_.Advance(absl::Milliseconds(990));
  EXPECT_THAT(Ask(true), Eq("b"));
  clock_.Advance(absl::Milliseconds(1010));
  EXPECT_THAT(Ask(true), Eq("a"));
  EXPECT_THAT(Asked(10)["a"], Eq(10));
}

TEST_F(ReplicaSetTest, ProbesPutOutAndBringBack) {
  Make(Mode::kActivePassive, {"a", "b"});
  set_->NoteProbe("http://a/", false);
  EXPECT_THAT(Ask(true), Eq("a"));
  set_->NoteProbe("http://a/", false);
  EXPECT_THAT(Ask(true), Eq("b"));
  clock_.Advance(absl::Hours(1));
  EXPECT_THAT(Ask(true), Eq("b"));
  set_->NoteProbe("http://a/", true);
  EXPECT_THAT(Ask(true), Eq("a"));
}

TEST_F(ReplicaSetTest, WhenAllAreOutOneIsAskedAllTheSame) {
  Make(Mode::kBalanced, {"a", "b"});
  for (const char* url : {"http://a/", "http://b/"}) {
    set_->NoteProbe(url, false);
    set_->NoteProbe(url, false);
  }
  EXPECT_TRUE(set_->Pick({}).has_value());
  const std::string one = set_->Pick({})->url().ToString();
  EXPECT_THAT(set_->Pick({one})->url().ToString(), testing::Ne(one));
}

TEST_F(ReplicaSetTest, AnotherAttemptGoesToAnotherReplica) {
  Make(Mode::kActivePassive, {"a", "b"});
  EXPECT_THAT(set_->Pick({"http://a/"})->url().host, Eq("b"));
  EXPECT_TRUE(set_->Pick({"http://a/", "http://b/"}).has_value());
}

TEST_F(ReplicaSetTest, AnUpdateKeepsWhatIsKnownOfThoseThatStay) {
  Make(Mode::kActivePassive, {"a", "b"});
  PutOut("a");
  auto open = set_->Pick({});
  EXPECT_THAT(open->url().host, Eq("b"));
  set_->Update(Urls({"a", "c", "c"}));
  EXPECT_THAT(set_->Statuses(), SizeIs(2));
  EXPECT_THAT(Ask(true), Eq("c"));
  open->Note(true);  // Of one that is gone.
  open.reset();
  set_->Update({});
  EXPECT_THAT(set_->Statuses(), IsEmpty());
}

TEST(RetryBudgetTest, RetriesAreAPartOfTheTraffic) {
  RetryBudget budget({.ratio = 0.1, .most = 5});
  int retries = 0;
  for (int i = 0; i < 1000; ++i) {
    budget.NoteRequest();
    while (budget.TakeRetry()) ++retries;
  }
  EXPECT_THAT(retries, Ge(103));
  EXPECT_THAT(retries, Le(105));
}

}  // namespace
}  // namespace insula::backend_pool
