#include "services/rule_sync/ruler_client.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/rules/ruler_answer.h"
#include "libs/rules/write.h"
#include "libs/status/status_macros.h"

namespace insula::rule_sync {
namespace {

namespace asio = boost::asio;

constexpr char kNoGroups[] = "no rule groups found";
constexpr char kNoGroup[] = "group does not exist";
constexpr char kNoNamespace[] = "group namespace does not exist";

// A ruler unescapes an element of a path once. Dots alone would be taken for a
// directory before it comes to that.
std::string Element(absl::string_view text) {
  if (text == ".") return "%2E";
  if (text == "..") return "%2E%2E";
  return http::PercentEncode(text);
}

bool IsHtml(const http::Response& answer) {
  const auto type = answer.headers.Get("Content-Type");
  return type && absl::StrContains(absl::AsciiStrToLower(*type), "html");
}

bool Says(const http::Response& answer, absl::string_view words) {
  return absl::StripAsciiWhitespace(answer.body) == words;
}

}  // namespace

absl::StatusOr<RulerGroups> ReadList(absl::string_view call,
                                     const http::Response& answer,
                                     absl::Time now, size_t max_bytes,
                                     CallFailure* failure) {
  if (answer.status == 404 && Says(answer, kNoGroups)) return RulerGroups();
  if (answer.status != 200) return ExplainAnswer(call, answer, now, failure);
  absl::StatusOr<RulerGroups> groups =
      absl::InvalidArgumentError("it is a page of HTML");
  if (!IsHtml(answer)) {
    rules::RulerAnswerOptions options;
    options.max_bytes = max_bytes;
    groups = rules::ParseRulerAnswer(answer.body, options);
  }
  if (groups.ok()) return groups;
  failure->failure = Failure::kGarbage;
  return absl::UnknownError(absl::StrCat(
      call, ": the answer can't be used: ", groups.status().message()));
}

std::optional<int64_t> GroupLimitIn(absl::string_view message) {
  constexpr absl::string_view kBegin = "per-user rule groups limit (limit: ";
  const size_t at = message.find(kBegin);
  if (at == message.npos) return std::nullopt;
  message.remove_prefix(at + kBegin.size());
  int64_t limit = 0;
  if (!absl::SimpleAtoi(message.substr(0, message.find(' ')), &limit)) {
    return std::nullopt;
  }
  return limit;
}

absl::StatusOr<RulerClient> RulerClient::Create(const UnitSpec& spec,
                                                size_t max_list_bytes,
                                                http::Client* client) {
  ASSIGN_OR_RETURN(http::Url url, http::Url::Parse(spec.url));
  return RulerClient(std::move(url), spec, max_list_bytes, client);
}

http::ClientRequest RulerClient::Request(std::string method,
                                         absl::string_view path) const {
  http::ClientRequest request;
  request.method = std::move(method);
  request.url = url_.Join(absl::StrCat("/api/v1/rules", path));
  if (!spec_.header.empty()) request.headers.Set(spec_.header, spec_.org_id);
  return request;
}

asio::awaitable<absl::StatusOr<RulerGroups>> RulerClient::List(
    CallFailure* failure) {
  http::ClientRequest request = Request("GET", "");
  const std::string call = absl::StrCat("GET ", request.url.ToString());
  const absl::StatusOr<http::Response> answer =
      co_await client_->Send(std::move(request), absl::Now() + spec_.timeout);
  if (!answer.ok()) co_return ExplainSilence(call, answer.status(), failure);
  co_return ReadList(call, *answer, absl::Now(), max_list_bytes_, failure);
}

asio::awaitable<absl::Status> RulerClient::Put(std::string name_space,
                                               const rules::Group* group,
                                               CallFailure* failure) {
  http::ClientRequest request =
      Request("POST", absl::StrCat("/", Element(name_space)));
  request.headers.Set("Content-Type", "application/yaml");
  request.body = rules::WriteGroup(*group);
  const std::string call = absl::StrCat("POST ", request.url.ToString());
  const absl::StatusOr<http::Response> answer =
      co_await client_->Send(std::move(request), absl::Now() + spec_.timeout);
  if (!answer.ok()) co_return ExplainSilence(call, answer.status(), failure);
  // Rulers answer 202, those of Loki 202 or 200.
  if (answer->status == 202 || answer->status == 200) {
    co_return absl::OkStatus();
  }
  absl::Status status = ExplainAnswer(call, *answer, absl::Now(), failure);
  if (answer->status == 400 || answer->status == 413 || answer->status == 422) {
    failure->failure = Failure::kRefused;
    co_return absl::InvalidArgumentError(status.message());
  }
  co_return status;
}

asio::awaitable<absl::Status> RulerClient::Delete(std::string name_space,
                                                  std::string group,
                                                  CallFailure* failure) {
  http::ClientRequest request = Request(
      "DELETE", absl::StrCat("/", Element(name_space), "/", Element(group)));
  const std::string call = absl::StrCat("DELETE ", request.url.ToString());
  const absl::StatusOr<http::Response> answer =
      co_await client_->Send(std::move(request), absl::Now() + spec_.timeout);
  if (!answer.ok()) co_return ExplainSilence(call, answer.status(), failure);
  if (answer->status == 202 || answer->status == 200) {
    co_return absl::OkStatus();
  }
  if (answer->status == 404 &&
      (Says(*answer, kNoGroup) || Says(*answer, kNoNamespace))) {
    co_return absl::OkStatus();
  }
  co_return ExplainAnswer(call, *answer, absl::Now(), failure);
}

}  // namespace insula::rule_sync
