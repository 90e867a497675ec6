#include "tools/loadgen/tally.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace insula::loadgen {
namespace {

using testing::HasSubstr;
using testing::Not;

Outcome Accepted() {
  return {.accepted = true,
          .answer = "204",
          .failure = "",
          .samples = 100,
          .bytes = 1000,
          .took = absl::Milliseconds(4)};
}

Outcome Refused() {
  return {.accepted = false,
          .answer = "401",
          .failure = "HTTP 401: who are you?",
          .samples = 100,
          .bytes = 1000,
          .took = absl::Milliseconds(1)};
}

TEST(TallyTest, SummaryCountsSamplesOfAcceptedRequestsOnly) {
  Tally tally;
  tally.Add(Accepted());
  tally.Add(Accepted());
  tally.Add(Refused());
  const auto summary =
      nlohmann::json::parse(Summary(tally.All(), absl::Seconds(2)));

  EXPECT_EQ(summary["requests"], 3);
  EXPECT_EQ(summary["failed"], 1);
  EXPECT_EQ(summary["samples"], 200);
  EXPECT_EQ(summary["bytes"], 3000);
  EXPECT_EQ(summary["requests_per_second"], 1.5);
  EXPECT_EQ(summary["samples_per_second"], 100);
  EXPECT_EQ(summary["max_ms"], 4);
  EXPECT_EQ(summary["answers"], nlohmann::json({{"204", 2}, {"401", 1}}));
  EXPECT_EQ(summary["first_failure"], "HTTP 401: who are you?");
}

TEST(TallyTest, SummaryIsJsonWhateverAReceiverSays) {
  Tally tally;
  Outcome outcome = Refused();
  outcome.failure = "HTTP 400: \xff\"\n";
  tally.Add(outcome);
  EXPECT_TRUE(nlohmann::json::accept(Summary(tally.All(), absl::Seconds(1))));
}

TEST(TallyTest, ProgressIsOfWhatIsNew) {
  Tally tally;
  tally.Add(Refused());
  EXPECT_THAT(ProgressLine(tally.TakeRecent(), absl::Seconds(1)),
              HasSubstr("1 errors"));
  tally.Add(Accepted());
  tally.Add(Accepted());
  const std::string line = ProgressLine(tally.TakeRecent(), absl::Seconds(1));
  EXPECT_THAT(line, HasSubstr("2.0 requests/s, 200 samples/s, 0 errors"));
  EXPECT_THAT(line, Not(HasSubstr("401")));
}

}  // namespace
}  // namespace insula::loadgen
