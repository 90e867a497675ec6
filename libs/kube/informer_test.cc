#include "libs/kube/informer.h"

#include <gmock/gmock.h>

#include <boost/asio/thread_pool.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "libs/kube/fake_api.h"
#include "libs/metrics/metrics.h"
#include "libs/status/status_matchers.h"
#include "libs/sync/mutex.h"

namespace insula::kube {
namespace {

namespace asio = boost::asio;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Answer = FakeApi::Answer;

std::string Item(const std::string& name, int version,
                 const std::string& uid = "u") {
  return absl::StrCat(R"({"kind":"Thing","metadata":{"name":")", name,
                      R"(","namespace":"x","uid":")", uid,
                      R"(","resourceVersion":")", version, R"("}})");
}

std::string Page(const std::vector<std::string>& items, int version,
                 const std::string& next = "") {
  return absl::StrCat(R"({"kind":"ThingList","metadata":{"resourceVersion":")",
                      version, R"(","continue":")", next, R"("},"items":[)",
                      absl::StrJoin(items, ","), "]}");
}

std::string Event(const std::string& type, const std::string& object) {
  return absl::StrCat(R"({"type":")", type, R"(","object":)", object, "}\n");
}

std::string Bookmark(int version) {
  return Event("BOOKMARK",
               absl::StrCat(R"({"kind":"Thing","metadata":)",
                            R"({"resourceVersion":")", version, R"("}})"));
}

constexpr char kExpired[] =
    "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"reason\":"
    "\"Expired\",\"code\":410,\"message\":\"too old resource version\"}}\n";

// What the API does, request by request; after that a watch that stays silent.
class InformerTest : public testing::Test {
 protected:
  InformerTest() {
    options_.selection.resource = {"t.example", "v1", "things"};
    options_.backoff = {absl::Milliseconds(10), absl::Milliseconds(20)};
  }
  ~InformerTest() override {
    informer_.reset();
    client_.reset();
    pool_.join();
    api_.reset();
  }

  void Start(std::vector<Answer> answers) {
    api_ = std::make_unique<FakeApi>(
        [answers = std::move(answers),
         next = size_t{0}](const FakeApi::Request& request) mutable {
          const size_t step = next++;
          if (step < answers.size()) return answers[step];
          EXPECT_THAT(request.line, HasSubstr("watch=1")) << "step " << step;
          return Hold("");
        });
    Cluster cluster;
    cluster.server = api_->url();
    client_ = std::make_unique<Client>(cluster, client_options_,
                                       pool_.get_executor(), &metrics_);
    informer_ = std::make_unique<Informer>(
        options_, client_.get(),
        [this](const std::vector<Change>& changes) { Hear(changes); },
        pool_.get_executor(), &metrics_);
  }

  static Answer Ok(std::string body) {
    Answer answer;
    answer.body = std::move(body);
    return answer;
  }
  static Answer Error(int status, std::string headers = "") {
    Answer answer;
    answer.status = status;
    answer.headers = std::move(headers);
    return answer;
  }
  static Answer Hold(std::string body) {
    Answer answer;
    answer.body = std::move(body);
    answer.end = Answer::End::kHold;
    return answer;
  }
  static Answer Cut(std::string body) {
    Answer answer;
    answer.body = std::move(body);
    answer.end = Answer::End::kCut;
    return answer;
  }

  // "+x/a 1", "~x/a 1 2", "-x/a 2"; "|" ends what came together.
  void Hear(const std::vector<Change>& changes) {
    sync::MutexLock lock(&mutex_);
    const auto version = [](const Object& object) {
      return StringAt(*object, {"metadata", "resourceVersion"});
    };
    for (const Change& change : changes) {
      if (change.before == nullptr) {
        heard_.push_back(
            absl::StrCat("+", change.key, " ", version(change.after)));
      } else if (change.after == nullptr) {
        heard_.push_back(
            absl::StrCat("-", change.key, " ", version(change.before)));
      } else {
        heard_.push_back(absl::StrCat("~", change.key, " ",
                                      version(change.before), " ",
                                      version(change.after)));
      }
    }
    heard_.push_back("|");
    changed_.notify_all();
  }

