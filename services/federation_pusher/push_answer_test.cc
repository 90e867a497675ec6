#include "services/federation_pusher/push_answer.h"

#include <gmock/gmock.h>

namespace insula::federation_pusher {
namespace {

using Kind = PushVerdict::Kind;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const absl::Time kNow = absl::FromUnixSeconds(784'111'777);

http::Response Response(int status, absl::string_view body = "",
                        absl::string_view retry_after = "") {
  http::Response response = http::TextResponse(status, body);
  if (!retry_after.empty()) response.headers.Set("Retry-After", retry_after);
  return response;
}

PushVerdict Judge(int status, absl::string_view body = "") {
  return JudgePush(Response(status, body), 10, kNow);
}

TEST(JudgePushTest, AnswersByTheirStatus) {
  const std::pair<int, Kind> cases[] = {
      {200, Kind::kAccepted}, {204, Kind::kAccepted}, {301, Kind::kHopeless},
      {400, Kind::kRefused},  {401, Kind::kHopeless}, {403, Kind::kHopeless},
      {404, Kind::kHopeless}, {405, Kind::kHopeless}, {409, Kind::kRefused},
      {413, Kind::kRefused},  {415, Kind::kHopeless}, {422, Kind::kRefused},
      {408, Kind::kLater},    {429, Kind::kLater},    {500, Kind::kLater},
      {502, Kind::kLater},    {503, Kind::kLater},    {504, Kind::kLater}};
  for (const auto& [status, kind] : cases) {
    EXPECT_EQ(Judge(status).kind, kind) << status;
    const bool refused = kind == Kind::kRefused || kind == Kind::kHopeless;
    EXPECT_EQ(Judge(status).refused, refused ? 10 : 0) << status;
  }
}

TEST(JudgePushTest, NoAnswerMayComeLater) {
  const PushVerdict verdict =
      JudgePush(absl::UnavailableError("can't connect"), 10, kNow);
  EXPECT_EQ(verdict.kind, Kind::kLater);
  EXPECT_THAT(verdict.detail, AllOf(HasSubstr("can't connect"),
                                    HasSubstr("gateway.write_url")));
}

TEST(JudgePushTest, HonoursRetryAfterInBothForms) {
  EXPECT_EQ(JudgePush(Response(429, "", "7"), 10, kNow).wait, absl::Seconds(7));
  EXPECT_EQ(
      JudgePush(Response(503, "", "Sun, 06 Nov 1994 08:49:47 GMT"), 10, kNow)
          .wait,
      absl::Seconds(10));
  EXPECT_EQ(JudgePush(Response(503), 10, kNow).wait, absl::ZeroDuration());
}

TEST(JudgePushTest, CountsWhatA400DidNotTake) {
  const PushVerdict verdict = Judge(
      400,
      "insula: some of it was refused, the rest is kept (3 of 10 series not "
      "taken)\n- tenant 'red': label_value_too_long: 3 series, 3 samples\n");
  EXPECT_EQ(verdict.kind, Kind::kAccepted);
  EXPECT_EQ(verdict.refused, 3);
  EXPECT_THAT(verdict.detail, HasSubstr("label_value_too_long"));
}

TEST(JudgePushTest, A400ThatDoesNotAddUpTookNothing) {
  for (const char* body :
       {"", "out of order sample", "insula: no (3 of 11 series not taken)",
        "insula: no (0 of 10 series not taken)",
        "insula: no (11 of 10 series not taken)",
        "insula: no (-1 of 10 series not taken)",
        "insula: no (x of 10 series not taken)",
        "insula: no 3 of 10 series not taken)",
        "some proxy: (3 of 10 series not taken)",
        "insula: bad\nx (3 of 10 series not taken)"}) {
    const PushVerdict verdict = Judge(400, body);
    EXPECT_EQ(verdict.kind, Kind::kRefused) << body;
    EXPECT_EQ(verdict.refused, 10) << body;
  }
}

TEST(JudgePushTest, ForeignTextIsShownEscapedAndCut) {
  const PushVerdict verdict =
      Judge(400, std::string("\xff\n<script>") + std::string(2000, 'x'));
  EXPECT_THAT(verdict.detail, AllOf(HasSubstr("\\xff\\n"), HasSubstr("..."),
                                    Not(HasSubstr("\n"))));
  EXPECT_LT(verdict.detail.size(), 600u);
}

}  // namespace
}  // namespace insula::federation_pusher
