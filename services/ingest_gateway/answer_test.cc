#include "services/ingest_gateway/answer.h"

#include <gmock/gmock.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace insula::ingest_gateway {
namespace {

using remote_write::Counts;
using remote_write::Reason;
using testing::AllOf;
using testing::Eq;
using testing::HasSubstr;
using testing::Lt;
using testing::Not;
using testing::Optional;
using testing::StartsWith;

Loss Lost(Reason reason, const std::string& tenant = "red") {
  Loss loss;
  loss.tenant = tenant;
  loss.reason = reason;
  loss.counts = {.series = 2, .samples = 3};
  return loss;
}

TEST(AnswerTest, IsThatOfTheWorstPart) {
  struct {
    std::vector<Reason> losses;
    bool allowed;
    int status;
  } cases[] = {
      {{}, true, 204},
      {{}, false, 204},
      {{Reason::kLabelInvalid}, true, 400},
      {{Reason::kForeignLabel}, true, 400},
      {{Reason::kTenantMissing}, false, 400},
      {{Reason::kNoUpstream}, false, 400},
      {{Reason::kUpstreamRefused}, true, 400},
      {{Reason::kBurstExceeded}, true, 400},
      {{Reason::kTenantNotAllowed}, true, 400},
      {{Reason::kTenantNotAllowed}, false, 403},
      {{Reason::kTenantSuspended}, false, 403},
      {{Reason::kTenantReadOnly}, false, 403},
      {{Reason::kTenantUnknown, Reason::kTenantMissing}, false, 403},
      {{Reason::kTenantNotAllowed, Reason::kRateLimited}, true, 429},
      {{Reason::kLabelInvalid, Reason::kRateLimited}, true, 429},
      {{Reason::kRateLimited, Reason::kUpstreamUnavailable}, true, 503},
      {{Reason::kUpstreamUnavailable, Reason::kLabelInvalid}, true, 503},
  };
  for (const auto& c : cases) {
    Outcome outcome;
    outcome.allowed = c.allowed;
    for (const Reason reason : c.losses) outcome.losses.push_back(Lost(reason));
    EXPECT_EQ(StatusOf(outcome), c.status)
        << testing::PrintToString(c.losses) << " allowed " << c.allowed;
    EXPECT_EQ(MakeAnswer(outcome).status, c.status);
  }
}

TEST(AnswerTest, SuccessHasNoBody) {
  const auto response =
      MakeAnswer({.series = 5, .allowed = true, .losses = {}});
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.body, "");
}

TEST(AnswerTest, NamesTenantReasonCountsLimitAndCure) {
  Outcome outcome;
  outcome.series = 10;
  outcome.allowed = true;
  outcome.losses = {Lost(Reason::kLabelValueTooLong)};
  outcome.losses[0].limit = 2048;
  outcome.losses[0].examples = {"path"};

  EXPECT_THAT(
      MakeAnswer(outcome).body,
      AllOf(StartsWith("insula: "), HasSubstr("2 of 10 series"),
            HasSubstr("tenant 'red'"), HasSubstr("label_value_too_long"),
            HasSubstr("limit 2048"), HasSubstr("'path'"),
            HasSubstr("raise max_label_value_bytes")));
}

TEST(AnswerTest, ShowsAtMost200BytesOfWhatItGotAndNoneRaw) {
  Outcome outcome;
  outcome.allowed = true;
  for (int i = 0; i < 5; ++i) {
    Loss loss = Lost(Reason::kTenantNotAllowed, "");
    for (int j = 0; j < 10; ++j) {
      loss.examples.push_back(absl::StrCat("\xff\r\nQ", std::string(8, 'Q')));
    }
    loss.detail = std::string(1000, 'Q');
    outcome.losses.push_back(loss);
  }
  const std::string body = MakeAnswer(outcome).body;
  EXPECT_LT(std::count(body.begin(), body.end(), 'Q'), 200);
  EXPECT_THAT(body, AllOf(HasSubstr("\\xff\\r\\n"), Not(HasSubstr("\r")),
                          Not(HasSubstr("\xff"))));
}

TEST(AnswerTest, ListsTenLossesAndCountsTheRest) {
  Outcome outcome;
  outcome.allowed = true;
  for (int i = 0; i < 25; ++i) {
    outcome.losses.push_back(Lost(Reason::kLabelInvalid, absl::StrCat("t", i)));
  }
  EXPECT_THAT(MakeAnswer(outcome).body,
              AllOf(HasSubstr("'t9'"), Not(HasSubstr("'t10'")),
                    HasSubstr("and 15 more")));
}

TEST(AnswerTest, SaysWhenToComeBack) {
  struct {
    Reason reason;
    absl::Duration wait;
    const char* header;
  } cases[] = {
      {Reason::kRateLimited, absl::Milliseconds(1200), "2"},
      {Reason::kUpstreamUnavailable, absl::ZeroDuration(), "5"},
      {Reason::kUpstreamUnavailable, absl::Seconds(17), "17"},
      {Reason::kUpstreamUnavailable, absl::Hours(9), "300"},
  };
  for (const auto& c : cases) {
    Outcome outcome;
    outcome.losses = {Lost(c.reason)};
    outcome.retry_after = c.wait;
    EXPECT_THAT(MakeAnswer(outcome).headers.Get("Retry-After"),
                Optional(Eq(c.header)));
  }
  Outcome refused;
  refused.losses = {Lost(Reason::kLabelInvalid)};
  EXPECT_THAT(MakeAnswer(refused).headers.Get("Retry-After"), Eq(std::nullopt));
}

TEST(AnswerTest, ARefusalOfTheWholeSaysWhy) {
  const auto large = MakeRefusal(absl::ResourceExhaustedError("too large"));
  EXPECT_EQ(large.status, 413);
  EXPECT_EQ(large.body, "insula: too large\n");
  const auto unknown = MakeRefusal(absl::UnauthenticatedError("who?"));
  EXPECT_EQ(unknown.status, 401);
  EXPECT_THAT(unknown.headers.Get("WWW-Authenticate"), Optional(Eq("Bearer")));
  EXPECT_EQ(MakeRefusal(absl::InvalidArgumentError("bad")).status, 400);
  EXPECT_EQ(MakeRefusal(absl::PermissionDeniedError("no")).status, 403);
  EXPECT_EQ(MakeRefusal(absl::UnavailableError("later")).status, 503);
}

}  // namespace
}  // namespace insula::ingest_gateway
