// Heads that are hostile to parsers, held against Beast's.
#include "libs/http/head.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/http/framing.h"
#include "libs/status/status_matchers.h"

namespace insula::http {
namespace {

namespace beast = boost::beast;
using Field = std::pair<std::string, std::string>;

struct Parsed {
  std::string first;  // "METHOD TARGET", or the status.
  int minor_version = 1;
  std::vector<Field> fields;  // Sorted: Beast keeps those of a name together.
  friend bool operator==(const Parsed&, const Parsed&) = default;
};

template <typename Fields>
std::vector<Field> Sorted(const Fields& fields) {
  std::vector<Field> sorted(fields.begin(), fields.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

template <bool is_request>
std::optional<Parsed> ByBeast(absl::string_view text) {
  beast::http::parser<is_request, beast::http::empty_body> parser;
  parser.header_limit(static_cast<uint32_t>(text.size()) + 1);
  parser.body_limit(boost::none);
  parser.eager(false);
  beast::error_code error;
  const size_t used =
      parser.put(boost::asio::buffer(text.data(), text.size()), error);
  if (error || !parser.is_header_done() || used != text.size()) {
    return std::nullopt;
  }
  const auto& message = parser.get();
  Parsed parsed;
  if constexpr (is_request) {
    parsed.first = absl::StrCat(std::string(message.method_string()), " ",
                                std::string(message.target()));
  } else {
    parsed.first = absl::StrCat(message.result_int());
  }
  parsed.minor_version = message.version() == 10 ? 0 : 1;
  std::vector<Field> fields;
  for (const auto& field : message) {
    fields.emplace_back(std::string(field.name_string()),
                        std::string(field.value()));
  }
  parsed.fields = Sorted(fields);
  return parsed;
}

std::optional<Parsed> RequestByOurs(absl::string_view text, bool* framed) {
  const auto head = ParseRequestHead(text);
  if (!head.ok()) return std::nullopt;
  *framed = FrameRequest(head->headers, head->minor_version).ok();
  return Parsed{absl::StrCat(head->method, " ", head->target),
                head->minor_version, Sorted(head->headers)};
}

std::optional<Parsed> AnswerByOurs(absl::string_view text, bool* framed) {
  const auto head = ParseResponseHead(text);
  if (!head.ok()) return std::nullopt;
  *framed =
      FrameResponse(head->headers, head->minor_version, head->status, "GET")
          .ok();
  return Parsed{absl::StrCat(head->status), head->minor_version,
                Sorted(head->headers)};
}

// Heads like those that clients and attackers send.
class Heads {
 public:
  std::string Next(bool request) {
    std::string text =
        request
            ? absl::StrCat(Of({"GET", "POST", "get", "G T", "M-SEARCH", ""}),
                           Of({" ", " ", " ", "  ", "\t", ""}),
                           Of({"/", "/a?b=%20", "*", "http://h/p", "a b",
                               "/\xc3\xa9", "", "/a\tb"}),
                           Of({" ", " ", " ", "  ", ""}), Version())
            : absl::StrCat(Version(), Of({" ", " ", " ", " ", "  ", ""}),
                           Of({"200", "404", "100", "599", "503", "204", "099",
                               "600", "20", "2000", "2x0", ""}),
                           Of({" ", " ", " ", "", "\t"}),
                           Of({"OK", "", "No way", "\xc3\xa9"}));
    text += "\r\n";
    for (size_t lines = Below(5); lines > 0; --lines) {
      absl::StrAppend(
          &text,
          Of({"Host", "host", "Content-Length", "Transfer-Encoding",
              "Connection", "X", "Upgrade", "Proxy-Connection", "", "x y"}),
          Of({":", ": ", ": ", ":\t ", " :", ""}),
          Of({"a", "5", "0", "05", "+5", "5, 5", "chunked", "gzip, chunked",
              "close", "keep-alive, x", "", " ", "a b", "\xc3\xa9", "a\tb",
              "18446744073709551616", "upgrade", "5 ", "a:b"}),
          Of({"", "", "", " ", "\t "}), "\r\n",
          Of({"", "", "", "", "", "", " fold\r\n"}));
    }
    text += "\r\n";
    if (Below(4) == 0) text[Below(text.size())] = static_cast<char>(Below(256));
    if (Below(16) == 0) text.erase(Below(text.size()), 1);
    return text;
  }

 private:
  size_t Below(size_t end) { return random_() % end; }
  std::string Of(const std::vector<std::string>& texts) {
    return texts[Below(texts.size())];
  }
  std::string Version() {
    return Of({"HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2",
               "HTTP/2.0", "http/1.1", "HTTP/1.1x"});
  }

  std::mt19937 random_{7};
};

// What of `text` is a head, if a scanner finds one.
std::optional<std::string> Scanned(const std::string& text) {
  const auto end = HeadScanner(HeadScanner::Limits{}).Scan(text);
  if (!end.ok() || !end->has_value()) return std::nullopt;
  return text.substr(0, **end);
}

// Of "METHOD TARGET".
bool HasPlainPath(absl::string_view first) {
  const absl::string_view target = first.substr(first.find(' ') + 1);
  return absl::StartsWith(target, "/") &&
         std::all_of(target.begin(), target.end(), absl::ascii_isgraph);
}

// What we take and Beast does not, framing refuses: it alone says where a body
// ends. What Beast takes and we don't has a target that is no path and no URL,
// or a status that is none.
template <bool is_request, typename Ours>
void HoldAgainstBeast(Ours ours) {
  Heads heads;
  int both = 0;
  int ours_alone = 0;
  int beasts_alone = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::optional<std::string> head = Scanned(heads.Next(is_request));
    if (!head.has_value()) continue;
    bool framed = false;
    std::optional<Parsed> mine = ours(*head, &framed);
    std::optional<Parsed> beasts = ByBeast<is_request>(*head);
    if (mine.has_value() && !beasts.has_value()) {
      ++ours_alone;
      EXPECT_FALSE(framed) << absl::CHexEscape(*head);
    } else if (beasts.has_value() && !mine.has_value()) {
      ++beasts_alone;
      EXPECT_TRUE(is_request ? !HasPlainPath(beasts->first)
                             : beasts->first < "100" || beasts->first > "599")
          << absl::CHexEscape(*head);
    } else if (mine.has_value()) {
      ++both;
      // The form for proxies became a plain path.
      if (beasts->first.find("http://h") != std::string::npos) {
        beasts->first = mine->first;
      }
      EXPECT_TRUE(*mine == *beasts) << absl::CHexEscape(*head);
    }
  }
  EXPECT_GT(both, 100);
  EXPECT_GT(ours_alone, 5);
  EXPECT_GT(beasts_alone, 5);
}

TEST(HeadTest, RequestsAreWhatBeastReadsInThem) {
  HoldAgainstBeast<true>(RequestByOurs);
}

TEST(HeadTest, AnswersAreWhatBeastReadsInThem) {
  HoldAgainstBeast<false>(AnswerByOurs);
}

TEST(HeadTest, ParsesNothingThatIsCutOrGoesOn) {
  const absl::string_view request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const absl::string_view answer = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
  ASSERT_THAT(ParseRequestHead(request), IsOk());
  ASSERT_THAT(ParseResponseHead(answer), IsOk());
  for (size_t size = 0; size < request.size(); ++size) {
    EXPECT_FALSE(ParseRequestHead(request.substr(0, size)).ok()) << size;
  }
  for (size_t size = 0; size < answer.size(); ++size) {
    EXPECT_FALSE(ParseResponseHead(answer.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(ParseRequestHead(absl::StrCat(request, "A: b\r\n\r\n")).ok());
  EXPECT_FALSE(ParseResponseHead(absl::StrCat(answer, "A: b\r\n\r\n")).ok());
}

}  // namespace
}  // namespace insula::http
