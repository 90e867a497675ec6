#include "libs/http/message.h"

#include <gmock/gmock.h>

#include <cstring>
#include <utility>

#include "libs/http/buffer.h"
#include "libs/http/status_code.h"

namespace insula::http {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Eq;
using testing::Optional;
using testing::Pair;

TEST(HeadersTest, ComparesNamesWithoutCase) {
  Headers headers = {{"X-Scope-OrgID", "red"}, {"x-scope-orgid", "blue"}};
  EXPECT_THAT(headers.Get("X-SCOPE-ORGID"), Optional(Eq("red")));
  EXPECT_EQ(headers.Count("x-Scope-OrgId"), 2u);
  EXPECT_EQ(headers.Get("other"), std::nullopt);
  EXPECT_EQ(headers.Count("other"), 0u);
}

TEST(HeadersTest, SetReplacesAllOfThatName) {
  Headers headers = {{"a", "1"}, {"b", "2"}, {"A", "3"}};
  headers.Set("a", "4");
  EXPECT_THAT(headers, ElementsAre(Pair("b", "2"), Pair("a", "4")));
}

TEST(HeadersTest, SetAndRemoveTakeTextOutOfTheFieldsThemselves) {
  Headers headers = {{"name", "a value too long for the small string buffer"}};
  headers.Set("name", *headers.Get("name"));
  EXPECT_THAT(headers.Get("name"),
              Optional(Eq("a value too long for the small string buffer")));
  headers.Remove(headers.begin()->first);
  EXPECT_EQ(headers.size(), 0u);
}

TEST(RequestTest, SplitsItsTarget) {
  Request request;
  request.target = "/a/b?c=d?e";
  EXPECT_EQ(request.path(), "/a/b");
  EXPECT_EQ(request.query(), "c=d?e");
  request.target = "/a";
  EXPECT_EQ(request.path(), "/a");
  EXPECT_EQ(request.query(), "");
}

TEST(ResponseTest, TextEndsWithANewline) {
  const Response response = TextResponse(404, "not here");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body, "not here\n");
  EXPECT_THAT(response.headers.Get("content-type"),
              Optional(Eq("text/plain; charset=utf-8")));
}

absl::string_view Padding(const Buffer& buffer) {
  return {buffer.data() + buffer.size(), Buffer::kPadding};
}

TEST(BufferTest, IsFollowedByZeros) {
  EXPECT_THAT(Padding(Buffer()), Each(Eq('\0')));
  for (const size_t size : {0, 1, 4095, 4096, 1 << 20, 3 << 20}) {
    Buffer buffer(size);
    std::memset(buffer.data(), 'x', buffer.size());
    EXPECT_THAT(Padding(buffer), Each(Eq('\0'))) << size;
  }
  // These come from the pool, full of x.
  Buffer again(100);
  EXPECT_THAT(Padding(again), Each(Eq('\0')));
}

TEST(BufferTest, ResizeKeepsWhatWasThere) {
  Buffer buffer("hello, world");
  buffer.Resize(5);
  EXPECT_EQ(buffer.view(), "hello");
  EXPECT_THAT(Padding(buffer), Each(Eq('\0')));
  buffer.Resize(2 << 20);
  EXPECT_EQ(buffer.view().substr(0, 5), "hello");
  EXPECT_THAT(Padding(buffer), Each(Eq('\0')));
  buffer.Resize(0);
  EXPECT_EQ(buffer.view(), "");
}

TEST(BufferTest, MovesLeaveAnEmptyBuffer) {
  Buffer first("one");
  Buffer second(std::move(first));
  EXPECT_EQ(first.size(), 0u);  // NOLINT(bugprone-use-after-move)
  EXPECT_THAT(Padding(first), Each(Eq('\0')));
  EXPECT_EQ(second.view(), "one");
  Buffer third("three");
  third = std::move(second);
  EXPECT_EQ(third.view(), "one");
  EXPECT_EQ(second.size(), 0u);  // NOLINT(bugprone-use-after-move)
}

TEST(BufferTest, ComesOutOfThePoolOfItsThread) {
  const char* data;
  {
    Buffer buffer(10'000);
    data = buffer.data();
  }
  Buffer buffer(12'000);  // Of the same size class.
  EXPECT_EQ(buffer.data(), data);
}

TEST(StatusCodeTest, EveryErrorIsAnHttpError) {
  EXPECT_EQ(ToHttpStatus(absl::StatusCode::kOk), 200);
  for (int code = 1; code <= 16; ++code) {
    const int status = ToHttpStatus(static_cast<absl::StatusCode>(code));
    EXPECT_GE(status, 400) << code;
    EXPECT_NE(ReasonPhrase(status), "Unknown") << status;
  }
}

TEST(StatusCodeTest, TranslatesTheAnswersOfUpstreams) {
  const std::pair<int, absl::StatusCode> table[] = {
      {100, absl::StatusCode::kInvalidArgument},
      {200, absl::StatusCode::kOk},
      {204, absl::StatusCode::kOk},
      {302, absl::StatusCode::kFailedPrecondition},
      {400, absl::StatusCode::kInvalidArgument},
      {401, absl::StatusCode::kUnauthenticated},
      {403, absl::StatusCode::kPermissionDenied},
      {404, absl::StatusCode::kNotFound},
      {408, absl::StatusCode::kUnavailable},
      {413, absl::StatusCode::kInvalidArgument},
      {425, absl::StatusCode::kUnavailable},
      {429, absl::StatusCode::kResourceExhausted},
      {500, absl::StatusCode::kUnavailable},
      {504, absl::StatusCode::kUnavailable},
      {600, absl::StatusCode::kInvalidArgument},
  };
  for (const auto& [status, code] : table) {
    EXPECT_EQ(FromHttpStatus(status), code) << status;
  }
}

TEST(StatusCodeTest, OnlyPassingErrorsAreRetryable) {
  EXPECT_TRUE(IsRetryable(FromHttpStatus(503)));
  EXPECT_TRUE(IsRetryable(FromHttpStatus(429)));
  EXPECT_TRUE(IsRetryable(absl::StatusCode::kDeadlineExceeded));
  EXPECT_FALSE(IsRetryable(absl::StatusCode::kOk));
  EXPECT_FALSE(IsRetryable(FromHttpStatus(400)));
  EXPECT_FALSE(IsRetryable(absl::StatusCode::kInternal));
}

}  // namespace
}  // namespace insula::http
