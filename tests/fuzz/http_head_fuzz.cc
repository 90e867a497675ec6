// Heads of requests and answers, and chunked bodies: where they are cut makes
// no difference, what was chunked comes out as it went in, and a head that is
// taken has nothing in it that another parser could read in another way.

#include <algorithm>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/http/chunked.h"
#include "libs/http/framing.h"
#include "libs/http/head.h"
#include "libs/http/message.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

constexpr http::HeadScanner::Limits kLimits = {.max_bytes = 2000,
                                               .max_fields = 20};

// Where the head ends, if it comes in pieces of `step` bytes.
absl::StatusOr<std::optional<size_t>> Scan(absl::string_view text,
                                           size_t step) {
  http::HeadScanner scanner(kLimits);
  absl::StatusOr<std::optional<size_t>> end = std::nullopt;
  for (size_t size = 0; size < text.size() && end.ok() && !*end;) {
    size = std::min(size + std::max<size_t>(step, 1), text.size());
    end = scanner.Scan(text.substr(0, size));
  }
  return end;
}

// What a chunked body holds, if it comes in pieces of `step` bytes.
struct Body {
  bool ok = true;
  bool done = false;
  std::string data;
  size_t consumed = 0;
  friend bool operator==(const Body&, const Body&) = default;
};

Body Decode(absl::string_view text, size_t step) {
  http::ChunkedDecoder decoder;
  Body body;
  for (size_t end = 0; !decoder.done();) {
    const auto piece =
        decoder.Next(text.substr(body.consumed, end - body.consumed));
    if (!piece.ok()) {
      Body refused;  // How far it got is nobody's business.
      refused.ok = false;
      return refused;
    }
    body.data.append(piece->data.data(), piece->data.size());
    body.consumed += piece->consumed;
    if (piece->consumed > 0) continue;
    if (end == text.size()) break;
    end = std::min(end + std::max<size_t>(step, 1), text.size());
  }
  body.done = decoder.done();
  return body;
}

void CheckFraming(const absl::StatusOr<http::Framing>& framing,
                  const http::Headers& headers) {
  if (!framing.ok()) return;
  FUZZ_CHECK(
      headers.Count("content-length") + headers.Count("transfer-encoding") <= 1,
      "two lengths");
  if (framing->body == http::Framing::Body::kLength) {
    FUZZ_CHECK(framing->length > 0, "a length of 0");
    const auto text = headers.Get("content-length");
    uint64_t length = 0;
    for (const char c : *text) {
      FUZZ_CHECK(c >= '0' && c <= '9', "a length that is no number");
      length = 10 * length + static_cast<uint64_t>(c - '0');
    }
    FUZZ_CHECK(framing->length == length, "another length");
  }
}

// `data` in chunks of up to `size` bytes.
std::string Chunked(absl::string_view data, size_t size) {
  std::string text;
  for (const auto& piece : fuzz::Pieces(data, size)) {
    absl::StrAppend(&text, absl::Hex(piece.size()), "\r\n",
                    absl::string_view(piece.data(), piece.size()), "\r\n");
  }
  return text + "0\r\n\r\n";
}

// The header fields as another sender would write them.
std::string Fields(const http::Headers& headers) {
  std::string text;
  for (const auto& [name, value] : headers) {
    FUZZ_CHECK(http::IsToken(name), name);
    FUZZ_CHECK(http::IsFieldValue(value), value);
    absl::StrAppend(&text, name, ": ", value, "\r\n");
  }
  return text + "\r\n";
}

bool Same(const http::Headers& a, const http::Headers& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

void CheckRequest(absl::string_view text) {
  const auto head = http::ParseRequestHead(text);
  if (!head.ok()) return;
  FUZZ_CHECK(http::IsToken(head->method), head->method);
  FUZZ_CHECK(absl::StartsWith(head->target, "/") || head->target == "*",
             head->target);
  FUZZ_CHECK(head->minor_version == 0 || head->minor_version == 1, "version");
  CheckFraming(http::FrameRequest(head->headers, head->minor_version),
               head->headers);
  const std::string canonical =
      absl::StrCat(head->method, " ", head->target, " HTTP/1.",
                   head->minor_version, "\r\n", Fields(head->headers));
  const auto again = http::ParseRequestHead(canonical);
  FUZZ_CHECK(again.ok(), absl::StrCat(canonical, again.status().ToString()));
  FUZZ_CHECK(again->method == head->method && again->target == head->target &&
                 again->minor_version == head->minor_version &&
                 Same(again->headers, head->headers),
             canonical);
}

void CheckAnswer(absl::string_view text) {
  const auto head = http::ParseResponseHead(text);
  if (!head.ok()) return;
  FUZZ_CHECK(head->status >= 100 && head->status <= 599, text);
  CheckFraming(http::FrameResponse(head->headers, head->minor_version,
                                   head->status, "GET"),
               head->headers);
  const std::string canonical =
      absl::StrCat("HTTP/1.", head->minor_version, " ", head->status, " x\r\n",
                   Fields(head->headers));
  const auto again = http::ParseResponseHead(canonical);
  FUZZ_CHECK(again.ok(), absl::StrCat(canonical, again.status().ToString()));
  FUZZ_CHECK(
      again->status == head->status && Same(again->headers, head->headers),
      canonical);
}

FUZZ_TARGET(http_head) {
  fuzz::Input bytes(input);
  const size_t step = bytes.Byte();
  const absl::string_view text = bytes.rest();

  const auto end = Scan(text, text.size());
  for (const size_t other : {size_t{1}, step}) {
    const auto same = Scan(text, other);
    FUZZ_CHECK(same.status().code() == end.status().code(), text);
    FUZZ_CHECK(!end.ok() || *same == *end, text);
  }
  absl::string_view body = text;
  if (end.ok() && *end) {
    const absl::string_view head = text.substr(0, **end);
    CheckRequest(head);
    CheckAnswer(head);
    body = text.substr(**end);
  }
  const Body whole = Decode(body, body.size());
  FUZZ_CHECK(Decode(body, 1) == whole, body);
  FUZZ_CHECK(Decode(body, step) == whole, body);
  FUZZ_CHECK(whole.data.size() <= whole.consumed, body);

  const std::string chunked = Chunked(text, step);
  const Body same = Decode(absl::StrCat(chunked, "next"), step / 2);
  FUZZ_CHECK(same.ok && same.done && same.data == text, chunked);
  FUZZ_CHECK(same.consumed == chunked.size(), chunked);
}

}  // namespace
}  // namespace insula
