// Credentials on requests to a real server.
#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/outbound/credentials.h"
#include "libs/outbound/outbound_fixture.h"
#include "libs/status/status_matchers.h"

namespace insula::outbound {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class OutboundTest : public OutboundFixture {
 protected:
  // Lets in who shows the present one.
  http::Response Judge(const http::Request& request) {
    const sync::MutexLock lock(&mutex_);
    const bool welcome = request.headers.Count("Authorization") == 1 &&
                         wanted_ == request.headers.Get("Authorization");
    return http::TextResponse(welcome ? 204 : 401, "");
  }
  void Want(std::string value) {
    const sync::MutexLock lock(&mutex_);
    wanted_ = std::move(value);
  }

  CredentialConfig At(absl::string_view path = "/") {
    CredentialConfig credential;
    credential.url = host_.Url(path);
    return credential;
  }

  double Failures() {
    return metrics_
        .AddCounter("insula_outbound_credential_failures_total",
                    "Requests that were not sent because their credential "
                    "could not be had.",
                    {{"client", "upstream"}})
        .Value();
  }

  sync::Mutex mutex_;
  std::string wanted_ ABSL_GUARDED_BY(mutex_) = "Bearer one";
  FakeHost host_{&pool_, &metrics_, [this](const http::Request& request) {
                   return Judge(request);
                 }};
};

TEST_F(OutboundTest, ABearerTokenComesFromItsFile) {
  CredentialConfig credential = At();
  credential.bearer_file = Write("token", "one\n");
  MakeClient({credential});
  EXPECT_EQ(StatusAt(host_.Url("/api/v1/push")), 204);
  EXPECT_THAT(host_.Seen("Authorization"), ElementsAre("Bearer one"));
}

TEST_F(OutboundTest, AUserAndItsPasswordAreBasicAuthentication) {
  CredentialConfig credential = At();
  credential.basic_user = "tenant";
  credential.basic_password_file = Write("password", "pa:ss wörd\r\n");
  Want("Basic dGVuYW50OnBhOnNzIHfDtnJk");
  MakeClient({credential});
  EXPECT_EQ(StatusAt(host_.Url()), 204);
}

TEST_F(OutboundTest, HeadersComeFromTheirFiles) {
  CredentialConfig credential = At();
  credential.headers.resize(2);
  credential.headers[0] = {"X-Api-Key", Write("key", "k1")};
  credential.headers[1] = {"X-Cluster", Write("cluster", "c1")};
  MakeClient({credential});
  StatusAt(host_.Url());
  EXPECT_THAT(host_.Seen("X-Api-Key"), ElementsAre("k1"));
  EXPECT_THAT(host_.Seen("X-Cluster"), ElementsAre("c1"));
}

TEST_F(OutboundTest, ACredentialIsNotShownElsewhere) {
  CredentialConfig credential = At("/mine");
  credential.bearer_file = Write("token", "one");
  MakeClient({credential});
  StatusAt(host_.Url("/mineral"));
  StatusAt(host_.Url("/"));
  FakeHost other(&pool_, &metrics_, [](const http::Request&) {
    return http::TextResponse(401, "");
  });
  StatusAt(other.Url("/mine"));
  EXPECT_THAT(host_.Seen("Authorization"), Each("-"));
  EXPECT_THAT(other.Seen("Authorization"), ElementsAre("-"));
}

TEST_F(OutboundTest, TheLongestPathCounts) {
  CredentialConfig wide = At("/");
  wide.bearer_file = Write("wide", "wide");
  CredentialConfig narrow = At("/team");
  narrow.bearer_file = Write("narrow", "narrow");
  MakeClient({wide, narrow});
  StatusAt(host_.Url("/team/a"));
  EXPECT_EQ(host_.Seen("Authorization")[0], "Bearer narrow");
}

TEST_F(OutboundTest, WithoutItsFileNothingIsSent) {
  CredentialConfig credential = At();
  credential.bearer_file = directory_ + "/absent";
  MakeClient({credential});
  EXPECT_THAT(Ask(host_.Url()).get(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("not sent"), HasSubstr("/absent"))));
  EXPECT_EQ(host_.requests(), 0U);
  EXPECT_EQ(Failures(), 1);

  // It gets well by itself.
  Write("absent", "one");
  EXPECT_EQ(StatusAt(host_.Url()), 204);
}

