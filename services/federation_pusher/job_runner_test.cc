#include "services/federation_pusher/job_runner.h"

#include <gmock/gmock.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/status/status_matchers.h"
#include "libs/time/clock.h"
#include "services/federation_pusher/fake_jobs.h"

namespace insula::federation_pusher {
namespace {

namespace asio = boost::asio;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class JobRunnerTest : public testing::Test {
 protected:
  using Answer = std::future<absl::StatusOr<RunReport>>;

  JobRunnerTest() { Make(/*max_parallel=*/16); }
  ~JobRunnerTest() override {
    runner_.reset();
    pool_.join();
  }

  void Make(int max_parallel) {
    runner_ = std::make_unique<JobRunner>(
        max_parallel,
        [this](std::shared_ptr<const tenancy::Snapshot> snapshot,
               std::shared_ptr<const tenancy::Job> job, RunReport* run) {
          return FakeJobs::Execute(&jobs_, std::move(snapshot), std::move(job),
                                   run);
        },
        pool_.get_executor(), &clock_, &metrics_, &registry_);
  }

  Answer RunNow(const std::string& id) {
    return asio::co_spawn(asio::make_strand(pool_.get_executor()),
                          runner_->RunNow(id), asio::use_future);
  }

  JobStatus StatusOf(absl::string_view id) {
    const std::vector<JobStatus> all = runner_->List().value();
    for (const JobStatus& job : all) {
      if (job.job_id == id) return job;
    }
    ADD_FAILURE() << "no job " << id;
    return {};
  }

  std::vector<std::string> Ids() {
    const std::vector<JobStatus> all = runner_->List().value();
    std::vector<std::string> ids;
    for (const JobStatus& job : all) {
      ids.push_back(job.job_id);
    }
    return ids;
  }

  bool Await(const std::function<bool()>& condition) {
    const absl::Time end = absl::Now() + absl::Seconds(20);
    while (!condition()) {
      if (absl::Now() > end) return false;
      absl::SleepFor(absl::Milliseconds(2));
    }
    return true;
  }

