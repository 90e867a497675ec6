#include "services/federation_pusher/schedule.h"

#include <gmock/gmock.h>

#include <set>

#include "absl/strings/str_cat.h"

namespace insula::federation_pusher {
namespace {

using testing::Eq;

constexpr absl::Duration kInterval = absl::Seconds(10);
constexpr absl::Duration kOffset = absl::Seconds(3);

absl::Time At(double seconds) {
  return absl::FromUnixSeconds(1'700'000'000) + absl::Seconds(seconds);
}

registry::v1::Job JobOf(int interval, int timeout) {
  registry::v1::Job job;
  if (interval > 0) job.mutable_interval()->set_seconds(interval);
  if (timeout > 0) job.mutable_timeout()->set_seconds(timeout);
  return job;
}

TEST(TimingTest, HasDefaultsAndNoTimeoutAboveTheInterval) {
  const struct {
    int interval, timeout, interval_out, timeout_out;
  } cases[] = {{0, 0, 30, 30},     {5, 0, 5, 5},  {300, 0, 300, 30},
               {300, 60, 300, 60}, {5, 60, 5, 5}, {0, 10, 30, 10}};
  for (const auto& each : cases) {
    const Timing timing = TimingOf(JobOf(each.interval, each.timeout));
    EXPECT_EQ(timing.interval, absl::Seconds(each.interval_out));
    EXPECT_EQ(timing.timeout, absl::Seconds(each.timeout_out));
  }
}

TEST(OffsetTest, IsStableAndSpreadsJobsOverTheInterval) {
  std::set<int64_t> tenths;
  for (int i = 0; i < 200; ++i) {
    const std::string id = absl::StrCat("job-", i);
    const absl::Duration offset = OffsetOf(id, kInterval);
    EXPECT_EQ(offset, OffsetOf(id, kInterval));
    EXPECT_GE(offset, absl::ZeroDuration());
    EXPECT_LT(offset, kInterval);
    tenths.insert(absl::ToInt64Milliseconds(offset) / 1000);
  }
  EXPECT_THAT(tenths, testing::SizeIs(10));
}

TEST(NextRunTest, LiesAtTheOffsetInTheInterval) {
  EXPECT_EQ(NextRun(At(0), absl::InfinitePast(), kInterval, kOffset), At(3));
  EXPECT_EQ(NextRun(At(2.9), absl::InfinitePast(), kInterval, kOffset), At(3));
  EXPECT_EQ(NextRun(At(3), absl::InfinitePast(), kInterval, kOffset), At(13));
  EXPECT_EQ(NextRun(At(9), absl::InfinitePast(), kInterval, kOffset), At(13));
}

TEST(NextRunTest, KeepsTheBeatHoweverLongARunTook) {
  EXPECT_EQ(NextRun(At(3.5), At(3), kInterval, kOffset), At(13));
  EXPECT_EQ(NextRun(At(12.9), At(3), kInterval, kOffset), At(13));
  EXPECT_EQ(NextRun(At(27), At(3), kInterval, kOffset), At(33));
}

TEST(NextRunTest, ATimerThatFiresEarlyDoesNotBringTheSameTurnAgain) {
  EXPECT_EQ(NextRun(At(2.999), At(3), kInterval, kOffset), At(13));
}

TEST(NextRunTest, AClockThatIsSetBackDoesNotStopTheJob) {
  EXPECT_EQ(NextRun(At(3), At(3603), kInterval, kOffset), At(13));
}

TEST(NextRunTest, WorksBeforeTheEpoch) {
  const absl::Time now = absl::UnixEpoch() - absl::Seconds(1);
  EXPECT_THAT(NextRun(now, absl::InfinitePast(), kInterval, kOffset),
              Eq(absl::UnixEpoch() + kOffset));
}

}  // namespace
}  // namespace insula::federation_pusher
