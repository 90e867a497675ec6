#include "services/query_frontend/rules_answer.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/labels/matcher.h"
#include "libs/promql/parser.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"
#include "services/query_frontend/json_copy.h"

namespace insula::query_frontend {
namespace {

using simdjson::dom::element;
using Read = absl::StatusOr<std::optional<std::string>>;
using Labels = simdjson::dom::object;

constexpr absl::string_view kAlertsMetric = "ALERTS";

absl::Status NotRules() {
  return absl::InternalError("data is not a list of groups of rules");
}

absl::Status Invalid(absl::string_view name, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("invalid parameter \"", name, "\": ", why));
}

absl::string_view LabelOf(const Labels& labels, absl::string_view name) {
  std::string_view value;
  if (labels[std::string_view(name.data(), name.size())].get(value) !=
      simdjson::SUCCESS) {
    return "";
  }
  return View(value);
}

bool Matches(const std::vector<labels::Matcher>& matchers,
             const Labels& labels) {
  return std::all_of(matchers.begin(), matchers.end(),
                     [&labels](const labels::Matcher& matcher) {
                       return matcher.Matches(LabelOf(labels, matcher.name()));
                     });
}

// Labels of an object, none of which comes twice.
absl::StatusOr<Labels> LabelsAt(const element& object) {
  element value;
  Labels labels;
  if (object["labels"].get(value) != simdjson::SUCCESS ||
      !IsObjectOfStrings(value) || value.get(labels) != simdjson::SUCCESS) {
    return NotRules();
  }
  std::set<std::string_view> names;
  for (const auto field : labels) {
    if (!names.insert(field.key).second) return NotRules();
  }
  return labels;
}

// Whether the tenant may read all that has these labels, whatever its name.
bool IsRuleVisible(const Labels& labels, const tenancy::ReadPolicy& reads) {
  return std::any_of(reads.clauses().begin(), reads.clauses().end(),
                     [&labels](const std::vector<labels::Matcher>& clause) {
                       return Matches(clause, labels) &&
                              std::none_of(clause.begin(), clause.end(),
                                           [](const labels::Matcher& matcher) {
                                             return matcher.name() ==
                                                    labels::kMetricName;
                                           });
                     });
}

// The alerts of `array` that the tenant may see, and the gravest state of them.
struct Alerts {
  std::string json;
  std::string state = "inactive";
  bool all = true;
};

absl::StatusOr<Alerts> FilterAlerts(const simdjson::dom::array& array,
                                    const tenancy::ReadPolicy& reads) {
  Alerts alerts;
  JsonArray kept;
  for (const element alert : array) {
    if (!alert.is_object()) return NotRules();
    ASSIGN_OR_RETURN(const Labels labels, LabelsAt(alert));
    if (!IsVisibleAs(kAlertsMetric, labels, reads)) {
      alerts.all = false;
      continue;
    }
    JsonObject copy;
    for (const char* name : {"labels", "annotations", "state", "activeAt",
                             "keepFiringSince", "value"}) {
      copy.Copy(alert, name);
    }
    const absl::string_view state = StringAt(alert, "state");
    if (state == "firing" || alerts.state == "inactive") {
      alerts.state = std::string(state);
    }
    kept.Add(std::move(copy).Finish());
  }
  alerts.json = std::move(kept).Finish();
  return alerts;
}

bool Contains(const std::set<std::string>& wanted, absl::string_view text) {
  return wanted.empty() || wanted.count(std::string(text)) > 0;
}

// The rule as the tenant sees it, or nothing.
absl::StatusOr<std::optional<std::string>> FilterRule(
    const element& rule, const RulesRequest& request,
    const tenancy::ReadPolicy& reads) {
  if (!rule.is_object()) return NotRules();
  ASSIGN_OR_RETURN(const Labels labels, LabelsAt(rule));
  const absl::string_view type = StringAt(rule, "type");
  const bool alerting = type == "alerting";
  if (!alerting && type != "recording") return NotRules();
  if (!IsRuleVisible(labels, reads) || (request.type == "alert" && !alerting) ||
      (request.type == "record" && alerting) ||
      !Contains(request.names, StringAt(rule, "name")) ||
      (!request.matches.empty() &&
       std::none_of(request.matches.begin(), request.matches.end(),
                    [&labels](const auto& matchers) {
                      return Matches(matchers, labels);
                    }))) {
    return std::nullopt;
  }
  JsonObject copy;
  if (alerting) {
    simdjson::dom::array array;
    Alerts alerts;
    if (rule["alerts"].get(array) == simdjson::SUCCESS) {
      ASSIGN_OR_RETURN(alerts, FilterAlerts(array, reads));
    }
    if (alerts.all) {
      copy.Copy(rule, "state");
    } else {
      copy.Add("state", JsonString(alerts.state));
    }
    const bool none = request.exclude_alerts || alerts.json.empty();
    copy.Add("alerts", none ? "[]" : alerts.json);
  }
  for (const char* name :
       {"name", "query", "duration", "keepFiringFor", "labels", "annotations",
        "health", "evaluationTime", "lastEvaluation", "type"}) {
    copy.Copy(rule, name);
  }
  if (request.show_errors) copy.Copy(rule, "lastError");
  return std::move(copy).Finish();
}

// What a page that begins with this group is asked for by. Says nothing of the
// groups that are not shown.
std::string TokenOf(const element& group) {
  return absl::BytesToHexString(tenancy::Sha256(
      absl::StrCat(StringAt(group, "file"), ";", StringAt(group, "name"))));
}

class RulesFilter {
 public:
  RulesFilter(const RulesRequest& request, const tenancy::ReadPolicy& reads)
      : request_(request),
        reads_(reads),
        begun_(request.group_next_token.empty()) {}

