#include "services/query_frontend/params.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/planted_faults.h"
#include "services/query_frontend/prometheus_time.h"

namespace insula::query_frontend {
namespace {

using Values = std::map<std::string, std::string>;  // Not empty ones, by name.

constexpr absl::string_view kMatch = "match[]";
constexpr int64_t kMostPoints = 11'000;
constexpr size_t kMaxSummary = 1024;

// Whether `endpoint` takes a parameter of that name.
bool Takes(Endpoint endpoint, absl::string_view name) {
  absl::string_view known = InfoOf(endpoint).params;
  while (!known.empty()) {
    const size_t end = std::min(known.find(' '), known.size());
    if (known.substr(0, end) == name) return true;
    known.remove_prefix(std::min(end + 1, known.size()));
  }
  return false;
}

// Whether it may come several times.
bool IsList(absl::string_view name) { return absl::EndsWith(name, "[]"); }

absl::Status Invalid(absl::string_view name, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("invalid parameter \"", name, "\": ", why));
}

absl::StatusOr<http::Params> ReadAll(const http::Request& request,
                                     bool has_form) {
  absl::StatusOr<http::Params> all = http::ParseForm(request.query());
  if (!all.ok()) return Annotate(all.status(), "insula: URL query");
  if (!has_form) return all;
  absl::StatusOr<http::Params> body = http::ParseForm(request.body.view());
  if (!body.ok()) return Annotate(body.status(), "insula: form in the body");
  for (const auto& [name, value] : *body) {
    if (name == "namespace") {
      return absl::InvalidArgumentError(
          "insula: parameter \"namespace\" names a tenant: write it into the "
          "URL, not into the body");
    }
  }
  std::move(body->begin(), body->end(), std::back_inserter(*all));
  return all;
}

// Times that are not given are those of Prometheus' API: no bound.
absl::StatusOr<std::optional<absl::Time>> CheckTime(const Values& values,
                                                    const std::string& name,
                                                    bool required) {
  const auto found = values.find(name);
  if (found == values.end() && !required) return std::nullopt;
  absl::StatusOr<absl::Time> time =
      ParseTime(found == values.end() ? "" : found->second);
  if (time.ok()) return *time;
  if (required) return Invalid(name, time.status().message());
  return Invalid(name, absl::StrCat("invalid time value for '", name,
                                    "': ", time.status().message()));
}

absl::Status ReadRange(const Values& values, ApiParams* params) {
  ASSIGN_OR_RETURN(params->start, CheckTime(values, "start", true));
  ASSIGN_OR_RETURN(params->end, CheckTime(values, "end", true));
  if (*params->end < *params->start) {
    return Invalid("end", "end timestamp must not be before start time");
  }
  const auto given = values.find("step");
  const absl::StatusOr<absl::Duration> step =
      ParseDuration(given == values.end() ? "" : given->second);
  if (!step.ok()) return Invalid("step", step.status().message());
  if (*step < absl::Nanoseconds(1)) {  // Prometheus counts nanoseconds.
    return Invalid("step",
                   "zero or negative query resolution step widths are not "
                   "accepted. Try a positive integer");
  }
  if ((*params->end - *params->start) / *step > kMostPoints) {
    return absl::InvalidArgumentError(
        "exceeded maximum resolution of 11,000 points per timeseries. Try "
        "decreasing the query resolution (?step=XX)");
  }
  params->step = *step;
  return absl::OkStatus();
}

// Numbers of which negative ones mean no limit.
absl::Status CheckLooseLimits(const Values& values) {
  for (const char* name : {"limit", "limit_per_metric"}) {
    const auto given = values.find(name);
    int64_t number = 0;
    if (given != values.end() && !absl::SimpleAtoi(given->second, &number)) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " must be a number"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTimeoutAndLimit(const Values& values) {
  if (const auto timeout = values.find("timeout"); timeout != values.end()) {
    const absl::StatusOr<absl::Duration> parsed =
        ParseDuration(timeout->second);
    if (!parsed.ok()) return Invalid("timeout", parsed.status().message());
    if (*parsed <= absl::ZeroDuration()) {
      return Invalid("timeout", "timeout must be positive");
    }
  }
  if (const auto limit = values.find("limit"); limit != values.end()) {
    uint32_t number = 0;
    if (!std::all_of(limit->second.begin(), limit->second.end(),
                     absl::ascii_isdigit) ||
        !absl::SimpleAtoi(limit->second, &number)) {
      return Invalid("limit", "limit must be a non-negative integer");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadValues(Endpoint endpoint, const Values& values,
                        ApiParams* params) {
  if (endpoint == Endpoint::kMetadata ||
      endpoint == Endpoint::kTargetMetadata) {
    return CheckLooseLimits(values);
  }
  if (endpoint == Endpoint::kQueryRange) {
    RETURN_IF_ERROR(ReadRange(values, params));
  } else {
    RETURN_IF_ERROR(CheckTime(values, "time", false).status());
    ASSIGN_OR_RETURN(params->start, CheckTime(values, "start", false));
    ASSIGN_OR_RETURN(params->end, CheckTime(values, "end", false));
  }
  if (const auto given = values.find("lookback_delta"); given != values.end()) {
    const absl::StatusOr<absl::Duration> lookback =
        ParseDuration(given->second);
    if (!lookback.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("error parsing lookback delta duration: ",
                       lookback.status().message()));
    }
    // As Prometheus: one that is not positive is none.
    params->lookback = std::max(*lookback, absl::ZeroDuration());
  }
  return CheckTimeoutAndLimit(values);
}

}  // namespace

int64_t ApiParams::steps() const {
  if (step <= absl::ZeroDuration()) return 1;
  return (*end - *start) / step + 1;
}

absl::string_view ApiParams::Get(absl::string_view name) const {
  for (const auto& [known, value] : rest) {
    if (known == name) return value;
  }
  return "";
}

std::vector<std::string> ApiParams::All(absl::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [known, value] : rest) {
    if (known == name) values.push_back(value);
  }
  return values;
}

std::string ApiParams::Summary() const {
  std::string summary = query.substr(0, kMaxSummary);
  for (const std::string& match : matches) {
    if (summary.size() >= kMaxSummary) break;
    absl::StrAppend(&summary, summary.empty() ? "" : " or ",
                    match.substr(0, kMaxSummary));
  }
  return summary.substr(0, kMaxSummary);
}

bool HasReadableBody(Endpoint endpoint, const http::Request& request) {
  if (InfoOf(endpoint).takes_block()) {
    return request.headers.Count("Content-Type") == 1 &&
           *request.headers.Get("Content-Type") == "application/x-protobuf" &&
           request.headers.Count("Content-Encoding") == 1 &&
           *request.headers.Get("Content-Encoding") == "snappy";
  }
  if (request.body.size() == 0) return true;
  if (request.headers.Count("Content-Type") != 1) return false;
  const std::vector<std::string> parts = absl::StrSplit(
      absl::AsciiStrToLower(*request.headers.Get("Content-Type")), ';');
  for (size_t i = 1; i < parts.size(); ++i) {
    const absl::string_view parameter = absl::StripAsciiWhitespace(parts[i]);
    if (!parameter.empty() && parameter != "charset=utf-8" &&
        parameter != "charset=\"utf-8\"") {
      return false;
    }
  }
  return absl::StripAsciiWhitespace(parts[0]) ==
         "application/x-www-form-urlencoded";
}

absl::StatusOr<ApiParams> ParseParams(Endpoint endpoint,
                                      const http::Request& request) {
  const bool takes_block = InfoOf(endpoint).takes_block();
  ASSIGN_OR_RETURN(http::Params all,
                   ReadAll(request, request.method == "POST" && !takes_block));

  ApiParams params;
  params.accept = std::string(request.headers.Get("Accept").value_or(""));
  if (takes_block) params.body = std::string(request.body.view());
  Values values;
  std::vector<absl::string_view> seen;  // Into `all`, whose names stay.
  for (auto& [name, value] : all) {
    if (!Takes(endpoint, name)) continue;
#ifdef INSULA_PLANT_FAULTS
    if (name == kMatch && promql::IsPlanted("match_in_body") &&
        request.body.size() > 0) {
      params.rest.emplace_back(std::move(name), std::move(value));
      continue;
    }
#endif
    if (name == kMatch) {
      params.matches.push_back(std::move(value));
      continue;
    }
    if (IsList(name)) {
      params.rest.emplace_back(std::move(name), std::move(value));
      continue;
    }
    // Also an empty one: which of two Prometheus takes depends on where each
    // stands.
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "insula: parameter \"", name,
          "\" is given more than once (URL and body count together), give it "
          "once"));
    }
    seen.push_back(name);
    if (!value.empty()) values.emplace(name, std::move(value));
  }
  RETURN_IF_ERROR(ReadValues(endpoint, values, &params));

  for (auto& [name, value] : values) {
    if (name == "query") {
      params.query = std::move(value);
    } else {
      params.rest.emplace_back(name, std::move(value));
    }
  }
  return params;
}

}  // namespace insula::query_frontend
