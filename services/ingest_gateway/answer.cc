#include "services/ingest_gateway/answer.h"

#include <algorithm>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/http/status_code.h"

namespace insula::ingest_gateway {
namespace {

using remote_write::Reason;

constexpr size_t kMaxLosses = 10;
constexpr size_t kMaxEcho = 200;
constexpr absl::Duration kDefaultRetryAfter = absl::Seconds(5);
constexpr absl::Duration kMaxRetryAfter = absl::Minutes(5);

// Shows received text, escaped, up to a number of bytes in all.
class Echo {
 public:
  // False when nothing more may be shown.
  bool Append(absl::string_view text, std::string* out) {
    const std::string escaped = absl::CHexEscape(text);
    if (escaped.size() > left_) return false;
    left_ -= escaped.size();
    absl::StrAppend(out, "'", escaped, "'");
    return true;
  }

 private:
  size_t left_ = kMaxEcho;
};

absl::string_view Headline(int status) {
  switch (status) {
    case 400:
      return "some of it was refused, the rest is kept";
    case 403:
      return "this caller may write for none of the tenants named";
    case 429:
      return "a tenant is over its rate or its queue is full, the rest is "
             "kept; send it again";
    default:
      return "not all of it could be kept; send it again";
  }
}

void AppendLoss(const Loss& loss, Echo* echo, std::string* text) {
  absl::StrAppend(
      text, "- ",
      loss.tenant.empty() ? std::string("no tenant")
                          : absl::StrCat("tenant '", loss.tenant, "'"),
      ": ", remote_write::ReasonName(loss.reason), ": ", loss.counts.series,
      " series, ", loss.counts.samples, " samples");
  if (loss.limit > 0) absl::StrAppend(text, " (limit ", loss.limit, ")");
  const char* separator = ": ";
  for (const std::string& example : loss.examples) {
    std::string shown;
    if (!echo->Append(example, &shown)) break;
    absl::StrAppend(text, separator, shown);
    separator = ", ";
  }
  if (!loss.detail.empty()) {
    std::string shown;
    if (echo->Append(loss.detail.substr(0, 100), &shown)) {
      absl::StrAppend(text,
                      loss.reason == Reason::kQueueFull ? ": the queue says "
                                                        : ": the store says ",
                      shown);
    }
  }
  absl::StrAppend(text, "; ", remote_write::ReasonCure(loss.reason), "\n");
}

}  // namespace

int StatusOf(const Outcome& outcome) {
  bool forbidden = false;
  bool slow = false;
  for (const Loss& loss : outcome.losses) {
    if (loss.reason == Reason::kUpstreamUnavailable) return 503;
    slow = slow || remote_write::IsOverRate(loss.reason) ||
           loss.reason == Reason::kQueueFull;
    forbidden = forbidden || remote_write::IsForbidden(loss.reason);
  }
  if (slow) return 429;
  if (forbidden && !outcome.allowed) return 403;
  return outcome.losses.empty() ? 204 : 400;
}

bool IsRetried(int status) { return status == 429 || status == 503; }

http::Response MakeAnswer(const Outcome& outcome) {
  const int status = StatusOf(outcome);
  if (status == 204) {
    http::Response response;
    response.status = 204;
    return response;
  }
  int64_t lost = 0;
  for (const Loss& loss : outcome.losses) lost += loss.counts.series;
  std::string text =
      absl::StrCat("insula: ", Headline(status), " (", lost, " of ",
                   outcome.series, " series not taken)\n");
  Echo echo;
  const size_t shown = std::min(kMaxLosses, outcome.losses.size());
  for (size_t i = 0; i < shown; ++i) {
    AppendLoss(outcome.losses[i], &echo, &text);
  }
  if (shown < outcome.losses.size()) {
    absl::StrAppend(&text, "- and ", outcome.losses.size() - shown, " more\n");
  }
  http::Response response = http::TextResponse(status, text);
  if (IsRetried(status)) {
    const absl::Duration wait =
        outcome.retry_after > absl::ZeroDuration()
            ? std::min(outcome.retry_after, kMaxRetryAfter)
            : kDefaultRetryAfter;
    response.headers.Set(
        "Retry-After",
        absl::StrCat(absl::ToInt64Seconds(absl::Ceil(wait, absl::Seconds(1)))));
  }
  return response;
}

void SetWritten(const remote_write::Counts& written, http::Response* response) {
  const auto set = [response](absl::string_view what, int64_t count) {
    response->headers.Set(
        absl::StrCat("X-Prometheus-Remote-Write-", what, "-Written"),
        absl::StrCat(count));
  };
  set("Samples", written.samples - written.histograms);
  set("Histograms", written.histograms);
  set("Exemplars", written.exemplars);
}

http::Response MakeRefusal(const absl::Status& status) {
  // Too large is for good here: the same body will never fit.
  const int code = status.code() == absl::StatusCode::kResourceExhausted
                       ? 413
                       : http::ToHttpStatus(status.code());
  std::string text(status.message());
  if (text.rfind("insula:", 0) != 0) text = absl::StrCat("insula: ", text);
  http::Response response = http::TextResponse(code, text);
  if (code == 401) response.headers.Set("WWW-Authenticate", "Bearer");
  if (code == 503) response.headers.Set("Retry-After", "5");
  return response;
}

}  // namespace insula::ingest_gateway