  // What has been heard, once it is so much or 20 s have passed.
  std::vector<std::string> Heard(size_t count) {
    std::unique_lock<sync::Mutex> lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20),
                      [this, count]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
                        return heard_.size() >= count;
                      });
    return heard_;
  }

  std::string Line(size_t index) { return api_->requests()[index].line; }

  double Watches(const std::string& result) {
    return metrics_
        .AddCounter("insula_kube_informer_watches_total",
                    "Watches, by how they ended.",
                    {{"resource", "things.t.example"},
                     {"namespace", options_.selection.namespace_name},
                     {"result", result}})
        .Value();
  }

  std::string Copy() {
    std::vector<std::string> all;
    for (const Object& object : informer_->All()) {
      all.push_back(
          absl::StrCat(KeyOf(*object), " ",
                       StringAt(*object, {"metadata", "resourceVersion"})));
    }
    return absl::StrJoin(all, ", ");
  }

  metrics::Registry metrics_;
  asio::thread_pool pool_{2};
  InformerOptions options_;
  ClientOptions client_options_;
  std::unique_ptr<FakeApi> api_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Informer> informer_;

  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::string> heard_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(InformerTest, ListsAllPagesAndTellsThemAtOnce) {
  options_.selection.namespace_name = "x";
  options_.selection.label_selector = "team";
  options_.page_size = 2;
  Start({Ok(Page({Item("b", 1), Item("a", 2)}, 7, "next")),
         Ok(Page({Item("c", 3)}, 7))});
  EXPECT_THAT(Heard(4), ElementsAre("+x/a 2", "+x/b 1", "+x/c 3", "|"));
  ASSERT_TRUE(api_->WaitFor(3));
  const std::string path = "GET /apis/t.example/v1/namespaces/x/things?";
  EXPECT_EQ(Line(0), path + "labelSelector=team&limit=2 HTTP/1.1");
  EXPECT_EQ(Line(1),
            path + "labelSelector=team&limit=2&continue=next HTTP/1.1");
  EXPECT_THAT(Line(2), HasSubstr(path + "labelSelector=team&watch=1&"
                                        "allowWatchBookmarks=true&"
                                        "resourceVersion=7&timeoutSeconds=2"));
  EXPECT_TRUE(informer_->synced());
  EXPECT_NE(informer_->Find("x/b"), nullptr);
  EXPECT_EQ(informer_->Find("x/d"), nullptr);
  EXPECT_GT(informer_->last_contact(), absl::Now() - absl::Minutes(1));
}

TEST_F(InformerTest, TellsOfAnEmptyList) {
  Start({Ok(Page({}, 7))});
  EXPECT_THAT(Heard(1), ElementsAre("|"));
  EXPECT_TRUE(informer_->synced());
}

TEST_F(InformerTest, FollowsAWatchAndGoesOnWhereItEnded) {
  Start({Ok(Page({Item("a", 1)}, 7)),
         Ok(Event("ADDED", Item("b", 8)) + Event("MODIFIED", Item("a", 9)) +
            Event("DELETED", Item("b", 10))),
         Ok(Bookmark(20)), Hold(Event("ADDED", Item("c", 21)))});
  EXPECT_THAT(Heard(10), ElementsAre("+x/a 1", "|", "+x/b 8", "|", "~x/a 1 9",
                                     "|", "-x/b 8", "|", "+x/c 21", "|"));
  EXPECT_THAT(Line(2), HasSubstr("resourceVersion=10&"));
  EXPECT_THAT(Line(3), HasSubstr("resourceVersion=20&"));
  EXPECT_EQ(Copy(), "x/a 9, x/c 21");
  EXPECT_THAT(informer_->status(), IsOk());
  EXPECT_EQ(Watches("ended"), 2);
}

