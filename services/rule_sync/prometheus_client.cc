#include "services/rule_sync/prometheus_client.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/http/retry_after.h"
#include "libs/http/status_code.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/status/status_macros.h"

namespace insula::rule_sync {
namespace {

namespace asio = boost::asio;
using nlohmann::json;

constexpr size_t kMaxWords = 500;  // Of an answer, to show.

const json* Member(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() ? nullptr : &*it;
}

std::string TextOf(const json& object, const char* name) {
  const json* const member = Member(object, name);
  if (member == nullptr || !member->is_string()) return "";
  return member->get<std::string>();
}

absl::Duration SecondsOf(const json& object, const char* name) {
  const json* const member = Member(object, name);
  if (member == nullptr || !member->is_number()) return absl::ZeroDuration();
  const double seconds = member->get<double>();
  if (!(seconds >= 0 && seconds < 1e12)) return absl::ZeroDuration();
  return absl::Milliseconds(std::llround(seconds * 1000));
}

rules::Labels LabelsOf(const json& object, const char* name) {
  rules::Labels labels;
  const json* const member = Member(object, name);
  if (member == nullptr || !member->is_object()) return labels;
  for (const auto& [label, value] : member->items()) {
    if (value.is_string()) labels[label] = value.get<std::string>();
  }
  return labels;
}

absl::StatusOr<rules::Rule> RuleOf(const json& object) {
  rules::Rule rule;
  const std::string type = TextOf(object, "type");
  if (type == "recording") {
    rule.record = TextOf(object, "name");
  } else if (type == "alerting") {
    rule.alert = TextOf(object, "name");
  } else {
    return absl::InvalidArgumentError("it has a rule of no known type");
  }
  rule.expr = TextOf(object, "query");
  rule.for_duration = SecondsOf(object, "duration");
  rule.keep_firing_for = SecondsOf(object, "keepFiringFor");
  rule.labels = LabelsOf(object, "labels");
  rule.annotations = LabelsOf(object, "annotations");
  return rule;
}

absl::string_view BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

// A label without a value is none.
rules::Labels WithoutEmpty(const rules::Labels& labels) {
  rules::Labels kept;
  for (const auto& [name, value] : labels) {
    if (!value.empty()) kept.emplace(name, value);
  }
  return kept;
}

bool SameExpression(const std::string& wanted, const std::string& loaded) {
  if (wanted == loaded) return true;
  promql::ParseOptions options;
  options.max_bytes = size_t{4} << 20;
  options.max_regex_cost = size_t{1} << 40;
  const auto a = promql::Parse(wanted, options);
  const auto b = promql::Parse(loaded, options);
  return a.ok() && b.ok() && promql::Print(**a) == promql::Print(**b);
}

bool IsLoaded(const rules::Group& group, const rules::Rule& wanted,
              const rules::Rule& loaded) {
  rules::Labels labels = group.labels;
  for (const auto& [name, value] : wanted.labels) labels[name] = value;
  // Versions before 2.42 know nothing of keep_firing_for, and do not show it.
  return wanted.record == loaded.record && wanted.alert == loaded.alert &&
         wanted.for_duration == loaded.for_duration &&
         (loaded.keep_firing_for == absl::ZeroDuration() ||
          wanted.keep_firing_for == loaded.keep_firing_for) &&
         WithoutEmpty(labels) == WithoutEmpty(loaded.labels) &&
         WithoutEmpty(wanted.annotations) == WithoutEmpty(loaded.annotations) &&
         SameExpression(wanted.expr, loaded.expr);
}

}  // namespace

absl::StatusOr<LoadedRules> ParseLoadedRules(absl::string_view text) {
  const json answer = json::parse(text.begin(), text.end(), nullptr,
                                  /*allow_exceptions=*/false);
  const json* const data = Member(answer, "data");
  const json* const groups =
      data == nullptr ? nullptr : Member(*data, "groups");
  if (TextOf(answer, "status") != "success" || groups == nullptr ||
      !groups->is_array()) {
    return absl::InvalidArgumentError(
        "it is not Prometheus' JSON list of rules");
  }
  LoadedRules loaded;
  for (const json& object : *groups) {
    rules::Group group;
    group.name = TextOf(object, "name");
    group.interval = SecondsOf(object, "interval");
    const std::string file = TextOf(object, "file");
    const json* const members = Member(object, "rules");
    if (group.name.empty() || file.empty() || members == nullptr ||
        !members->is_array()) {
      return absl::InvalidArgumentError(
          "it has a group without name, file or rules");
    }
    for (const json& member : *members) {
      ASSIGN_OR_RETURN(rules::Rule rule, RuleOf(member));
      group.rules.push_back(std::move(rule));
    }
    loaded[std::string(BaseName(file))].push_back(std::move(group));
  }
  return loaded;
}

bool IsLoaded(const rules::Group& wanted, const rules::Group& loaded) {
  if (wanted.name != loaded.name ||
      wanted.rules.size() != loaded.rules.size() ||
      (wanted.interval != absl::ZeroDuration() &&
       wanted.interval != loaded.interval)) {
    return false;
  }
  for (size_t i = 0; i < wanted.rules.size(); ++i) {
    if (!IsLoaded(wanted, wanted.rules[i], loaded.rules[i])) return false;
  }
  return true;
}

bool AreLoaded(const std::vector<CheckedGroup>& wanted,
               const std::vector<rules::Group>& loaded) {
  return wanted.size() == loaded.size() &&
         std::all_of(wanted.begin(), wanted.end(),
                     [&loaded](const CheckedGroup& one) {
                       return std::any_of(loaded.begin(), loaded.end(),
                                          [&one](const rules::Group& other) {
                                            return IsLoaded(one.group, other);
                                          });
                     });
}

absl::Status ExplainAnswer(absl::string_view call, const http::Response& answer,
                           absl::Time now, CallFailure* failure) {
  const absl::StatusCode code = http::FromHttpStatus(answer.status);
  failure->failure =
      http::IsRetryable(code) ? Failure::kBusy : Failure::kDenied;
  failure->retry_after = http::ParseRetryAfter(answer.headers, now);
  const absl::string_view words =
      absl::StripAsciiWhitespace(answer.body).substr(0, kMaxWords);
  return absl::Status(
      code == absl::StatusCode::kOk ? absl::StatusCode::kUnknown : code,
      absl::StrCat(call, ": ", answer.status, ": ", words));
}

absl::Status ExplainSilence(absl::string_view call, const absl::Status& status,
                            CallFailure* failure) {
  failure->failure = absl::IsResourceExhausted(status) ? Failure::kGarbage
                                                       : Failure::kUnreachable;
  return absl::Status(status.code(),
                      absl::StrCat(call, ": ", status.message()));
}

absl::StatusOr<PrometheusClient> PrometheusClient::Create(
    const std::string& url, absl::Duration timeout, http::Client* client) {
  ASSIGN_OR_RETURN(http::Url parsed, http::Url::Parse(url));
  return PrometheusClient(std::move(parsed), timeout, client);
}

asio::awaitable<absl::StatusOr<LoadedRules>> PrometheusClient::ReadRules(
    CallFailure* failure) {
  http::ClientRequest request;
  request.url = url_.Join("/api/v1/rules");
  request.headers.Set("Accept", "application/json");
  const std::string call = absl::StrCat("GET ", request.url.ToString());
  const absl::StatusOr<http::Response> answer =
      co_await client_->Send(std::move(request), absl::Now() + timeout_);
  if (!answer.ok()) co_return ExplainSilence(call, answer.status(), failure);
  if (answer->status != 200) {
    co_return ExplainAnswer(call, *answer, absl::Now(), failure);
  }
  absl::StatusOr<LoadedRules> loaded = ParseLoadedRules(answer->body);
  if (!loaded.ok()) {
    failure->failure = Failure::kGarbage;
    co_return absl::UnknownError(absl::StrCat(
        call, ": the answer can't be used: ", loaded.status().message()));
  }
  co_return loaded;
}

asio::awaitable<absl::Status> PrometheusClient::Reload(CallFailure* failure) {
  http::ClientRequest request;
  request.method = "POST";
  request.url = url_.Join("/-/reload");
  const std::string call = absl::StrCat("POST ", request.url.ToString());
  const absl::StatusOr<http::Response> answer =
      co_await client_->Send(std::move(request), absl::Now() + timeout_);
  if (!answer.ok()) co_return ExplainSilence(call, answer.status(), failure);
  if (answer->status == 200) co_return absl::OkStatus();
  absl::Status status = ExplainAnswer(call, *answer, absl::Now(), failure);
  if (answer->status == 500) {
    failure->failure = Failure::kRefused;
    co_return absl::FailedPreconditionError(status.message());
  }
  if (answer->status == 403) {
    co_return absl::Status(
        status.code(), absl::StrCat(status.message(),
                                    "; start it with --web.enable-lifecycle"));
  }
  co_return status;
}

}  // namespace insula::rule_sync
