#include "libs/kube/api_error.h"

#include <algorithm>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/http/retry_after.h"
#include "libs/http/status_code.h"

namespace insula::kube {
namespace {

constexpr char kHttpStatus[] = "insula.kube/http-status";
constexpr char kRetryAfter[] = "insula.kube/retry-after";
constexpr size_t kMaxMessage = 1000;
constexpr size_t kMaxForeignMessage = 200;  // Of a body that is no Status.
constexpr int64_t kMaxRetryAfterSeconds = 3600;

absl::StatusCode CodeOf(int http_status, absl::string_view reason) {
  if (http_status == 410) return absl::StatusCode::kOutOfRange;
  if (http_status == 409) {
    return reason == "AlreadyExists" ? absl::StatusCode::kAlreadyExists
                                     : absl::StatusCode::kAborted;
  }
  const absl::StatusCode code = http::FromHttpStatus(http_status);
  return code == absl::StatusCode::kOk ? absl::StatusCode::kUnavailable : code;
}

absl::Status MakeError(absl::string_view what, int http_status,
                       absl::string_view reason, absl::string_view message,
                       int64_t retry_after) {
  absl::Status error(
      CodeOf(http_status, reason),
      absl::StrCat(what, ": ", http_status, reason.empty() ? "" : " ", reason,
                   ": ", message.substr(0, kMaxMessage)));
  error.SetPayload(kHttpStatus, absl::Cord(absl::StrCat(http_status)));
  if (retry_after > 0) {
    error.SetPayload(
        kRetryAfter,
        absl::Cord(absl::StrCat(std::min(retry_after, kMaxRetryAfterSeconds))));
  }
  return error;
}

int64_t IntegerAt(const Json& json,
                  std::initializer_list<absl::string_view> path) {
  const Json& value = At(json, path);
  return value.is_number_integer() ? value.get<int64_t>() : 0;
}

int64_t Payload(const absl::Status& error, absl::string_view name) {
  const auto payload = error.GetPayload(name);
  int64_t value = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &value)) return 0;
  return value;
}

}  // namespace

absl::Status ErrorOf(const http::Response& answer, absl::string_view what) {
  const int64_t wait =
      absl::ToInt64Seconds(http::ParseRetryAfter(answer.headers, absl::Now()));
  const absl::StatusOr<Json> body = ParseJson(answer.body);
  if (!body.ok() || StringAt(*body, {"kind"}) != "Status") {
    return MakeError(
        what, answer.status, "",
        absl::string_view(answer.body).substr(0, kMaxForeignMessage), wait);
  }
  return MakeError(
      what, answer.status, StringAt(*body, {"reason"}),
      StringAt(*body, {"message"}),
      std::max(wait, IntegerAt(*body, {"details", "retryAfterSeconds"})));
}

absl::Status ErrorOf(const Json& status, absl::string_view what) {
  const std::string reason = StringAt(status, {"reason"});
  int64_t code = IntegerAt(status, {"code"});
  if (reason == "Expired" || reason == "Gone") code = 410;
  if (code < 400 || code > 599) code = 500;
  return MakeError(what, static_cast<int>(code), reason,
                   StringAt(status, {"message"}),
                   IntegerAt(status, {"details", "retryAfterSeconds"}));
}

int HttpStatusOf(const absl::Status& error) {
  return static_cast<int>(Payload(error, kHttpStatus));
}

absl::Duration RetryAfterOf(const absl::Status& error) {
  return absl::Seconds(Payload(error, kRetryAfter));
}

}  // namespace insula::kube
