#include "libs/http/head.h"

#include <algorithm>
#include <array>
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

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("malformed head: ", what));
}

// Takes a line off `*text` and its end from it. False if there is none.
bool TakeLine(absl::string_view* text, absl::string_view* line) {
  const size_t end = text->find('\n');
  if (end == text->npos || end == 0 || (*text)[end - 1] != '\r') return false;
  *line = text->substr(0, end - 1);
  text->remove_prefix(end + 1);
  return true;
}

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

absl::string_view WithoutBlanks(absl::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

bool IsConnection(absl::string_view name) {
  return IsSameName(name, "connection") || IsSameName(name, "proxy-connection");
}

// Tokens between commas, and perhaps nothing between some.
bool IsTokenList(absl::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const absl::string_view token = WithoutBlanks(text.substr(0, end));
    if (!token.empty() && !IsToken(token)) return false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return true;
}

// Reads the lines behind the first one, whose last one is empty.
absl::Status ParseFields(absl::string_view text, Headers* headers) {
  absl::string_view line;
  while (TakeLine(&text, &line)) {
    if (line.empty()) {
      if (!text.empty()) return Malformed("it has an end within");
      return absl::OkStatus();
    }
    const size_t colon = line.find(':');
    if (colon == line.npos || colon == 0) {
      return Malformed("a header line has no name");
    }
    const absl::string_view name = line.substr(0, colon);
    const absl::string_view value = WithoutBlanks(line.substr(colon + 1));
    if (IsConnection(name) && !IsTokenList(value)) {
      return Malformed("a Connection header is no list of tokens");
    }
    headers->Add(name, value);
  }
  return Malformed("it ends early");
}

absl::Status CheckRequestVersion(absl::string_view version) {
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
  absl::string_view line;
  if (!TakeLine(&text, &line)) return Malformed("it ends early");
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  RETURN_IF_ERROR(CheckRequestVersion(
      last == line.npos ? absl::string_view() : line.substr(last + 1)));
  const absl::string_view method = line.substr(0, first);
  if (!IsToken(method)) return Malformed("its method is no token");
  if (last <= first + 1) return Malformed("it has no target");
  const absl::string_view target = line.substr(first + 1, last - first - 1);
  if (absl::StrContains(target, ' ')) {
    return Malformed("a blank in its target");
  }

  RequestHead head;
  head.method.assign(method.data(), method.size());
  head.target.assign(target.data(), target.size());
  head.minor_version = line.back() == '0' ? 0 : 1;
  RETURN_IF_ERROR(ParseFields(text, &head.headers));
  RETURN_IF_ERROR(NormalizeTarget(&head));
  return head;
}

absl::StatusOr<ResponseHead> ParseResponseHead(absl::string_view text) {
  if (!absl::StartsWith(text, "HTTP/1.1 ") &&
      !absl::StartsWith(text, "HTTP/1.0 ")) {
    return absl::UnimplementedError("the answer is not of HTTP/1.1 or 1.0");
  }
  absl::string_view line;
  if (!TakeLine(&text, &line)) return Malformed("it ends early");
  // "HTTP/1.1 200 OK": a blank stands also before no words at all.
  const absl::string_view status = line.substr(9);
  if (status.size() < 4 || status[3] != ' ' ||
      !std::all_of(status.begin(), status.begin() + 3, absl::ascii_isdigit)) {
    return Malformed("its status is not of three digits");
  }

  ResponseHead head;
  head.status =
      100 * (status[0] - '0') + 10 * (status[1] - '0') + (status[2] - '0');
  if (head.status < 100 || head.status > 599) {
    return absl::InvalidArgumentError(
        absl::StrCat("the answer's status is ", head.status));
  }
  head.minor_version = line[7] - '0';
  RETURN_IF_ERROR(ParseFields(text, &head.headers));
  return head;
}

}  // namespace insula::http
