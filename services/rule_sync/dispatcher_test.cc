#include "services/rule_sync/dispatcher.h"

#include <gmock/gmock.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <condition_variable>
#include <functional>
#include <future>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "libs/sync/mutex.h"

namespace insula::rule_sync {
namespace {

namespace asio = boost::asio;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string UidOf(const std::string& id) {
  std::string uid = id;
  uid.resize(16, '.');
  return uid;
}

// Evaluators that do at once what is wanted, as far as they are good.
class Evaluators {
 public:
  struct Mood {
    bool hangs = false;
    absl::Status status;
    absl::Duration retry_after;
  };

  class Fake final : public Target {
   public:
    Fake(Evaluators* all, std::string org) : all_(*all), org_(std::move(org)) {}
    asio::awaitable<SyncResult> Sync(std::shared_ptr<const DesiredUnit> desired,
                                     bool may_delete) override {
      const Mood mood = all_.Begin(org_);
      if (mood.hangs) {
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
      }
      co_return all_.Apply(org_, *desired, may_delete, mood);
    }

   private:
    Evaluators& all_;
    const std::string org_;
  };

  void SetMood(const std::string& org, Mood mood) {
    sync::MutexLock lock(&mutex_);
    moods_[org] = mood;
  }
  void Plant(const std::string& org, std::set<GroupKey> groups) {
    sync::MutexLock lock(&mutex_);
    groups_[org] = std::move(groups);
  }
  size_t GroupsOf(const std::string& org) {
    sync::MutexLock lock(&mutex_);
    return groups_[org].size();
  }
  int SyncsOf(const std::string& org) {
    sync::MutexLock lock(&mutex_);
    return syncs_[org];
  }
  // Whether it becomes true, by what syncs do, within 20 s.
  bool Await(const std::function<bool()>& condition) {
    const absl::Time end = absl::Now() + absl::Seconds(20);
    while (!condition()) {
      std::unique_lock<sync::Mutex> lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(20));
      if (absl::Now() > end) return false;
    }
    return true;
  }

 private:
  Mood Begin(const std::string& org) {
    sync::MutexLock lock(&mutex_);
    ++syncs_[org];
    changed_.notify_all();
    return moods_[org];
  }
  SyncResult Apply(const std::string& org, const DesiredUnit& desired,
                   bool may_delete, const Mood& mood) {
    sync::MutexLock lock(&mutex_);
    SyncResult result;
    result.status = mood.status;
    result.retry_after = mood.retry_after;
    if (!mood.status.ok()) {
      result.failure = Failure::kBusy;
      return result;
    }
    std::set<GroupKey>& there = groups_[org];
    std::set<GroupKey> wanted;
    for (const auto& [uid, tenant] : desired.tenants) {
      for (const auto& file : tenant.files) {
        for (const CheckedGroup& group : file->checked.groups) {
          GroupKey key{uid, file->stem, group.group.name};
          result.outcomes[key] = {GroupOutcome::State::kActive, group.digest,
                                  ""};
          wanted.insert(key);
          there.insert(key);
        }
      }
    }
    std::erase_if(there, [&](const GroupKey& key) {
      return !wanted.contains(key) &&
             (may_delete || !desired.tenants.contains(key.uid));
    });
    result.present = there;
    changed_.notify_all();
    return result;
  }

  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, Mood> moods_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::set<GroupKey>> groups_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> syncs_ ABSL_GUARDED_BY(mutex_);
};

class DispatcherTest : public testing::Test {
 protected:
  DispatcherTest() {
    options_.resync_interval = absl::Hours(1);
    options_.backoff = {.initial = absl::Milliseconds(5),
                        .maximum = absl::Milliseconds(20)};
  }
  ~DispatcherTest() override { Stop(); }

  void Start() {
    dispatcher_ = std::make_shared<Dispatcher>(
        options_,
        [this](const UnitSpec& spec) {
          return std::make_unique<Evaluators::Fake>(&evaluators_, spec.org_id);
        },
        strand_, pool_.get_executor(), &metrics_);
  }
  void Stop() {
    if (dispatcher_ == nullptr) return;
    std::promise<void> stopped;
    On([&] { dispatcher_->Stop([&stopped] { stopped.set_value(); }); });
    stopped.get_future().wait();
    dispatcher_ = nullptr;
  }
  // Runs `what` on the dispatcher's strand.
  void On(const std::function<void()>& what) {
    asio::post(strand_, std::packaged_task<void()>(what)).get();
  }