TEST_F(InformerTest, DoesNotTakeAPartOfAListForAllOfIt) {
  const std::string first = Page({Item("a", 1)}, 7, "next");
  Start({Ok(Page({Item("a", 1), Item("b", 2)}, 7)), Ok(kExpired),
         // Each of these is a list that does not come to its end.
         Error(500), Ok(first), Error(500), Ok(first), Cut(Page({}, 7)),
         Cut(R"({"kind":"ThingList","metadata":{"resourceVersion":"8"},)"),
         Ok(""), Ok("{}"), Error(404), Error(403), Error(401),
         Ok(R"({"kind":"ThingList","metadata":{"resourceVersion":"8"}})"),
         Ok(Page({Item("c", 8)}, 9))});
  EXPECT_THAT(Heard(7), ElementsAre("+x/a 1", "+x/b 2", "|", "-x/a 1", "-x/b 2",
                                    "+x/c 8", "|"));
}

TEST_F(InformerTest, SaysWhyThereIsNoCopyYet) {
  std::vector<Answer> answers(20, Error(403));
  Start(std::move(answers));
  ASSERT_TRUE(api_->WaitFor(3));
  EXPECT_FALSE(informer_->synced());
  EXPECT_THAT(informer_->status(), StatusIs(absl::StatusCode::kPermissionDenied,
                                            HasSubstr("/things: 403")));
}

TEST_F(InformerTest, StartsOverWhenTheNextPageHasExpired) {
  Start({Ok(Page({Item("a", 1)}, 7, "next")), Error(410),
         Ok(Page({Item("b", 8)}, 9, "next")), Ok(Page({Item("c", 8)}, 9))});
  EXPECT_THAT(Heard(3), ElementsAre("+x/b 8", "+x/c 8", "|"));
  EXPECT_THAT(Line(2), Not(HasSubstr("continue")));
}

TEST_F(InformerTest, ListsAgainWhatTheServerHasForgotten) {
  Start({Ok(Page({Item("a", 1), Item("b", 2), Item("c", 3, "old")}, 7)),
         Ok(kExpired),
         Ok(Page({Item("a", 1), Item("c", 11, "new"), Item("d", 12)}, 13)),
         Error(410), Ok(Page({Item("a", 1)}, 14))});
  EXPECT_THAT(Heard(12), ElementsAre("+x/a 1", "+x/b 2", "+x/c 3", "|",
                                     "-x/b 2", "-x/c 3", "+x/c 11", "+x/d 12",
                                     "|", "-x/c 11", "-x/d 12", "|"));
  EXPECT_EQ(Watches("expired"), 2);
}

TEST_F(InformerTest, AsksForLessWhenAnAnswerIsTooLarge) {
  client_options_.max_answer_bytes = 1000;
  Start({Ok(std::string(1001, ' ')), Ok(std::string(1001, ' ')),
         Ok(Page({Item("a", 1)}, 7))});
  EXPECT_THAT(Heard(2), ElementsAre("+x/a 1", "|"));
  EXPECT_THAT(Line(0), HasSubstr("limit=500"));
  EXPECT_THAT(Line(1), HasSubstr("limit=125"));
  EXPECT_THAT(Line(2), HasSubstr("limit=31"));
}

TEST_F(InformerTest, LeavesTheServerAloneForAsLongAsItWants) {
  Start({Error(429, "Retry-After: 1\r\n"), Ok(Page({}, 7)),
         Error(503, "Retry-After: 1\r\n")});
  ASSERT_TRUE(api_->WaitFor(4));
  const auto requests = api_->requests();
  EXPECT_GE(requests[1].at - requests[0].at, absl::Seconds(1));
  EXPECT_GE(requests[3].at - requests[2].at, absl::Seconds(1));
  EXPECT_THAT(Line(3), HasSubstr("watch=1"));
}

TEST_F(InformerTest, FindsAStalledWatchAndGoesOnWhereItWas) {
  options_.watch_duration = absl::Seconds(1);
  options_.stall_timeout = absl::Milliseconds(100);
  Start({Ok(Page({}, 7)), Hold(Event("ADDED", Item("a", 8))), Hold("")});
  ASSERT_TRUE(api_->WaitFor(3));
  EXPECT_THAT(Line(2), HasSubstr("resourceVersion=8&timeoutSeconds=1"));
  const auto requests = api_->requests();
  EXPECT_LT(requests[2].at - requests[1].at, absl::Minutes(1));
  EXPECT_GE(Watches("stalled"), 1);
}