  absl::Status Add(const element& group) {
    simdjson::dom::array rules;
    if (!group.is_object() || group["rules"].get(rules) != simdjson::SUCCESS) {
      return NotRules();
    }
    if (!Contains(request_.groups, StringAt(group, "name")) ||
        !Contains(request_.files, StringAt(group, "file"))) {
      return absl::OkStatus();
    }
    JsonArray kept;
    for (const element rule : rules) {
      std::optional<std::string> copy;
      ASSIGN_OR_RETURN(copy, FilterRule(rule, request_, reads_));
      if (copy.has_value()) kept.Add(*copy);
    }
    if (kept.empty() || !BelongsToPage(group)) return absl::OkStatus();
    JsonObject copy;
    for (const char* name : {"name", "file", "interval", "limit",
                             "evaluationTime", "lastEvaluation"}) {
      copy.Copy(group, name);
    }
    copy.Add("rules", std::move(kept).Finish());
    groups_.Add(std::move(copy).Finish());
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Finish() && {
    if (!begun_) {
      return absl::InvalidArgumentError(
          absl::StrCat("invalid group_next_token '",
                       absl::CHexEscape(request_.group_next_token),
                       "'. were rule groups changed?"));
    }
    JsonObject data;
    data.Add("groups", std::move(groups_).Finish());
    if (!next_token_.empty()) {
      data.Add("groupNextToken", JsonString(next_token_));
    }
    return std::move(data).Finish();
  }

 private:
  // Of a group that has something to show.
  bool BelongsToPage(const element& group) {
    if (!begun_ && TokenOf(group) == request_.group_next_token) begun_ = true;
    if (!begun_ || !next_token_.empty()) return false;
    if (request_.group_limit.has_value() && count_ == *request_.group_limit) {
      next_token_ = TokenOf(group);
      return false;
    }
    ++count_;
    return true;
  }

  const RulesRequest& request_;
  const tenancy::ReadPolicy& reads_;
  bool begun_;
  size_t count_ = 0;
  std::string next_token_;
  JsonArray groups_;
};

absl::Status ParsePages(const ApiParams& params, RulesRequest* request) {
  const absl::string_view limit = params.Get("group_limit");
  request->group_next_token = std::string(params.Get("group_next_token"));
  if (limit.empty()) {
    if (request->group_next_token.empty()) return absl::OkStatus();
    return Invalid("group_limit",
                   "group_limit needs to be present in order to paginate over "
                   "the groups");
  }
  uint32_t number = 0;
  if (!absl::SimpleAtoi(limit, &number) || number == 0) {
    return Invalid("group_limit", "group_limit needs to be greater than 0");
  }
  request->group_limit = number;
  return absl::OkStatus();
}

std::set<std::string> SetOf(std::vector<std::string> texts) {
  return {texts.begin(), texts.end()};
}

}  // namespace

absl::StatusOr<RulesRequest> ParseRulesRequest(
    const ApiParams& params, const promql::ParseOptions& options) {
  RulesRequest request;
  request.type = absl::AsciiStrToLower(params.Get("type"));
  if (!request.type.empty() && request.type != "alert" &&
      request.type != "record") {
    return Invalid("type", absl::StrCat("not supported value ",
                                        JsonString(params.Get("type"))));
  }
  request.names = SetOf(params.All("rule_name[]"));
  request.groups = SetOf(params.All("rule_group[]"));
  request.files = SetOf(params.All("file[]"));
  const absl::string_view exclude = params.Get("exclude_alerts");
  if (!exclude.empty() && !absl::SimpleAtob(exclude, &request.exclude_alerts)) {
    return Invalid(
        "exclude_alerts",
        absl::StrCat("error converting to boolean: ", JsonString(exclude)));
  }
  RETURN_IF_ERROR(ParsePages(params, &request));
  for (const std::string& text : params.matches) {
    absl::StatusOr<std::vector<labels::Matcher>> matchers =
        promql::ParseMetricSelector(text, options);
    if (!matchers.ok()) {
      return Annotate(matchers.status(), "invalid parameter \"match[]\"");
    }
    request.matches.push_back(*std::move(matchers));
  }
  return request;
}

DataReader ReadRules(RulesRequest request, SharedReads reads) {
  // Matchers are not for moving about with each copy of a reader.
  const auto shared = std::make_shared<const RulesRequest>(std::move(request));
  return [shared, reads = std::move(reads)](const element& data) -> Read {
    simdjson::dom::array groups;
    if (!data.is_object() || data["groups"].get(groups) != simdjson::SUCCESS) {
      return NotRules();
    }
    RulesFilter filter(*shared, *reads);
    for (const element group : groups) RETURN_IF_ERROR(filter.Add(group));
    return std::move(filter).Finish();
  };
}

DataReader ReadAlerts(SharedReads reads) {
  return [reads = std::move(reads)](const element& data) -> Read {
    simdjson::dom::array array;
    if (!data.is_object() || data["alerts"].get(array) != simdjson::SUCCESS) {
      return absl::InternalError("data is not a list of alerts");
    }
    ASSIGN_OR_RETURN(const Alerts alerts, FilterAlerts(array, *reads));
    JsonObject copy;
    copy.Add("alerts", alerts.json);
    return std::move(copy).Finish();
  };
}

}  // namespace insula::query_frontend
