#include "libs/http/framing.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "libs/status/status_macros.h"

namespace insula::http {
namespace {

absl::StatusOr<uint64_t> ParseLength(absl::string_view text) {
  uint64_t length = 0;
  if (text.empty() || text.size() > 19 ||
      !std::all_of(text.begin(), text.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(text, &length)) {
    return absl::InvalidArgumentError("Content-Length is not a number");
  }
  return length;
}

// Body and length; kNone if no field says anything.
absl::StatusOr<Framing> FrameBody(const Headers& headers, int minor_version) {
  std::optional<absl::string_view> length;
  std::optional<absl::string_view> coding;
  for (const auto& [name, value] : headers) {
    const bool is_length = absl::EqualsIgnoreCase(name, "content-length");
    if (!is_length && !absl::EqualsIgnoreCase(name, "transfer-encoding")) {
      continue;
    }
    if (length || coding) {
      return absl::InvalidArgumentError(
          "more than one of Content-Length and Transfer-Encoding");
    }
    (is_length ? length : coding) = value;
  }

  Framing framing;
  if (coding) {
    if (*coding != "chunked" || minor_version == 0) {
      return absl::InvalidArgumentError(
          "Transfer-Encoding is not exactly 'chunked' in HTTP/1.1");
    }
    framing.body = Framing::Body::kChunked;
  } else if (length) {
    ASSIGN_OR_RETURN(framing.length, ParseLength(*length));
    if (framing.length > 0) framing.body = Framing::Body::kLength;
  }
  return framing;
}

bool KeepAlive(const Headers& headers, int minor_version) {
  bool keep_alive = minor_version > 0;
  for (const auto& [name, value] : headers) {
    if (!absl::EqualsIgnoreCase(name, "connection")) continue;
    for (const absl::string_view option : absl::StrSplit(value, ',')) {
      const absl::string_view word = absl::StripAsciiWhitespace(option);
      if (absl::EqualsIgnoreCase(word, "close")) return false;
      if (absl::EqualsIgnoreCase(word, "keep-alive")) keep_alive = true;
    }
  }
  return keep_alive;
}

bool IsSaneHost(absl::string_view host) {
  return std::all_of(host.begin(), host.end(), [](char c) {
    return absl::ascii_isalnum(c) ||
           absl::string_view("-._~%:[]").find(c) != absl::string_view::npos;
  });
}

}  // namespace

absl::StatusOr<Framing> FrameRequest(const Headers& headers,
                                     int minor_version) {
  ASSIGN_OR_RETURN(Framing framing, FrameBody(headers, minor_version));
  framing.keep_alive = KeepAlive(headers, minor_version);

  const size_t hosts = headers.Count("host");
  if (hosts > 1 || (hosts == 0 && minor_version > 0)) {
    return absl::InvalidArgumentError("not exactly one Host header");
  }
  if (hosts == 1 && !IsSaneHost(*headers.Get("host"))) {
    return absl::InvalidArgumentError("malformed Host header");
  }
  // A 1.0 client does not know the interim answer.
  if (const auto expect = headers.Get("expect"); expect && minor_version > 0) {
    if (headers.Count("expect") > 1 ||
        !absl::EqualsIgnoreCase(*expect, "100-continue")) {
      return absl::FailedPreconditionError(
          "only the expectation 100-continue can be met");
    }
    framing.expect_continue = framing.body != Framing::Body::kNone;
  }
  return framing;
}

absl::StatusOr<Framing> FrameResponse(const Headers& headers, int minor_version,
                                      int status, absl::string_view method) {
  ASSIGN_OR_RETURN(Framing framing, FrameBody(headers, minor_version));
  framing.keep_alive = KeepAlive(headers, minor_version);
  const bool bodiless =
      method == "HEAD" || status < 200 || status == 204 || status == 304;
  if (bodiless) {
    framing.body = Framing::Body::kNone;
    framing.length = 0;
  } else if (framing.body == Framing::Body::kNone &&
             headers.Count("content-length") == 0) {
    framing.body = Framing::Body::kUntilClose;
    framing.keep_alive = false;
  }
  return framing;
}

}  // namespace insula::http
