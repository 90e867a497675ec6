#include "libs/http/head.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/http/url.h"
#include "libs/status/status_macros.h"

namespace insula::http {
namespace {

namespace beast = boost::beast;

enum CharacterClass : unsigned char {
  kTokenClass = 1,
  kValueClass = 2,
  kFirstLineClass = 4
};

constexpr std::array<unsigned char, 256> MakeClasses() {
  std::array<unsigned char, 256> classes{};
  for (int c = 0; c < 256; ++c) {
    const bool alphanumeric = (c >= '0' && c <= '9') ||
                              (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    bool token = alphanumeric;
    for (const char mark : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.',
                            '^', '_', '`', '|', '~'}) {
      if (c == mark) token = true;
    }
    if (token) classes[c] |= kTokenClass;
    if (c == '\t' || (c >= ' ' && c != 0x7f)) classes[c] |= kValueClass;
    if (c >= ' ' && c != 0x7f) classes[c] |= kFirstLineClass;
  }
  return classes;
}
constexpr std::array<unsigned char, 256> kClasses = MakeClasses();

bool AllOf(absl::string_view text, CharacterClass wanted) {
  unsigned char common = wanted;
  for (const char c : text) common &= kClasses[static_cast<unsigned char>(c)];
  return common != 0;
}

absl::Status CheckLine(absl::string_view line, bool first) {
  if (first) {
    if (!AllOf(line, kFirstLineClass)) {
      return absl::InvalidArgumentError("control character in the first line");
    }
    return absl::OkStatus();
  }
  if (line.front() == ' ' || line.front() == '\t') {
    return absl::InvalidArgumentError("folded header line");
  }
  const size_t colon = line.find(':');
  if (colon == line.npos) {
    return absl::InvalidArgumentError("header line without a colon");
  }
  if (!IsToken(line.substr(0, colon))) {
    return absl::InvalidArgumentError("malformed header name");
  }
  if (!IsFieldValue(line.substr(colon + 1))) {
    return absl::InvalidArgumentError("control character in a header value");
  }
  return absl::OkStatus();
}

// Runs `parser` over `text`, which holds a whole head.
template <typename Parser>
absl::Status RunParser(absl::string_view text, Parser* parser) {
  parser->header_limit(static_cast<uint32_t>(text.size()) + 1);
  parser->body_limit(boost::none);
  parser->eager(false);
  beast::error_code error;
  const size_t used =
      parser->put(boost::asio::buffer(text.data(), text.size()), error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("malformed head: ", error.message()));
  }
  if (!parser->is_header_done() || used != text.size()) {
    return absl::InvalidArgumentError("malformed head: it ends early");
  }
  return absl::OkStatus();
}

template <typename Fields>
Headers CopyFields(const Fields& fields) {
  Headers headers;
  for (const auto& field : fields) {
    const auto name = field.name_string();
    const auto value = field.value();
    headers.Add({name.data(), name.size()}, {value.data(), value.size()});
  }
  return headers;
}

// The version is at the end of a request's first line.
absl::Status CheckRequestVersion(absl::string_view text) {
  const absl::string_view line = text.substr(0, text.find('\r'));
  const size_t blank = line.rfind(' ');
  const absl::string_view version =
      blank == line.npos ? absl::string_view() : line.substr(blank + 1);
  if (version == "HTTP/1.1" || version == "HTTP/1.0") return absl::OkStatus();
  if (version.size() == 8 && absl::StartsWith(version, "HTTP/") &&
      absl::ascii_isdigit(version[5]) && version[6] == '.' &&
      absl::ascii_isdigit(version[7])) {
    return absl::UnimplementedError(
        absl::StrCat(version, " is not served here, only 1.0 and 1.1 are"));
  }
  return absl::InvalidArgumentError("first line is not METHOD TARGET HTTP/1.1");
}

// Makes the form that clients send to proxies, http://host/path, a plain path.
absl::Status NormalizeTarget(RequestHead* head) {
  const absl::string_view target = head->target;
  const bool visible =
      std::all_of(target.begin(), target.end(), absl::ascii_isgraph);
  if (visible && absl::StartsWith(target, "/")) return absl::OkStatus();
  if (target == "*" && head->method == "OPTIONS") return absl::OkStatus();
  absl::StatusOr<Url> url = Url::Parse(target);
  if (!url.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "request target '", absl::CHexEscape(target.substr(0, 200)),
        "' does not start with '/'"));
  }
  head->target = std::move(url->target);
  return absl::OkStatus();
}

}  // namespace

bool IsToken(absl::string_view text) {
  return !text.empty() && AllOf(text, kTokenClass);
}

bool IsFieldValue(absl::string_view text) { return AllOf(text, kValueClass); }

absl::StatusOr<std::optional<size_t>> HeadScanner::Scan(
    absl::string_view text) {
  while (scanned_ < text.size()) {
    const void* found =
        std::memchr(text.data() + scanned_, '\n', text.size() - scanned_);
    if (found == nullptr) {
      scanned_ = text.size();
      break;
    }
    const size_t end =
        static_cast<size_t>(static_cast<const char*>(found) - text.data());
    if (end >= limits_.max_bytes) break;  // Too large, below.
    if (end == line_ || text[end - 1] != '\r') {
      return absl::InvalidArgumentError("line feed without carriage return");
    }
    const absl::string_view line = text.substr(line_, end - 1 - line_);
    if (line.empty()) {
      if (lines_ == 0) return absl::InvalidArgumentError("empty first line");
      return end + 1;
    }
    if (absl::Status status = CheckLine(line, lines_ == 0); !status.ok()) {
      return status;
    }
    if (lines_++ > limits_.max_fields) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", limits_.max_fields, " header fields"));
    }
    line_ = scanned_ = end + 1;
  }
  if (text.size() >= limits_.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("head of more than ", limits_.max_bytes, " bytes"));
  }
  return std::nullopt;
}

absl::StatusOr<RequestHead> ParseRequestHead(absl::string_view text) {
  RETURN_IF_ERROR(CheckRequestVersion(text));
  beast::http::request_parser<beast::http::empty_body> parser;
  RETURN_IF_ERROR(RunParser(text, &parser));
  const auto& message = parser.get();

  RequestHead head;
  const auto method = message.method_string();
  head.method.assign(method.data(), method.size());
  const auto target = message.target();
  head.target.assign(target.data(), target.size());
  head.minor_version = message.version() == 10 ? 0 : 1;
  head.headers = CopyFields(message);
  RETURN_IF_ERROR(NormalizeTarget(&head));
  return head;
}

absl::StatusOr<ResponseHead> ParseResponseHead(absl::string_view text) {
  if (!absl::StartsWith(text, "HTTP/1.1 ") &&
      !absl::StartsWith(text, "HTTP/1.0 ")) {
    return absl::UnimplementedError("the answer is not of HTTP/1.1 or 1.0");
  }
  beast::http::response_parser<beast::http::empty_body> parser;
  RETURN_IF_ERROR(RunParser(text, &parser));
  const auto& message = parser.get();

  ResponseHead head;
  head.status = static_cast<int>(message.result_int());
  if (head.status < 100 || head.status > 599) {
    return absl::InvalidArgumentError(
        absl::StrCat("the answer's status is ", head.status));
  }
  head.minor_version = message.version() == 10 ? 0 : 1;
  head.headers = CopyFields(message);
  return head;
}

}  // namespace insula::http