TEST_F(OutboundTest, AFileThatMakesNoTokenIsNamedAndNotShown) {
  CredentialConfig credential = At();
  credential.bearer_file = Write("token", "canary two words");
  MakeClient({credential});
  EXPECT_THAT(Ask(host_.Url()).get(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("/token"), Not(HasSubstr("canary")))));
  EXPECT_EQ(host_.requests(), 0U);
}

TEST_F(OutboundTest, AHeaderThatIsThereAlreadyIsNotWrittenOver) {
  CredentialConfig credential = At();
  credential.headers.push_back({"X-Scope-OrgID", Write("org", "victim")});
  MakeClient({credential});
  EXPECT_THAT(Ask(host_.Url(), {{"x-scope-orgid", "own"}}).get(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("X-Scope-OrgID"),
                             HasSubstr("in the request already"))));
  EXPECT_EQ(host_.requests(), 0U);
}

TEST_F(OutboundTest, AfterARefusalTheFileIsReadAgain) {
  CredentialConfig credential = At();
  credential.bearer_file = Write("token", "one");
  MakeClient({credential});
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  Want("Bearer two");
  Write("token", "two");
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  EXPECT_THAT(host_.Seen("Authorization"),
              ElementsAre("Bearer one", "Bearer one", "Bearer two"));
}

TEST_F(OutboundTest, ARefusalThatNothingNewHelpsIsTheAnswer) {
  CredentialConfig credential = At();
  credential.bearer_file = Write("token", "wrong");
  MakeClient({credential});
  EXPECT_EQ(StatusAt(host_.Url()), 401);
  EXPECT_EQ(host_.requests(), 1U);
}

TEST_F(OutboundTest, WithoutARefusalTheFileIsReadAgainAfterAWhile) {
  CredentialConfig credential = At();
  credential.bearer_file = Write("token", "one");
  MakeClient({credential});
  StatusAt(host_.Url());
  Want("Bearer two");
  Write("token", "two");
  wall_.Advance(WatchedSecret::kReloadInterval);
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  EXPECT_THAT(host_.Seen("Authorization"),
              ElementsAre("Bearer one", "Bearer two"));
}

TEST_F(OutboundTest, AFileThatVanishesLeavesTheLastOneInUse) {
  CredentialConfig credential = At();
  credential.bearer_file = Write("token", "one");
  MakeClient({credential});
  EXPECT_EQ(StatusAt(host_.Url()), 204);
  std::filesystem::remove(credential.bearer_file);
  wall_.Advance(absl::Hours(1));
  EXPECT_EQ(StatusAt(host_.Url()), 204);
}

// The host takes the old token and the new one while the file is replaced, as
// hosts do; no request may see anything but one of them.
TEST_F(OutboundTest, ATokenRotatesUnderLoadWithoutAFailedRequest) {
  constexpr int kThreads = 4;
  constexpr int kTokens = 20;
  std::atomic<int> newest{0};
  FakeHost host(&pool_, &metrics_, [&newest](const http::Request& request) {
    const std::string shown(request.headers.Get("Authorization").value_or(""));
    const int now = newest;
    return http::TextResponse(shown == absl::StrCat("Bearer t", now) ||
                                      shown == absl::StrCat("Bearer t", now + 1)
                                  ? 204
                                  : 401,
                              "");
  });
  CredentialConfig credential;
  credential.url = host.Url();
  credential.bearer_file = Write("token", "t0");
  MakeClient({credential});

  std::atomic<bool> stop{false};
  std::array<std::atomic<int>, kThreads> good{};
  std::atomic<int> bad{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      while (!stop) ++(StatusAt(host.Url()) == 204 ? good[i] : bad);
    });
  }
  for (int token = 1; token <= kTokens; ++token) {
    Write("token", absl::StrCat("t", token));
    // The old one ends when every thread has made some requests since, however
    // slow it is: those that show it then hear 401, and look again. A file that
    // is younger than 30 ms is not believed.
    const absl::Time settled = absl::Now() + absl::Milliseconds(50);
    for (std::atomic<int>& count : good) {
      const int before = count;
      while ((count < before + 5 || absl::Now() < settled) && bad == 0) {
        std::this_thread::yield();
      }
    }
    newest = token;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(bad, 0);
  for (const int count : good) EXPECT_GE(count, 5 * kTokens);
}

}  // namespace
}  // namespace insula::outbound