TEST_F(InformerTest, ListsAgainWhenTheServerRefusesToWatchFromThere) {
  Start({Ok(Page({}, 7)), Error(500), Error(500), Error(500),
         Ok(Page({Item("a", 1)}, 8))});
  EXPECT_THAT(Heard(3), ElementsAre("|", "+x/a 1", "|"));
}

TEST_F(InformerTest, ListsAtOnceWhenTheKindIsGone) {
  Start({Ok(Page({}, 7)), Error(404), Error(404), Ok(Page({}, 8))});
  ASSERT_TRUE(api_->WaitFor(5));
  EXPECT_THAT(Line(2), HasSubstr("limit="));
}

TEST_F(InformerTest, DoesNotSkipAnEventThatItCannotTake) {
  for (const std::string& event :
       {std::string("no JSON\n"), Event("OTHER", Item("a", 8)),
        Event("ADDED", R"({"metadata":{"resourceVersion":"8"}})"),
        Event("ADDED", R"({"metadata":{"name":"a","uid":"u"}})"),
        std::string("{\"type\":"),
        std::string(R"({"type":"ERROR","object":{"code":500}})") + "\n"}) {
    informer_.reset();
    Start({Ok(Page({}, 7)), Ok(event), Ok(event), Ok(event)});
    ASSERT_TRUE(api_->WaitFor(4)) << event;
    for (int i = 1; i < 4; ++i) {
      EXPECT_THAT(Line(i),
                  AnyOf(HasSubstr("resourceVersion=7&"), HasSubstr("limit=")))
          << event;
    }
    EXPECT_EQ(Copy(), "") << event;
  }
}

TEST_F(InformerTest, RefusesAnEventThatIsTooLarge) {
  client_options_.max_event_bytes = 1000;
  Start({Ok(Page({Item("a", 1)}, 7)), Hold(std::string(200'000, 'x'))});
  ASSERT_TRUE(api_->WaitFor(3));
  EXPECT_EQ(Copy(), "x/a 1");
  EXPECT_EQ(Watches("error"), 1);
}

TEST_F(InformerTest, KeepsItsCopyWhenThereAreTooManyObjects) {
  options_.limits.max_objects = 2;
  const std::string three = Page({Item("a", 1), Item("b", 1), Item("c", 1)}, 9);
  Start({Ok(Page({Item("a", 1), Item("b", 1)}, 7)),
         Ok(Event("ADDED", Item("c", 8))), Ok(Event("ADDED", Item("c", 8))),
         Ok(Event("ADDED", Item("c", 8))), Ok(three),
         Ok(Page({Item("b", 1), Item("c", 1)}, 10))});
  EXPECT_THAT(Heard(6),
              ElementsAre("+x/a 1", "+x/b 1", "|", "-x/a 1", "+x/c 1", "|"));
}

TEST_F(InformerTest, AWatchThatEndsAtOnceIsAFailure) {
  Start({Ok(Page({}, 7)), Ok(""), Ok(""), Ok(""), Ok(Page({}, 8))});
  ASSERT_TRUE(api_->WaitFor(6));
  EXPECT_THAT(Line(4), HasSubstr("limit="));
  EXPECT_EQ(Watches("error"), 3);
}

TEST_F(InformerTest, EndsWhateverItIsDoing) {
  options_.backoff = {absl::Hours(1), absl::Hours(1)};
  const std::vector<std::vector<Answer>> situations = {
      {Hold("")},                     // In a list.
      {Error(500)},                   // Waiting to try again.
      {Ok(Page({}, 7)), Hold("")},    // In a watch.
      {Ok(Page({}, 7)), Error(500)},  // Waiting to watch again.
  };
  for (const auto& answers : situations) {
    informer_.reset();
    Start(answers);
    ASSERT_TRUE(api_->WaitFor(answers.size()));
    informer_.reset();
  }
  Start({Hold("")});  // Before it has begun.
}

}  // namespace
}  // namespace insula::kube
