#include "services/federation_pusher/push_answer.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "libs/http/retry_after.h"
#include "libs/http/status_code.h"
#include "services/federation_pusher/run.h"

namespace insula::federation_pusher {
namespace {

using Kind = PushVerdict::Kind;

constexpr size_t kMaxDetail = 400;

// How many series were refused, by the first line of an ingest-gateway's text:
// "insula: some of it ... (2 of 10 series not taken)". Nullopt if it does not
// say so of a request of `all` series.
std::optional<int64_t> CountRefused(absl::string_view text, int64_t all) {
  absl::string_view line = text.substr(0, text.find('\n'));
  if (!absl::StartsWith(line, "insula:") ||
      !absl::ConsumeSuffix(&line, " series not taken)")) {
    return std::nullopt;
  }
  const size_t open = line.rfind('(');
  const size_t of = line.rfind(" of ");
  int64_t refused = 0;
  int64_t received = 0;
  if (open == line.npos || of == line.npos || of < open ||
      !absl::SimpleAtoi(line.substr(open + 1, of - open - 1), &refused) ||
      !absl::SimpleAtoi(line.substr(of + 4), &received) || received != all ||
      refused < 1 || refused > all) {
    return std::nullopt;
  }
  return refused;
}

bool IsHopeless(int status) {
  return status < 400 || status == 401 || status == 403 || status == 404 ||
         status == 405 || status == 415;
}

absl::string_view Cure(int status) {
  switch (status) {
    case 401:
      return "; put a token that is bound to the tenant into "
             "gateway.token_file";
    case 403:
      return "; let the token's binding write for the tenant (ROLE_WRITE)";
    case 413:
      return "; lower push.max_series or push.max_body";
    default:
      return IsHopeless(status) ? "; is gateway.write_url right?" : "";
  }
}

}  // namespace

PushVerdict JudgePush(const absl::StatusOr<http::Response>& answer,
                      int64_t samples, absl::Time now) {
  PushVerdict verdict;
  if (!answer.ok()) {
    verdict.detail = absl::StrCat(
        "the ingest-gateway gave no answer: ", answer.status().message(),
        "; is gateway.write_url right, "
        "and does it run?");
    return verdict;
  }
  const int status = answer->status;
  if (status >= 200 && status < 300) {
    verdict.kind = Kind::kAccepted;
    return verdict;
  }
  verdict.detail =
      absl::StrCat("the ingest-gateway answered ", status, " ",
                   Shown(absl::StripAsciiWhitespace(answer->body), kMaxDetail),
                   Cure(status));
  if (http::IsRetryable(http::FromHttpStatus(status))) {
    verdict.wait = http::ParseRetryAfter(answer->headers, now);
    return verdict;
  }
  verdict.kind = IsHopeless(status) ? Kind::kHopeless : Kind::kRefused;
  verdict.refused = samples;
  if (status == 400) {
    if (const auto refused = CountRefused(answer->body, samples)) {
      verdict.kind = Kind::kAccepted;
      verdict.refused = *refused;
    }
  }
  return verdict;
}

}  // namespace insula::federation_pusher
