#include "libs/http/response_writer.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/http/head.h"
#include "libs/http/status_code.h"

namespace insula::http {
namespace {

constexpr size_t kLeastGzip = 1024;

// Of one hop or of the server's own making.
bool IsServersOwn(absl::string_view name) {
  static constexpr absl::string_view kOwn[] = {
      "connection",   "content-length", "transfer-encoding", "date",
      "x-request-id", "keep-alive",     "proxy-connection",  "te",
      "trailer",      "upgrade"};
  return std::any_of(
      std::begin(kOwn), std::end(kOwn),
      [name](absl::string_view own) { return IsSameName(name, own); });
}

// Formatting a date costs more than the rest of a head.
absl::string_view CurrentDate() {
  thread_local int64_t formatted_at = 0;
  thread_local std::string date;
  const int64_t now = absl::GetCurrentTimeNanos() / 1'000'000'000;
  if (now != formatted_at) {
    date = absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT",
                            absl::FromUnixSeconds(now), absl::UTCTimeZone());
    formatted_at = now;
  }
  return date;
}

void AppendField(absl::string_view name, absl::string_view value,
                 std::string* text) {
  text->append(name.data(), name.size());
  text->append(": ", 2);
  text->append(value.data(), value.size());
  text->append("\r\n", 2);
}

}  // namespace

absl::Status CheckResponse(const Response& response) {
  if (response.status < 200 || response.status > 599) {
    return absl::InvalidArgumentError(
        absl::StrCat("status ", response.status, " is not of 200 to 599"));
  }
  for (const auto& [name, value] : response.headers) {
    if (!IsToken(name) || !IsFieldValue(value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("header '", absl::CHexEscape(name), "' = '",
                       absl::CHexEscape(value), "' is malformed"));
    }
  }
  return absl::OkStatus();
}

bool MayHaveBody(const Response& response) {
  return response.status != 204 && response.status != 304;
}

bool IsWorthGzip(const Response& response) {
  return response.body.size() >= kLeastGzip && MayHaveBody(response) &&
         response.headers.Count("content-encoding") == 0;
}

std::string ResponseHeadText(const Response& response,
                             const AnswerFacts& facts) {
  std::string text;
  text.reserve(512);
  absl::StrAppend(&text, "HTTP/1.1 ", response.status, " ",
                  ReasonPhrase(response.status), "\r\n");
  AppendField("Date", CurrentDate(), &text);
  for (const auto& [name, value] : response.headers) {
    if (!IsServersOwn(name)) AppendField(name, value, &text);
  }
  if (facts.vary) AppendField("Vary", "Accept-Encoding", &text);
  AppendField("X-Request-Id", facts.request_id, &text);
  if (facts.chunked) {
    if (facts.minor_version > 0) {
      AppendField("Transfer-Encoding", "chunked", &text);
    }
  } else if (MayHaveBody(response)) {
    absl::StrAppend(&text, "Content-Length: ", response.body.size(), "\r\n");
  }
  if (!facts.keep_alive) {
    AppendField("Connection", "close", &text);
  } else if (facts.minor_version == 0) {
    AppendField("Connection", "keep-alive", &text);
  }
  text.append("\r\n");
  return text;
}

}  // namespace insula::http