  // A unit for a tenant whose files have so many groups.
  void Want(const std::string& org, int groups) {
    auto unit = std::make_shared<DesiredUnit>();
    unit->spec = Spec(org);
    unit->idle = groups == 0;
    DesiredTenant& tenant = unit->tenants[UidOf(org)];
    tenant.id = org;
    tenant.uid = UidOf(org);
    auto file = std::make_shared<DesiredFile>();
    file->stem = "api";
    for (int i = 0; i < groups; ++i) {
      CheckedGroup group;
      group.group.name = absl::StrCat("g", i);
      group.digest = "d";
      file->checked.groups.push_back(std::move(group));
    }
    tenant.files.push_back(std::move(file));
    desired_.units[unit->spec.Id()] = std::move(unit);
  }
  void Update() {
    auto desired = std::make_shared<const Desired>(desired_);
    On([&] { dispatcher_->Update(desired); });
  }
  static UnitSpec Spec(const std::string& org) {
    UnitSpec spec;
    spec.type = UnitSpec::Type::kRuler;
    spec.target_id = "main";
    spec.url = "http://ruler";
    spec.header = "X";
    spec.org_id = org;
    return spec;
  }
  static std::set<GroupKey> Groups(const std::string& org, int count) {
    std::set<GroupKey> groups;
    for (int i = 0; i < count; ++i) {
      groups.insert({UidOf(org), "api", absl::StrCat("g", i)});
    }
    return groups;
  }
  bool Becomes(const std::string& org, size_t groups) {
    return evaluators_.Await(
        [&] { return evaluators_.GroupsOf(org) == groups; });
  }
  bool Synced(const std::string& org, int times) {
    return evaluators_.Await([&] { return evaluators_.SyncsOf(org) >= times; });
  }
  double Held() { return metrics_.Held("main").Value(); }
  std::vector<std::string> Forgotten() {
    std::vector<std::string> forgotten;
    On([&] { forgotten = dispatcher_->TakeForgotten(); });
    return forgotten;
  }

