#include "libs/fair_queue/scheduler.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace insula::fair_queue {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::Le;
using Verdict = Scheduler::Verdict;

constexpr TenantLimits kMany{.max_concurrent = 1000, .max_queued = 100'000};

// Requests by names, and the order of their turns.
class Turns {
 public:
  explicit Turns(Scheduler::Options options) : scheduler_(options) {}

  Verdict Enter(const std::string& tenant, double cost = 1,
                TenantLimits limits = kMany) {
    Scheduler::Id id = 0;
    const Verdict verdict = scheduler_.Enter(tenant, limits, cost, &id);
    const std::string name = absl::StrCat(tenant, ++count_[tenant]);
    names_[id] = name;
    ids_[name] = id;
    return verdict;
  }
  void Leave(const std::string& name) { scheduler_.Leave(ids_[name]); }
  // Whose turn it is since the last call; with '-' in front who was put out.
  std::vector<std::string> Take() {
    std::vector<std::string> names;
    for (const Scheduler::Turn& turn : scheduler_.TakeTurns()) {
      names.push_back((turn.verdict == Verdict::kRun ? "" : "-") +
                      names_[turn.id]);
    }
    return names;
  }
  // Lets all have their turns, one at a time, from `first` on.
  std::vector<std::string> RunAll(std::string first) {
    std::vector<std::string> order;
    while (true) {
      Leave(first);
      const std::vector<std::string> next = Take();
      if (next.empty()) return order;
      first = next[0];
      order.push_back(first);
    }
  }
  Scheduler& operator*() { return scheduler_; }
  Scheduler* operator->() { return &scheduler_; }

 private:
  Scheduler scheduler_;
  std::map<std::string, int> count_;
  std::map<Scheduler::Id, std::string> names_;
  std::map<std::string, Scheduler::Id> ids_;
};

TEST(SchedulerTest, WhoOnlyTriesRunsAtOnceOrIsNotThere) {
  Scheduler scheduler({.max_concurrent = 2});
  Scheduler::Id first = 0;
  Scheduler::Id second = 0;
  Scheduler::Id id = 0;
  EXPECT_TRUE(scheduler.TryEnter("a", {.max_concurrent = 1}, 1, &first));
  EXPECT_FALSE(scheduler.TryEnter("a", {.max_concurrent = 1}, 1, &id));
  EXPECT_TRUE(scheduler.TryEnter("b", kMany, 1, &second));
  EXPECT_FALSE(scheduler.TryEnter("c", kMany, 1, &id));
  EXPECT_EQ(scheduler.running(), 2u);
  EXPECT_EQ(scheduler.waiting(), 0u);
  EXPECT_EQ(scheduler.tenants(), 2u);

  // Whoever waits comes first.
  EXPECT_EQ(scheduler.Enter("a", {.max_concurrent = 1}, 1, &id),
            Verdict::kWait);
  scheduler.Leave(second);
  Scheduler::Id other = 0;
  EXPECT_FALSE(scheduler.TryEnter("a", {.max_concurrent = 1}, 1, &other));
  scheduler.Leave(first);
  EXPECT_EQ(scheduler.running(), 1u);
  EXPECT_FALSE(scheduler.TryEnter("a", {.max_concurrent = 1}, 1, &other));
  EXPECT_TRUE(scheduler.TryEnter("a", {.max_concurrent = 2}, 1, &other));
}

// Debt is the same for those who only try.
TEST(SchedulerTest, WhoTriesPaysAsWell) {
  Turns turns({.max_concurrent = 1});
  Scheduler::Id id = 0;
  EXPECT_TRUE(turns->TryEnter("a", kMany, 10, &id));
  EXPECT_THAT(turns.Enter("a"), Eq(Verdict::kWait));
  EXPECT_THAT(turns.Enter("b", 2), Eq(Verdict::kWait));
  EXPECT_THAT(turns.Enter("b", 2), Eq(Verdict::kWait));
  turns->Leave(id);
  EXPECT_THAT(turns.Take(), ElementsAre("b1"));
  EXPECT_THAT(turns.RunAll("b1"), ElementsAre("b2", "a1"));
}

TEST(SchedulerTest, RunsAtOnceWhatFits) {
  Turns turns({.max_concurrent = 2});
  EXPECT_THAT(turns.Enter("a"), Eq(Verdict::kRun));
  EXPECT_THAT(turns.Enter("b"), Eq(Verdict::kRun));
  EXPECT_THAT(turns.Enter("c"), Eq(Verdict::kWait));
  EXPECT_THAT(turns.Take(), IsEmpty());
  turns.Leave("a1");
  EXPECT_THAT(turns.Take(), ElementsAre("c1"));
  EXPECT_THAT(turns->running(), Eq(2));
  EXPECT_THAT(turns->waiting(), Eq(0));
}

TEST(SchedulerTest, TenantsTakeTurns) {
  Turns turns({.max_concurrent = 1});
  turns.Enter("x");
  for (int i = 0; i < 3; ++i) turns.Enter("a");
  for (int i = 0; i < 3; ++i) turns.Enter("b");
  EXPECT_THAT(turns.RunAll("x1"),
              ElementsAre("a1", "b1", "a2", "b2", "a3", "b3"));
}

TEST(SchedulerTest, WhoCostsMoreHasFewerTurns) {
  Turns turns({.max_concurrent = 1});
  turns.Enter("x");
  for (int i = 0; i < 2; ++i) turns.Enter("a", 3);
  for (int i = 0; i < 6; ++i) turns.Enter("b", 1);
  EXPECT_THAT(turns.RunAll("x1"),
              ElementsAre("a1", "b1", "b2", "b3", "a2", "b4", "b5", "b6"));
}

TEST(SchedulerTest, WhoComesBackHasNotForgottenWhatItOwes) {
  Turns turns({.max_concurrent = 1});
  turns.Enter("dear", 5);
  for (int i = 0; i < 8; ++i) turns.Enter("b", 1);
  turns.Leave("dear1");
  EXPECT_THAT(turns.Take(), ElementsAre("b1"));
  turns.Enter("dear", 5);  // It had nothing waiting in between.
  EXPECT_THAT(turns.RunAll("b1"),
              ElementsAre("b2", "b3", "b4", "b5", "b6", "dear2", "b7", "b8"));
}

TEST(SchedulerTest, IdleTimeIsNotSavedUp) {
  Turns turns({.max_concurrent = 1});
  turns.Enter("a");
  for (int i = 0; i < 20; ++i) turns.Enter("a");
  for (int i = 1; i <= 10; ++i) turns.Leave(absl::StrCat("a", i));
  turns.Take();
  for (int i = 0; i < 3; ++i) turns.Enter("late");
  std::vector<std::string> order = turns.RunAll("a11");
  order.resize(5);
  EXPECT_THAT(order, ElementsAre("late1", "a12", "late2", "a13", "late3"));
}

TEST(SchedulerTest, ATenantHasNoMorePlacesThanItsOwn) {
  Turns turns({.max_concurrent = 10});
  const TenantLimits two{.max_concurrent = 2, .max_queued = 10};
  EXPECT_THAT(turns.Enter("a", 1, two), Eq(Verdict::kRun));
  EXPECT_THAT(turns.Enter("a", 1, two), Eq(Verdict::kRun));
  EXPECT_THAT(turns.Enter("a", 1, two), Eq(Verdict::kWait));
  EXPECT_THAT(turns.Enter("b", 1, two), Eq(Verdict::kRun));
  turns.Leave("b1");
  EXPECT_THAT(turns.Take(), IsEmpty());
  turns.Leave("a1");
  EXPECT_THAT(turns.Take(), ElementsAre("a3"));
}

TEST(SchedulerTest, LimitsChangeAtOnce) {
  Turns turns({.max_concurrent = 10});
  const TenantLimits one{.max_concurrent = 1, .max_queued = 10};
  for (int i = 0; i < 4; ++i) turns.Enter("a", 1, one);
  turns->SetLimits("a", {.max_concurrent = 3, .max_queued = 10});
  EXPECT_THAT(turns.Take(), ElementsAre("a2", "a3"));
  turns->SetLimits("a", one);
  turns.Leave("a1");
  turns.Leave("a2");
  EXPECT_THAT(turns.Take(), IsEmpty());
  turns.Leave("a3");
  EXPECT_THAT(turns.Take(), ElementsAre("a4"));
  turns->SetLimits("nobody", one);
  EXPECT_THAT(turns->tenants(), Eq(1));
}

TEST(SchedulerTest, TheQueueOfATenantIsBounded) {
  Turns turns({.max_concurrent = 1});
  const TenantLimits limits{.max_concurrent = 1, .max_queued = 2};
  turns.Enter("a", 1, limits);
  turns.Enter("a", 1, limits);
  EXPECT_THAT(turns.Enter("a", 1, limits), Eq(Verdict::kWait));
  EXPECT_THAT(turns.Enter("a", 1, limits), Eq(Verdict::kTenantFull));
  EXPECT_THAT(turns.Enter("b", 1, limits), Eq(Verdict::kWait));
  turns.Leave("a2");
  EXPECT_THAT(turns.Enter("a", 1, limits), Eq(Verdict::kWait));
  EXPECT_THAT(turns.Enter("c", 1, {.max_concurrent = 1, .max_queued = 0}),
              Eq(Verdict::kTenantFull));
}

TEST(SchedulerTest, WhenAllIsFullWhoHasMostMakesRoom) {
  Turns turns({.max_concurrent = 1, .max_queued = 4});
  turns.Enter("x");
  for (int i = 0; i < 4; ++i) turns.Enter("heavy");
  EXPECT_THAT(turns.Enter("heavy"), Eq(Verdict::kFull));
  EXPECT_THAT(turns.Enter("light"), Eq(Verdict::kWait));
  EXPECT_THAT(turns.Take(), ElementsAre("-heavy4"));
  EXPECT_THAT(turns->waiting(), Eq(4));
  EXPECT_THAT(turns.Enter("light"), Eq(Verdict::kWait));
  EXPECT_THAT(turns.Take(), ElementsAre("-heavy3"));
  EXPECT_THAT(turns.Enter("light"), Eq(Verdict::kFull));
}

TEST(SchedulerTest, WhoGivesUpCostsNothing) {
  Turns turns({.max_concurrent = 1});
  turns.Enter("x");
  turns.Enter("a", 100);
  turns.Enter("a", 1);
  turns.Enter("b", 1);
  turns.Enter("b", 1);
  turns.Leave("a1");
  turns.Leave("a1");  // A second time.
  EXPECT_THAT(turns.RunAll("x1"), ElementsAre("a2", "b1", "b2"));
  EXPECT_THAT(turns->tenants(), Eq(0));
}

TEST(SchedulerTest, OddCostsAreOne) {
  Turns turns({.max_concurrent = 1});
  turns.Enter("x");
  for (const double cost :
       {0.0, -5.0, std::nan(""), -std::numeric_limits<double>::infinity()}) {
    turns.Enter("a", cost);
    turns.Enter("b", 1);
  }
  EXPECT_THAT(turns.RunAll("x1"),
              ElementsAre("a1", "b1", "a2", "b2", "a3", "b3", "a4", "b4"));
}

// Work that takes as long as it costs, on a clock of its own.
struct Job {
  std::string tenant;
  double cost;
  double at;
  TenantLimits limits = kMany;
};

// The longest that each tenant waited.
std::map<std::string, double> LongestWaits(std::vector<Job> jobs, int places,
                                           bool fair) {
  std::stable_sort(jobs.begin(), jobs.end(),
                   [](const Job& a, const Job& b) { return a.at < b.at; });
  Scheduler scheduler({.max_concurrent = places, .max_queued = 1'000'000});
  using End = std::pair<double, Scheduler::Id>;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends;
  std::map<Scheduler::Id, const Job*> by_id;
  std::map<std::string, double> longest;
  const auto run = [&](Scheduler::Id id, double now) {
    const Job& job = *by_id[id];
    longest[job.tenant] = std::max(longest[job.tenant], now - job.at);
    ends.push({now + job.cost, id});
  };
  auto job = jobs.begin();
  while (job != jobs.end() || !ends.empty()) {
    double now;
    if (ends.empty() || (job != jobs.end() && job->at <= ends.top().first)) {
      now = job->at;
      Scheduler::Id id = 0;
      // Not fair: one queue for all.
      const Verdict verdict = scheduler.Enter(fair ? job->tenant : "all",
                                              job->limits, job->cost, &id);
      by_id[id] = &*job++;
      if (verdict == Verdict::kRun) run(id, now);
    } else {
      now = ends.top().first;
      const Scheduler::Id id = ends.top().second;
      ends.pop();
      scheduler.Leave(id);
    }
    for (const auto& turn : scheduler.TakeTurns()) run(turn.id, now);
  }
  return longest;
}

// One asks for 2,000 pieces of 100 at once, twenty ask for pieces of 1, all at
// the same moments.
std::vector<Job> OneAgainstMany(TenantLimits heavy) {
  std::vector<Job> jobs;
  for (int i = 0; i < 2000; ++i) jobs.push_back({"heavy", 100, 0, heavy});
  for (int i = 0; i < 50; ++i) {
    for (int who = 0; who < 20; ++who) {
      jobs.push_back({absl::StrCat("light", who), 1, 1.0 + 40 * i});
    }
  }
  return jobs;
}

double LongestOfLight(const std::map<std::string, double>& longest) {
  double most = 0;
  for (const auto& [tenant, wait] : longest) {
    if (tenant != "heavy") most = std::max(most, wait);
  }
  return most;
}

TEST(FairnessTest, AHeavyTenantHoldsOthersUpForOneRequestOfItsOwn) {
  const std::vector<Job> jobs = OneAgainstMany(kMany);
  // Till a place is free, 100; then the others that came in the meantime.
  EXPECT_THAT(LongestOfLight(LongestWaits(jobs, 4, true)), Le(100 + 3 * 20));
  // With one queue for all, behind most of what the heavy one has asked for.
  EXPECT_THAT(LongestOfLight(LongestWaits(jobs, 4, false)), Ge(40'000));
}

TEST(FairnessTest, ATenantWithFewerPlacesHoldsNobodyUp) {
  const TenantLimits three{.max_concurrent = 3, .max_queued = 100'000};
  // The twenty have one place for themselves.
  EXPECT_THAT(LongestOfLight(LongestWaits(OneAgainstMany(three), 4, true)),
              Le(20));
}

TEST(FairnessTest, SharesAreEqualByCostAtAllTimes) {
  Scheduler scheduler({.max_concurrent = 1});
  std::map<Scheduler::Id, std::pair<int, double>> jobs;  // Whose, and cost.
  std::mt19937 random(7);
  Scheduler::Id first = 0;
  scheduler.Enter("x", kMany, 1, &first);
  const double most = 1000;
  for (int i = 0; i < 2000; ++i) {
    for (const int who : {0, 1, 2}) {
      const double cost = who == 0 ? 1 + random() % 1000 : 1 + random() % 10;
      Scheduler::Id id = 0;
      scheduler.Enter(absl::StrCat("t", who), kMany, cost, &id);
      jobs[id] = {who, cost};
    }
  }
  double served[3] = {};
  scheduler.Leave(first);
  while (true) {
    const auto turns = scheduler.TakeTurns();
    ASSERT_FALSE(turns.empty());
    const auto& [who, cost] = jobs[turns[0].id];
    served[who] += cost;
    // While all three have work: the cheap ones run out first.
    if (std::max(served[1], served[2]) > 9000) break;
    EXPECT_LE(*std::max_element(served, served + 3) -
                  *std::min_element(served, served + 3),
              most + 10);
    scheduler.Leave(turns[0].id);
  }
  EXPECT_GE(served[0], 7000);
}

TEST(SchedulerPropertyTest, KeepsItsPromisesWhateverHappens) {
  std::mt19937 random(11);
  for (int world = 0; world < 30; ++world) {
    const Scheduler::Options options{.max_concurrent = 1 + world % 4,
                                     .max_queued = 3 + world};
    Scheduler scheduler(options);
    std::map<Scheduler::Id, std::string> running;
    std::map<Scheduler::Id, std::string> waiting;
    std::map<std::string, TenantLimits> limits;
    for (int i = 0; i < 2000; ++i) {
      const std::string tenant = absl::StrCat(random() % 5);
      auto& of = random() % 2 == 0 ? running : waiting;
      if (random() % 5 < 3) {
        limits[tenant] = {.max_concurrent = 1 + static_cast<int>(random() % 3),
                          .max_queued = static_cast<int>(random() % 6)};
        Scheduler::Id id = 0;
        const Verdict verdict =
            scheduler.Enter(tenant, limits[tenant], 1 + random() % 100, &id);
        if (verdict == Verdict::kRun) running[id] = tenant;
        if (verdict == Verdict::kWait) waiting[id] = tenant;
      } else if (!of.empty()) {
        const auto gone = std::next(of.begin(), random() % of.size());
        scheduler.Leave(gone->first);
        of.erase(gone);
      }
      for (const auto& turn : scheduler.TakeTurns()) {
        ASSERT_THAT(waiting.count(turn.id), Eq(1));
        if (turn.verdict == Verdict::kRun) running[turn.id] = waiting[turn.id];
        waiting.erase(turn.id);
      }
      ASSERT_THAT(scheduler.running(), Eq(running.size()));
      ASSERT_THAT(scheduler.waiting(), Eq(waiting.size()));
      ASSERT_THAT(running.size(), Le(options.max_concurrent));
      ASSERT_THAT(waiting.size(), Le(options.max_queued));
      // A place is free only if nobody who waits may have it.
      if (running.size() == static_cast<size_t>(options.max_concurrent)) {
        continue;
      }
      for (const auto& [id, name] : waiting) {
        const auto busy =
            std::count_if(running.begin(), running.end(),
                          [&](const auto& r) { return r.second == name; });
        ASSERT_THAT(busy, Ge(limits[name].max_concurrent));
      }
    }
    for (const auto& all : {waiting, running}) {
      for (const auto& [id, name] : all) scheduler.Leave(id);
    }
    for (auto turns = scheduler.TakeTurns(); !turns.empty();
         turns = scheduler.TakeTurns()) {
      for (const auto& turn : turns) scheduler.Leave(turn.id);
    }
    EXPECT_THAT(scheduler.tenants(), Eq(0));
  }
}

}  // namespace
}  // namespace insula::fair_queue
