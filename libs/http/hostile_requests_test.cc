// Requests that two parsers could read differently must be refused, and the
// connection must not be used again.
#include <gmock/gmock.h>

#include <atomic>
#include <ostream>
#include <string>

#include "libs/http/test_support.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;
using testing::HasSubstr;
using testing::StartsWith;

// Raw literals with NULs inside.
#define RAW(text) std::string(text, sizeof(text) - 1)

struct Hostile {
  const char* name;
  std::string text;
  int status = 400;

  friend std::ostream& operator<<(std::ostream& out, const Hostile& hostile) {
    return out << hostile.name;
  }
};

class HostileRequestTest : public ServerFixture,
                           public testing::WithParamInterface<Hostile> {};

TEST_P(HostileRequestTest, IsRefusedAndEndsTheConnection) {
  std::atomic<int> handled = 0;
  ServerOptions options;
  options.max_header_bytes = 4096;
  options.max_headers = 20;
  options.max_body_bytes = 1000;
  Start(std::move(options), [&handled](Request request) {
    ++handled;
    return Echo(std::move(request));
  });

  const std::string answer =
      Ask(absl::StrCat(GetParam().text, Get("/smuggled")));
  EXPECT_EQ(StatusOf(answer), GetParam().status) << answer;
  EXPECT_THAT(answer, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nX-Request-Id: "));
  EXPECT_EQ(answer.find("HTTP/1.1 ", 1), answer.npos) << answer;
  EXPECT_EQ(handled, 0);
}

std::string Chunked(const std::string& body) {
  return Post("Transfer-Encoding: chunked\r\n", body);
}

std::string WithHeader(const std::string& line) { return Post(line, ""); }

INSTANTIATE_TEST_SUITE_P(
    Framing, HostileRequestTest,
    testing::Values(
        Hostile{"LengthAndChunked",
                Post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                     "0\r\n\r\n")},
        Hostile{"ZeroLengthAndChunked",
                Post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
                     "0\r\n\r\n")},
        Hostile{"ChunkedAndLength",
                Post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
                     "0\r\n\r\n")},
        Hostile{"LengthTwice",
                Post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")},
        Hostile{"LengthsDiffer",
                Post("Content-Length: 5\r\ncontent-length: 6\r\n", "hello")},
        Hostile{"LengthList", Post("Content-Length: 5, 5\r\n", "hello")},
        Hostile{"LengthWithPlus", Post("Content-Length: +5\r\n", "hello")},
        Hostile{"LengthNegative", Post("Content-Length: -5\r\n", "hello")},
        Hostile{"LengthHex", Post("Content-Length: 0x5\r\n", "hello")},
        Hostile{"LengthTwoNumbers", Post("Content-Length: 5 5\r\n", "hello")},
        Hostile{"LengthEmpty", Post("Content-Length:\r\n", "")},
        Hostile{"LengthFraction", Post("Content-Length: 5.0\r\n", "hello")},
        Hostile{"LengthOverflows",
                Post("Content-Length: 18446744073709551621\r\n", "hello")},
        Hostile{"CodingList",
                Post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
        Hostile{"CodingAfterChunked",
                Post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n")},
        Hostile{"CodingTwice", Post("Transfer-Encoding: chunked\r\n"
                                    "Transfer-Encoding: chunked\r\n",
                                    "0\r\n\r\n")},
        Hostile{"CodingIdentity", Post("Transfer-Encoding: identity\r\n", "")},
        Hostile{"CodingUnknown",
                Post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")},
        Hostile{"CodingQuoted",
                Post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n")},
        Hostile{"CodingOddCase",
                Post("Transfer-Encoding: cHuNkEd\r\n", "0\r\n\r\n")},
        Hostile{"CodingParameter",
                Post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n")},
        Hostile{"CodingEmpty", Post("Transfer-Encoding:\r\n", "")},
        Hostile{"CodingVerticalTab", Post("Transfer-Encoding: \x0b"
                                          "chunked\r\n",
                                          "0\r\n\r\n")},
        Hostile{"CodingInHttp10",
                "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
                "0\r\n\r\n"},
        Hostile{"LengthTooLarge", Post("Content-Length: 1001\r\n", ""), 413},
        Hostile{"LengthOfATerabyte",
                Post("Content-Length: 1099511627776\r\n", ""), 413},
        Hostile{"UnknownExpectation", WithHeader("Expect: 200-ok\r\n"), 417}),
    testing::PrintToStringParamName());

INSTANTIATE_TEST_SUITE_P(
    Head, HostileRequestTest,
    testing::Values(
        Hostile{"FoldedLine", WithHeader("X: a\r\n b\r\n")},
        Hostile{"FoldedByTab", WithHeader("X: a\r\n\tb\r\n")},
        Hostile{"FoldedFirst", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
        Hostile{"BlankBeforeColon", WithHeader("Content-Length : 5\r\n")},
        Hostile{"TabBeforeColon", WithHeader("Transfer-Encoding\t: x\r\n")},
        Hostile{"NulInValue", WithHeader(RAW("X: a\0b\r\n"))},
        Hostile{"NulInName", WithHeader(RAW("X\0Y: a\r\n"))},
        Hostile{"NulInTarget", RAW("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n")},
        Hostile{"BareCrInValue", WithHeader("X: a\rContent-Length: 5\r\n")},
        Hostile{"BareCrInTarget", "GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"CrCrLf", WithHeader("X: a\r\r\n")},
        Hostile{"BareLf", "GET / HTTP/1.1\nHost: a\n\n"},
        Hostile{"BareLfInHeaders", WithHeader("X: a\nY: b\r\n")},
        Hostile{"BareLfEnd", "GET / HTTP/1.1\r\nHost: a\r\n\n"},
        Hostile{"EmptyName", WithHeader(": a\r\n")},
        Hostile{"NoColon", WithHeader("X\r\n")},
        Hostile{"NameNotAToken", WithHeader("X(y): a\r\n")},
        Hostile{"NameNotAscii", WithHeader("X\xff: a\r\n")},
        Hostile{"DeleteInValue", WithHeader("X: \x7f\r\n")},
        Hostile{"NoHost", "GET / HTTP/1.1\r\n\r\n"},
        Hostile{"TwoHosts", WithHeader("host: a\r\n")},
        Hostile{"HostList", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"},
        Hostile{"HostWithUser", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"},
        Hostile{"HostWithPath", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
        Hostile{"EmptyFirstLine", "\r\n"},
        Hostile{"TwoBlanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"TabInFirstLine", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"BlankAtTheEnd", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
        Hostile{"NoVersion", "GET /\r\nHost: a\r\n\r\n"},
        Hostile{"LowerCaseVersion", "GET / http/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"LongVersion", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"},
        Hostile{"MethodNotAToken", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"NoMethod", " / HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"TargetWithoutSlash", "GET x HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"TargetNotAscii", "GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"ConnectMethod", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"},
        Hostile{"Version12", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
        Hostile{"Version20", "PRI * HTTP/2.0\r\n\r\n", 505},
        Hostile{"LongFirstLine", Get("/" + std::string(5000, 'x')), 431},
        Hostile{"LongHeader",
                WithHeader("X: " + std::string(5000, 'x') + "\r\n"), 431},
        Hostile{"ManyHeaders", WithHeader([] {
                  std::string lines;
                  for (int i = 0; i < 21; ++i) lines += "X: y\r\n";
                  return lines;
                }()),
                431}),
    testing::PrintToStringParamName());

INSTANTIATE_TEST_SUITE_P(
    Chunks, HostileRequestTest,
    testing::Values(
        Hostile{"SizeNotHex", Chunked("g\r\nhello\r\n0\r\n\r\n")},
        Hostile{"SizeWithPlus", Chunked("+5\r\nhello\r\n0\r\n\r\n")},
        Hostile{"SizeNegative", Chunked("-5\r\nhello\r\n0\r\n\r\n")},
        Hostile{"SizeHexPrefix", Chunked("0x5\r\nhello\r\n0\r\n\r\n")},
        Hostile{"SizeEmpty", Chunked("\r\nhello\r\n0\r\n\r\n")},
        Hostile{"SizeAfterBlank", Chunked(" 5\r\nhello\r\n0\r\n\r\n")},
        Hostile{"SizeBeforeBlank", Chunked("5 \r\nhello\r\n0\r\n\r\n")},
        Hostile{"SizeOverflows",
                Chunked("10000000000000005\r\nhello\r\n0\r\n\r\n")},
        Hostile{"SizeLineBareLf", Chunked("5\nhello\r\n0\r\n\r\n")},
        Hostile{"ExtensionBareLf", Chunked("5;a\nhello\r\n0\r\n\r\n")},
        Hostile{"ExtensionBareCr", Chunked("5;a\rb\r\nhello\r\n0\r\n\r\n")},
        Hostile{"ExtensionLong",
                Chunked("5;" + std::string(2000, 'a') + "\r\nhello\r\n")},
        Hostile{"DataTooLong", Chunked("5\r\nhello!\r\n0\r\n\r\n")},
        Hostile{"DataEndBareLf", Chunked("5\r\nhello\n0\r\n\r\n")},
        Hostile{"DataEndBareCr", Chunked("5\r\nhello\r0\r\n\r\n")},
        Hostile{"TrailerWithoutColon", Chunked("0\r\nx\r\n\r\n")},
        Hostile{"TrailerBareLf", Chunked("0\r\nx: y\n\r\n")},
        Hostile{"TrailerLong", Chunked("0\r\n" +
                                       [] {
                                         std::string lines;
                                         for (int i = 0; i < 1500; ++i)
                                           lines += "X: y\r\n";
                                         return lines;
                                       }())},
        Hostile{"BodyTooLarge",
                Chunked("3e8\r\n" + std::string(1000, 'x') +
                        "\r\n1\r\nx\r\n0\r\n\r\n"),
                413},
        Hostile{"SizeTooLarge",
                Chunked("fffffffffffffff\r\n" + std::string(2000, 'x')), 413}),
    testing::PrintToStringParamName());

}  // namespace
}  // namespace insula::http
