// Two teams share one Prometheus without seeing each other.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/harness/constellation.h"

namespace insula::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class FlowTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    constellation_ = std::make_unique<Constellation>();
    constellation_->StartAll();
    const absl::Time time = SampleTime();
    const HttpAnswer answer = constellation_->Write(
        Constellation::kSender,
        WriteBody({{{{"__name__", "flow"}, {"namespace", "red"}, {"x", "r"}},
                    1,
                    time},
                   {{{"__name__", "flow"}, {"namespace", "blue"}, {"x", "b"}},
                    2,
                    time}}));
    ASSERT_EQ(answer.status, 204) << answer.body;
  }
  static void TearDownTestSuite() { constellation_.reset(); }

  // Before any time at which the store evaluates, whatever its clock says.
  static absl::Time SampleTime() { return absl::Now() - absl::Seconds(5); }

  static std::unique_ptr<Constellation> constellation_;
};
std::unique_ptr<Constellation> FlowTest::constellation_;

TEST_F(FlowTest, EachTenantReadsItsOwnSeries) {
  const HttpAnswer red = constellation_->Query(Constellation::kRed, "flow");
  EXPECT_EQ(red.status, 200) << red.body;
  EXPECT_THAT(red.body,
              AllOf(HasSubstr(R"("x":"r")"), Not(HasSubstr(R"("x":"b")"))));
  const HttpAnswer blue = constellation_->Query(Constellation::kBlue, "flow");
  EXPECT_EQ(blue.status, 200) << blue.body;
  EXPECT_THAT(blue.body,
              AllOf(HasSubstr(R"("x":"b")"), Not(HasSubstr(R"("x":"r")"))));
}

TEST_F(FlowTest, AskingForTheOtherTenantFindsNothing) {
  const HttpAnswer answer =
      constellation_->Query(Constellation::kRed, "flow{namespace=\"blue\"}");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr(R"("result":[])"));
}

TEST_F(FlowTest, LabelsAndSeriesShowTheOwnTenantOnly) {
  for (const char* target :
       {"/api/v1/series?match[]=flow", "/prometheus/api/v1/series?match[]=flow",
        "/api/v1/label/x/values", "/api/v1/label/namespace/values"}) {
    const HttpAnswer answer = constellation_->Get(Constellation::kRed, target);
    EXPECT_EQ(answer.status, 200) << target << answer.body;
    EXPECT_THAT(answer.body, AllOf(HasSubstr(R"("r)"), Not(HasSubstr(R"("b)"))))
        << target;
  }
  EXPECT_THAT(constellation_->Get(Constellation::kRed, "/api/v1/labels").body,
              HasSubstr(R"("namespace")"));
}

TEST_F(FlowTest, AWrongOrMissingTokenIsRefused) {
  EXPECT_EQ(constellation_->Query("no-such-token", "flow").status, 401);
  EXPECT_EQ(constellation_->Write("no-such-token", WriteBody({})).status, 401);
  // Known, but of the other kind.
  EXPECT_EQ(constellation_->Query(Constellation::kSender, "flow").status, 403);
  EXPECT_EQ(constellation_
                ->Write(Constellation::kRed,
                        WriteBody({{{{"__name__", "flow"}}, 1, absl::Now()}}))
                .status,
            403);
}

TEST_F(FlowTest, ASeriesOfATenantThatIsNotTheSendersIsRefusedTheRestIsKept) {
  const absl::Time time = SampleTime();
  const HttpAnswer answer = constellation_->Write(
      Constellation::kSender,
      WriteBody({{{{"__name__", "partly"}, {"namespace", "green"}}, 1, time},
                 {{{"__name__", "partly"}, {"namespace", "red"}}, 2, time}}));
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("insula:"));
  EXPECT_THAT(constellation_->AskStore("partly"),
              AllOf(HasSubstr("red"), Not(HasSubstr("green"))));
}

}  // namespace
}  // namespace insula::e2e