  const RealClock clock_;
  metrics::Registry registry_;
  Metrics metrics_{&registry_};
  FakeJobs jobs_;
  asio::thread_pool pool_{3};
  std::unique_ptr<JobRunner> runner_;
};

TEST_F(JobRunnerTest, KnowsNothingBeforeTheFirstSnapshot) {
  EXPECT_THAT(runner_->List(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(RunNow("a").get(), StatusIs(absl::StatusCode::kUnavailable));
  runner_->Update(std::make_shared<tenancy::Snapshot>());
  EXPECT_THAT(runner_->List(), StatusIs(absl::StatusCode::kUnavailable));
  runner_->Update(SnapshotOf({}));
  EXPECT_THAT(Ids(), IsEmpty());
}

TEST_F(JobRunnerTest, ListsJobsInTheOrderOfTheirIds) {
  runner_->Update(SnapshotOf({{"b"}, {"a/x", "red"}, {"c"}}));
  EXPECT_THAT(Ids(), ElementsAre("a/x", "b", "c"));
  EXPECT_EQ(StatusOf("a/x").tenant_id, "red");
  EXPECT_FALSE(StatusOf("b").last_run.has_value());
}

TEST_F(JobRunnerTest, RunsAJobAtItsInterval) {
  const absl::Time start = absl::Now();
  runner_->Update(SnapshotOf({{"often", "green", 1}, {"seldom"}}));
  ASSERT_TRUE(jobs_.AwaitRuns("often", 3));
  EXPECT_GE(absl::Now() - start, absl::Seconds(1.8));
  ASSERT_TRUE(Await([this] { return StatusOf("often").runs >= 3; }));
  EXPECT_THAT(jobs_.RunsOf("seldom"), IsEmpty());
}

TEST_F(JobRunnerTest, RunNowAnswersWithTheRun) {
  runner_->Update(SnapshotOf({{"a"}}));
  const absl::StatusOr<RunReport> run = RunNow("a").get();
  ASSERT_THAT(run, IsOk());
  EXPECT_EQ(run->error, "");
  EXPECT_EQ(run->delivered_samples, 2);
  EXPECT_EQ(StatusOf("a").runs, 1);
  EXPECT_EQ(StatusOf("a").failed_runs, 0);
  EXPECT_EQ(StatusOf("a").last_run->started_at, run->started_at);
  EXPECT_EQ(metrics_.Runs(Result::kSuccess).Value(), 1);
}

TEST_F(JobRunnerTest, AFailedRunIsAnAnswer) {
  runner_->Update(SnapshotOf({{"a"}}));
  jobs_.SetOutcome("a", Failure(Result::kSourceStatus, "answered 500"));
  const absl::StatusOr<RunReport> run = RunNow("a").get();
  ASSERT_THAT(run, IsOk());
  EXPECT_EQ(run->result, Result::kSourceStatus);
  EXPECT_EQ(run->error, "answered 500");
  EXPECT_EQ(StatusOf("a").failed_runs, 1);
  EXPECT_EQ(metrics_.Runs(Result::kSourceStatus).Value(), 1);
  EXPECT_THAT(registry_.Expose(),
              HasSubstr("federation_pusher_jobs_failing 1\n"));
  jobs_.SetOutcome("a", absl::OkStatus());
  EXPECT_EQ(RunNow("a").get()->error, "");
  EXPECT_THAT(registry_.Expose(),
              HasSubstr("federation_pusher_jobs_failing 0\n"));
}

TEST_F(JobRunnerTest, RunNowOfNoJobIsNotFound) {
  runner_->Update(SnapshotOf({{"a"}}));
  EXPECT_THAT(RunNow("b").get(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'b'")));
}

TEST_F(JobRunnerTest, RunNowDuringARunTakesPartInIt) {
  runner_->Update(SnapshotOf({{"a"}}));
  jobs_.Hold("a");
  Answer first = RunNow("a");
  ASSERT_TRUE(jobs_.AwaitRuns("a", 1));
  Answer second = RunNow("a");
  Answer third = RunNow("a");
  // Their turn to join comes on the executor.
  Answer probe = RunNow("no such job");
  probe.wait();
  jobs_.Release("a");
  const absl::Time started = first.get()->started_at;
  EXPECT_EQ(second.get()->started_at, started);
  EXPECT_EQ(third.get()->started_at, started);
  EXPECT_THAT(jobs_.RunsOf("a"), SizeIs(1));
}

TEST_F(JobRunnerTest, ACallerThatGoesAwayLeavesTheRunAlone) {
  runner_->Update(SnapshotOf({{"a"}}));
  jobs_.Hold("a");
  auto strand = asio::make_strand(pool_.get_executor());
  asio::cancellation_signal signal;
  Answer gone = asio::co_spawn(
      strand, runner_->RunNow("a"),
      asio::bind_cancellation_slot(signal.slot(), asio::use_future));
  ASSERT_TRUE(jobs_.AwaitRuns("a", 1));
  asio::post(strand, [&] { signal.emit(asio::cancellation_type::terminal); });
  EXPECT_THAT(gone.get(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(jobs_.running(), 1);
  Answer other = RunNow("a");
  jobs_.Release("a");
  EXPECT_EQ(other.get()->error, "");
  EXPECT_EQ(StatusOf("a").failed_runs, 0);
}

TEST_F(JobRunnerTest, NoMoreThanAllowedRunAtOnce) {
  Make(/*max_parallel=*/2);
  runner_->Update(SnapshotOf({{"a"}, {"b"}, {"c"}, {"d"}}));
  for (const char* id : {"a", "b"}) jobs_.Hold(id);
  Answer a = RunNow("a");
  Answer b = RunNow("b");
  ASSERT_TRUE(jobs_.AwaitRuns("a", 1));
  ASSERT_TRUE(jobs_.AwaitRuns("b", 1));
  Answer c = RunNow("c");
  Answer d = RunNow("d");
  jobs_.Release("a");
  EXPECT_EQ(c.get()->error, "");
  EXPECT_EQ(d.get()->error, "");
  // b hung all the while, and kept only its own place.
  EXPECT_THAT(jobs_.RunsOf("b"), SizeIs(1));
  jobs_.Release("b");
  a.wait();
  b.wait();
  EXPECT_EQ(jobs_.most_running(), 2);
}

TEST_F(JobRunnerTest, ADeletedJobIsCutShort) {
  runner_->Update(SnapshotOf({{"a"}, {"b"}}));
  jobs_.Hold("a");
  Answer answer = RunNow("a");
  ASSERT_TRUE(jobs_.AwaitRuns("a", 1));
  runner_->Update(SnapshotOf({{"b"}}));
  const absl::StatusOr<RunReport> run = answer.get();
  ASSERT_THAT(run, IsOk());
  EXPECT_EQ(run->result, Result::kInterrupted);
  EXPECT_EQ(run->delivered_samples, 1);
  EXPECT_THAT(run->error, HasSubstr("deleted"));
  EXPECT_THAT(Ids(), ElementsAre("b"));
  EXPECT_TRUE(Await([this] { return jobs_.running() == 0; }));
}

TEST_F(JobRunnerTest, AChangedJobIsCutShortAndRunsAnew) {
  runner_->Update(SnapshotOf({{"a", "red"}}));
  RunNow("a").wait();
  jobs_.Hold("a");
  Answer old = RunNow("a");
  ASSERT_TRUE(jobs_.AwaitRuns("a", 2));
  runner_->Update(SnapshotOf({{"a", "green"}}));
  EXPECT_EQ(old.get()->result, Result::kInterrupted);
  Answer now = RunNow("a");
  ASSERT_TRUE(jobs_.AwaitRuns("a", 3));
  jobs_.Release("a");
  EXPECT_EQ(now.get()->error, "");
  EXPECT_EQ(jobs_.RunsOf("a")[1].tenant, "red");
  EXPECT_EQ(jobs_.RunsOf("a")[2].tenant, "green");
  EXPECT_FALSE(jobs_.overlapped());
  // Its history stays, for it is the same job.
  EXPECT_EQ(StatusOf("a").runs, 3);
  EXPECT_EQ(StatusOf("a").failed_runs, 1);
}

TEST_F(JobRunnerTest, AJobMadeAnewHasNoHistory) {
  runner_->Update(SnapshotOf({{"a"}}));
  RunNow("a").wait();
  runner_->Update(SnapshotOf({{"a", "green", 3000, 'v'}}));
  EXPECT_EQ(StatusOf("a").runs, 0);
  EXPECT_FALSE(StatusOf("a").last_run.has_value());
}

TEST_F(JobRunnerTest, AChangeOfOthersLeavesARunAlone) {
  runner_->Update(SnapshotOf({{"a"}, {"b"}}));
  jobs_.Hold("a");
  Answer answer = RunNow("a");
  ASSERT_TRUE(jobs_.AwaitRuns("a", 1));
  for (int i = 0; i < 20; ++i) {
    runner_->Update(
        SnapshotOf({{"a"}, {"b", absl::StrCat("tenant-", i)}, {"c"}}));
    runner_->Update(SnapshotOf({{"a"}}));
  }
  EXPECT_EQ(jobs_.running(), 1);
  jobs_.Release("a");
  EXPECT_EQ(answer.get()->error, "");
}

TEST_F(JobRunnerTest, ManyChangesInARowNeverRunAJobTwiceAtOnce) {
  jobs_.Hold("a");
  std::vector<Answer> answers;
  for (int i = 0; i < 50; ++i) {
    runner_->Update(SnapshotOf({{"a", absl::StrCat("tenant-", i)}}));
    answers.push_back(RunNow("a"));
    if (i % 3 == 0) runner_->Update(SnapshotOf({}));
  }
  runner_->Update(SnapshotOf({}));
  for (Answer& answer : answers) answer.wait();
  EXPECT_TRUE(Await([this] { return jobs_.running() == 0; }));
}

TEST_F(JobRunnerTest, DrainingLetsRunsFinishAndStartsNone) {
  runner_->Update(SnapshotOf({{"a"}, {"b"}}));
  jobs_.Hold("a");
  Answer answer = RunNow("a");
  ASSERT_TRUE(jobs_.AwaitRuns("a", 1));
  absl::Duration took = absl::InfiniteDuration();
  std::thread drain([&] {
    const absl::Time start = absl::Now();
    runner_->Drain(absl::Minutes(5));
    took = absl::Now() - start;
  });
  ASSERT_TRUE(Await(
      [this] { return absl::IsUnavailable(RunNow("b").get().status()); }));
  runner_->Update(SnapshotOf({{"a"}, {"b"}, {"c"}}));
  EXPECT_EQ(jobs_.running(), 1);
  jobs_.Release("a");
  drain.join();
  EXPECT_LT(took, absl::Minutes(2));
  EXPECT_EQ(answer.get()->error, "");
  EXPECT_THAT(jobs_.RunsOf("c"), IsEmpty());
  EXPECT_THAT(RunNow("a").get(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(JobRunnerTest, DrainingCutsShortWhatTakesTooLong) {
  Make(/*max_parallel=*/1);
  runner_->Update(SnapshotOf({{"a"}, {"b"}}));
  jobs_.Hold("a");
  Answer running = RunNow("a");
  ASSERT_TRUE(jobs_.AwaitRuns("a", 1));
  Answer waiting = RunNow("b");
  Answer probe = RunNow("no such job");
  probe.wait();
  runner_->Drain(absl::Milliseconds(50));
  EXPECT_EQ(running.get()->result, Result::kInterrupted);
  const absl::StatusOr<RunReport> other = waiting.get();
  if (other.ok()) {
    EXPECT_EQ(other->result, Result::kInterrupted);
  } else {
    EXPECT_THAT(other, StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_THAT(jobs_.RunsOf("b"), IsEmpty());
  EXPECT_EQ(jobs_.running(), 0);
}

TEST_F(JobRunnerTest, TurnsThatPassWhileAllPlacesAreTakenAreCounted) {
  Make(/*max_parallel=*/1);
  runner_->Update(SnapshotOf({{"hung"}, {"often", "green", 1}}));
  jobs_.Hold("hung");
  Answer answer = RunNow("hung");
  ASSERT_TRUE(jobs_.AwaitRuns("hung", 1));
  const size_t before = jobs_.RunsOf("often").size();
  const absl::Time start = absl::Now();
  ASSERT_TRUE(Await([&] { return absl::Now() > start + absl::Seconds(3.5); }));
  EXPECT_LE(jobs_.RunsOf("often").size(), before + 1);
  jobs_.Release("hung");
  ASSERT_TRUE(jobs_.AwaitRuns("often", before + 2));
  EXPECT_GE(metrics_.turns_missed.Value(), 1);
}

TEST_F(JobRunnerTest, TellsTheOldestSuccess) {
  EXPECT_THAT(registry_.Expose(),
              HasSubstr("federation_pusher_oldest_success_timestamp_seconds "
                        "0\n"));
  runner_->Update(SnapshotOf({{"a"}, {"b"}}));
  const absl::Time known = absl::Now();
  RunNow("a").wait();
  jobs_.SetOutcome("b", Failure(Result::kSourceStatus, "answered 500"));
  RunNow("b").wait();
  registry_.Expose();
  EXPECT_LE(metrics_.oldest_success.Value(),
            absl::ToDoubleSeconds(known - absl::UnixEpoch()));
  EXPECT_GT(metrics_.oldest_success.Value(),
            absl::ToDoubleSeconds(known - absl::UnixEpoch()) - 60);
  runner_->Update(SnapshotOf({{"a"}}));
  registry_.Expose();
  EXPECT_GE(metrics_.oldest_success.Value(),
            absl::ToDoubleSeconds(known - absl::UnixEpoch()));
  EXPECT_EQ(metrics_.jobs.Value(), 1);
}

}  // namespace
}  // namespace insula::federation_pusher
