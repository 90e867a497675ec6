#include "libs/http/framing.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/http/chunked.h"
#include "libs/http/head.h"
#include "libs/status/status_matchers.h"

namespace insula::http {
namespace {

using testing::ElementsAre;
using testing::Pair;

constexpr char kHead[] =
    "POST /a?b HTTP/1.1\r\nHost: a:80\r\nX-Empty:\r\nx-blanks: \t a b \t\r\n"
    "X-Bytes: \xc3\xa9\r\n\r\n";

TEST(HeadScannerTest, FindsTheEndAtWhateverPiecesTheHeadComesIn) {
  const absl::string_view head = kHead;
  const std::string text = absl::StrCat(head, "body\n\n");
  for (size_t step = 1; step <= text.size(); ++step) {
    HeadScanner scanner(HeadScanner::Limits{});
    std::optional<size_t> end;
    for (size_t size = 0; !end && size < text.size();) {
      size = std::min(size + step, text.size());
      const auto found = scanner.Scan(absl::string_view(text).substr(0, size));
      ASSERT_THAT(found, IsOk());
      end = *found;
    }
    EXPECT_EQ(end, head.size()) << step;
  }
}

TEST(HeadScannerTest, CountsItsLimitsExactly) {
  HeadScanner::Limits limits;
  limits.max_bytes = sizeof(kHead) - 1;
  limits.max_fields = 4;
  EXPECT_THAT(HeadScanner(limits).Scan(kHead), IsOk());
  --limits.max_bytes;
  EXPECT_THAT(HeadScanner(limits).Scan(kHead),
              StatusIs(absl::StatusCode::kResourceExhausted));
  ++limits.max_bytes;
  --limits.max_fields;
  EXPECT_THAT(HeadScanner(limits).Scan(kHead),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(HeadTest, ParsesARequest) {
  const auto head = ParseRequestHead(kHead);
  ASSERT_THAT(head, IsOk());
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->target, "/a?b");
  EXPECT_EQ(head->minor_version, 1);
  EXPECT_THAT(
      head->headers,
      ElementsAre(Pair("Host", "a:80"), Pair("X-Empty", ""),
                  Pair("x-blanks", "a b"), Pair("X-Bytes", "\xc3\xa9")));
}

TEST(HeadTest, ParsesAnyMethodThatIsAToken) {
  const auto head = ParseRequestHead("BREW /pot HTTP/1.0\r\n\r\n");
  ASSERT_THAT(head, IsOk());
  EXPECT_EQ(head->method, "BREW");
  EXPECT_EQ(head->minor_version, 0);
}

TEST(HeadTest, ParsesAnAnswer) {
  const auto head = ParseResponseHead("HTTP/1.0 503 No way\r\nA: b\r\n\r\n");
  ASSERT_THAT(head, IsOk());
  EXPECT_EQ(head->status, 503);
  EXPECT_EQ(head->minor_version, 0);
  EXPECT_THAT(head->headers, ElementsAre(Pair("A", "b")));
}

TEST(FramingTest, KnowsWhoKeepsTheConnection) {
  const struct {
    std::vector<std::string> connection;
    int minor_version;
    bool keep_alive;
  } table[] = {
      {{}, 1, true},
      {{}, 0, false},
      {{"keep-alive"}, 0, true},
      {{"Keep-Alive, TE"}, 0, true},
      {{"close"}, 1, false},
      {{"te , CLOSE"}, 1, false},
      {{"keep-alive", "close"}, 0, false},
      {{"closed"}, 1, true},
  };
  for (const auto& row : table) {
    Headers headers = {{"Host", "a"}};
    for (const auto& value : row.connection) headers.Add("Connection", value);
    const auto framing = FrameRequest(headers, row.minor_version);
    ASSERT_THAT(framing, IsOk());
    EXPECT_EQ(framing->keep_alive, row.keep_alive)
        << testing::PrintToString(row.connection);
  }
}

TEST(FramingTest, ExpectsContinueOnlyWithABodyAndIn11) {
  Headers headers = {{"Host", "a"}, {"Expect", "100-continue"}};
  EXPECT_FALSE(FrameRequest(headers, 1)->expect_continue);
  headers.Add("Content-Length", "1");
  EXPECT_TRUE(FrameRequest(headers, 1)->expect_continue);
  EXPECT_FALSE(FrameRequest(headers, 0)->expect_continue);
}

TEST(FramingTest, TakesTheLargestLengthThatIsANumber) {
  const Headers headers = {{"Host", "a"},
                           {"Content-Length", "9223372036854775807"}};
  const auto framing = FrameRequest(headers, 1);
  ASSERT_THAT(framing, IsOk());
  EXPECT_EQ(framing->length, 9223372036854775807u);
}

TEST(FramingTest, AnAnswerWithoutLengthEndsWithTheConnection) {
  const Headers none;
  EXPECT_EQ(FrameResponse(none, 1, 200, "GET")->body,
            Framing::Body::kUntilClose);
  EXPECT_FALSE(FrameResponse(none, 1, 200, "GET")->keep_alive);
  EXPECT_EQ(FrameResponse(none, 1, 204, "GET")->body, Framing::Body::kNone);
  EXPECT_EQ(FrameResponse(none, 1, 200, "HEAD")->body, Framing::Body::kNone);
  const Headers zero = {{"Content-Length", "0"}};
  EXPECT_EQ(FrameResponse(zero, 1, 200, "GET")->body, Framing::Body::kNone);
  EXPECT_TRUE(FrameResponse(zero, 1, 200, "GET")->keep_alive);
}

// What `body` holds if it comes `step` bytes at a time; nullopt if malformed.
std::optional<std::string> Decode(absl::string_view body, size_t step) {
  ChunkedDecoder decoder;
  std::string data;
  size_t begin = 0;
  for (size_t end = 0; !decoder.done();) {
    const auto piece = decoder.Next(body.substr(begin, end - begin));
    if (!piece.ok()) return std::nullopt;
    data.append(piece->data.data(), piece->data.size());
    begin += piece->consumed;
    if (piece->consumed > 0) continue;
    if (end == body.size()) return std::nullopt;
    end = std::min(end + step, body.size());
  }
  return data;
}

TEST(ChunkedDecoderTest, DecodesTheSameInWhateverPieces) {
  const std::string body =
      "5;a=b\r\nhello\r\n00010\r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\n";
  for (size_t step = 1; step <= body.size(); ++step) {
    EXPECT_EQ(Decode(body, step), "hello0123456789abcdef") << step;
  }
}

TEST(ChunkedDecoderTest, LeavesWhatFollows) {
  ChunkedDecoder decoder;
  absl::string_view text = "1\r\na\r\n0\r\n\r\nGET /";
  while (!decoder.done()) {
    const auto piece = decoder.Next(text);
    ASSERT_THAT(piece, IsOk());
    text.remove_prefix(piece->consumed);
  }
  EXPECT_EQ(text, "GET /");
}

TEST(ChunkedDecoderTest, BoundsWhatItWaitsFor) {
  for (const std::string& start :
       {std::string(""), std::string("5;"), std::string("0\r\n")}) {
    EXPECT_EQ(Decode(start + std::string(5000, 'a'), 1), std::nullopt);
  }
}

}  // namespace
}  // namespace insula::http