  DispatcherOptions options_;
  metrics::Registry registry_;
  Metrics metrics_{&registry_};
  Evaluators evaluators_;
  asio::thread_pool pool_{2};
  Dispatcher::Strand strand_{
      asio::make_strand(asio::any_io_executor(pool_.get_executor()))};
  std::shared_ptr<Dispatcher> dispatcher_;
  Desired desired_;
};

TEST_F(DispatcherTest, SyncsWhatIsWantedAndWhatChanges) {
  Start();
  Want("red", 2);
  Want("blue", 1);
  Update();
  EXPECT_TRUE(Becomes("red", 2));
  EXPECT_TRUE(Becomes("blue", 1));
  Want("red", 3);
  Update();
  EXPECT_TRUE(Becomes("red", 3));
  // What is the same is not asked again.
  EXPECT_EQ(evaluators_.SyncsOf("blue"), 1);
}

TEST_F(DispatcherTest, ATenantThatHangsDelaysNobody) {
  evaluators_.SetMood("red", {.hangs = true, .status = {}, .retry_after = {}});
  Start();
  Want("red", 1);
  Want("blue", 1);
  Update();
  EXPECT_TRUE(Becomes("blue", 1));
  for (int i = 2; i < 5; ++i) {
    Want("blue", i);
    Update();
    EXPECT_TRUE(Becomes("blue", static_cast<size_t>(i)));
  }
  EXPECT_EQ(evaluators_.GroupsOf("red"), 0u);
}

TEST_F(DispatcherTest, NoMoreThanSoManyRunAtATime) {
  options_.max_parallel = 2;
  for (const char* org : {"a", "b", "c", "d"}) {
    evaluators_.SetMood(org, {.hangs = true, .status = {}, .retry_after = {}});
    Want(org, 1);
  }
  Start();
  Update();
  EXPECT_TRUE(evaluators_.Await([this] {
    int begun = 0;
    for (const char* org : {"a", "b", "c", "d"}) {
      begun += evaluators_.SyncsOf(org);
    }
    return begun == 2;
  }));
  Stop();
  int begun = 0;
  for (const char* org : {"a", "b", "c", "d"})
    begun += evaluators_.SyncsOf(org);
  EXPECT_EQ(begun, 2);
}

TEST_F(DispatcherTest, AFailureIsTriedAgain) {
  evaluators_.SetMood("red", {.hangs = false,
                              .status = absl::UnavailableError("away"),
                              .retry_after = {}});
  Start();
  Want("red", 1);
  Update();
  EXPECT_TRUE(Synced("red", 5));
  evaluators_.SetMood("red", {});
  EXPECT_TRUE(Becomes("red", 1));
}

TEST_F(DispatcherTest, WhatTheEvaluatorAsksToWaitIsWaitedAlsoByAChange) {
  evaluators_.SetMood("red", {.hangs = false,
                              .status = absl::ResourceExhaustedError("slow"),
                              .retry_after = absl::Hours(1)});
  Start();
  Want("red", 1);
  Want("blue", 1);
  Update();
  EXPECT_TRUE(Synced("red", 1));
  EXPECT_TRUE(Becomes("blue", 1));
  Want("red", 2);
  Want("blue", 2);
  Update();
  EXPECT_TRUE(Becomes("blue", 2));
  EXPECT_EQ(evaluators_.SyncsOf("red"), 1);
}

TEST_F(DispatcherTest, ManyGroupsThatVanishAtOnceAreHeldUntilTheyAreBack) {
  Start();
  Want("red", 30);
  Want("blue", 5);
  Update();
  EXPECT_TRUE(Becomes("red", 30));
  EXPECT_TRUE(Becomes("blue", 5));
  Want("red", 10);
  Want("blue", 4);
  Update();
  EXPECT_TRUE(evaluators_.Await([this] { return Held() == 21; }));
  EXPECT_TRUE(Synced("red", 2));
  EXPECT_TRUE(Synced("blue", 2));
  EXPECT_EQ(evaluators_.GroupsOf("red"), 30u);
  EXPECT_EQ(evaluators_.GroupsOf("blue"), 5u);  // One of the 21.

  Want("red", 26);
  Update();
  EXPECT_TRUE(Becomes("red", 26));
  EXPECT_TRUE(Becomes("blue", 4));
  EXPECT_TRUE(evaluators_.Await([this] { return Held() == 0; }));
}

TEST_F(DispatcherTest, AHundredPercentConfirmsIt) {
  options_.max_deletion_percent = 100;
  evaluators_.Plant("red", Groups("red", 30));
  Start();
  Want("red", 1);
  Update();
  EXPECT_TRUE(Becomes("red", 1));
}

TEST_F(DispatcherTest, ItHoldsAlsoAfterARestartWithAnEmptyDirectory) {
  std::map<std::string, UnitSpec> ledger;
  for (const char* org : {"a", "b", "c", "d"}) {
    evaluators_.Plant(org, Groups(org, 5));
    ledger[Spec(org).Id()] = Spec(org);
    Want(org, 0);
  }
  Start();
  On([&] { dispatcher_->Remember(ledger); });
  Update();
  EXPECT_TRUE(evaluators_.Await([this] { return Held() == 20; }));
  for (const char* org : {"a", "b", "c", "d"}) {
    EXPECT_EQ(evaluators_.GroupsOf(org), 5u);
  }
}

TEST_F(DispatcherTest, AtTheStartAFewVanishOnceAllHaveBeenLookedAt) {
  for (const char* org : {"a", "b"}) evaluators_.Plant(org, Groups(org, 5));
  evaluators_.SetMood("b", {.hangs = false,
                            .status = absl::UnavailableError("away"),
                            .retry_after = {}});
  Want("a", 4);
  Want("b", 4);
  Start();
  Update();
  // A failure is enough of a look.
  EXPECT_TRUE(Becomes("a", 4));
  evaluators_.SetMood("b", {});
  EXPECT_TRUE(Becomes("b", 4));
}

TEST_F(DispatcherTest, WhatTheRegistryTakesAwayGoesAndIsForgotten) {
  Start();
  Want("red", 30);
  Want("blue", 1);
  Update();
  EXPECT_TRUE(Becomes("red", 30));
  EXPECT_THAT(Forgotten(), IsEmpty());
  desired_.units.erase(Spec("red").Id());
  Update();
  EXPECT_TRUE(Becomes("red", 0));
  std::vector<std::string> forgotten;
  EXPECT_TRUE(evaluators_.Await([&] {
    for (std::string& id : Forgotten()) forgotten.push_back(std::move(id));
    return !forgotten.empty();
  }));
  EXPECT_THAT(forgotten, ElementsAre(Spec("red").Id()));
}

TEST_F(DispatcherTest, WhatAFormerProcessLeftOfATenantThatIsGoneGoes) {
  evaluators_.Plant("gone", Groups("gone", 30));
  Start();
  On([&] { dispatcher_->Remember({{Spec("gone").Id(), Spec("gone")}}); });
  Want("red", 1);
  Update();
  EXPECT_TRUE(Becomes("gone", 0));
  EXPECT_TRUE(Becomes("red", 1));
}

TEST_F(DispatcherTest, PlacesThatNobodyUsesAreNotAsked) {
  Start();
  Want("red", 1);
  Want("idle", 0);
  Update();
  EXPECT_TRUE(Becomes("red", 1));
  Want("red", 2);
  Update();
  EXPECT_TRUE(Becomes("red", 2));
  EXPECT_EQ(evaluators_.SyncsOf("idle"), 0);
  // Nor are they new, before they are used.
  On([&] { EXPECT_THAT(dispatcher_->NewUnits(desired_), IsEmpty()); });
}

TEST_F(DispatcherTest, ProgressIsThatOfTheVersion) {
  Start();
  Want("red", 1);
  Update();
  const GroupKey key{UidOf("red"), "api", "g0"};
  const auto state = [&](const std::string& digest) {
    GroupProgress progress;
    On([&] {
      progress = dispatcher_->ProgressOf(Spec("red").Id(), key, digest);
    });
    return progress.outcome.state;
  };
  EXPECT_TRUE(evaluators_.Await(
      [&] { return state("d") == GroupOutcome::State::kActive; }));
  EXPECT_EQ(state("other"), GroupOutcome::State::kPending);
}

}  // namespace
}  // namespace insula::rule_sync
