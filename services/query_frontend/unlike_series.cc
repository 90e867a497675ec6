#include "services/query_frontend/unlike_series.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "libs/labels/matcher.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/promql/visit.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/json_copy.h"
#include "services/query_frontend/planted_faults.h"
#include "services/query_frontend/prometheus_time.h"

namespace insula::query_frontend {
namespace {

using simdjson::dom::element;
using Read = absl::StatusOr<std::optional<std::string>>;

constexpr absl::Duration kMargin = absl::Hours(1);

// Of what Prometheus takes for a time.
constexpr int64_t kFirstSecond = -62'135'596'800;
constexpr int64_t kLastSecond = 253'402'300'799;

constexpr size_t kMaxShown = 200;

// Labels that say what a metric is, and go with its name.
bool GoesWithName(absl::string_view label) {
  return label == labels::kMetricName || label == "__type__" ||
         label == "__unit__";
}

void Reach(const promql::Modifiers& modifiers, Unlike* unlike) {
  (modifiers.offset > absl::ZeroDuration() ? unlike->before : unlike->after) +=
      absl::AbsDuration(modifiers.offset);
  if (modifiers.at == promql::Modifiers::At::kTime) {
    unlike->first_at =
        std::min(unlike->first_at.value_or(modifiers.time), modifiers.time);
    unlike->last_at =
        std::max(unlike->last_at.value_or(modifiers.time), modifiers.time);
  }
}

// Adds up what is nested and what is not, which is never too little. False for
// what is calculated by the store.
bool Reach(const promql::Expr& expr, Unlike* unlike) {
  switch (expr.kind) {
    case promql::ExprKind::kVectorSelector: {
      const auto& selector = static_cast<const promql::VectorSelector&>(expr);
      Reach(selector.modifiers, unlike);
      return selector.modifiers.offset_expression.empty();
    }
    case promql::ExprKind::kMatrixSelector: {
      const auto& range = static_cast<const promql::MatrixSelector&>(expr);
      unlike->before += range.window;
      return range.window_expression.empty();
    }
    case promql::ExprKind::kSubquery: {
      const auto& subquery = static_cast<const promql::Subquery&>(expr);
      unlike->before += subquery.window + subquery.step;
      Reach(subquery.modifiers, unlike);
      return subquery.window_expression.empty() &&
             subquery.step_expression.empty() &&
             subquery.modifiers.offset_expression.empty();
    }
    default:
      return true;
  }
}

std::string SecondsOf(absl::Time time) {
  return absl::StrCat(
      std::clamp(absl::ToUnixSeconds(time), kFirstSecond, kLastSecond));
}

UpstreamQuery Ask(const Unlike& unlike, size_t index, const Policy& policy,
                  absl::Time now) {
  const absl::Time start = unlike.start.value_or(now);
  const absl::Time end = unlike.end.value_or(now);
  UpstreamQuery query;
  query.params = {
      {"start", SecondsOf(std::min(start, unlike.first_at.value_or(start)) -
                          unlike.before)},
      {"end", SecondsOf(std::max(end, unlike.last_at.value_or(end)) +
                        unlike.after + absl::Seconds(1))}};
  // Several of which each has a matcher, or the selector would not be one of
  // several arms.
  const promql::Clauses matches =
      ConfineSelector(unlike.selectors[index], policy);
  query.cost = static_cast<double>(matches.size());
  for (const promql::Clause& match : matches) {
    query.params.emplace_back("match[]", promql::PrintSelector(match));
  }
  return query;
}

std::string WithLength(absl::string_view text) {
  return absl::StrCat(text.size(), ":", text);
}

Read CompareNames(const element& data, ComparedSeries* compared) {
  simdjson::dom::array names;
  if (data.get(names) != simdjson::SUCCESS) {
    return absl::InternalError("data is not a list of strings");
  }
  std::optional<std::string_view> first;
  for (const element item : names) {
    std::string_view name;
    if (item.get(name) != simdjson::SUCCESS) {
      return absl::InternalError("data is not a list of strings");
    }
    if (first.value_or(name) != name) compared->several_names = true;
    first = name;
  }
  return std::nullopt;
}

// Of objects of strings.
Read CompareSeries(const simdjson::dom::array& all, ComparedSeries* compared) {
  if (all.size() > kMaxCompared) {
    compared->too_many = true;
    return std::nullopt;
  }
  absl::flat_hash_map<std::string, std::string> names;  // By other labels.
  std::vector<std::pair<absl::string_view, absl::string_view>> labels;
  for (const element series : all) {
    labels.clear();
    const simdjson::dom::object object = series.get_object().value_unsafe();
    for (const auto field : object) {
      labels.emplace_back(View(field.key),
                          View(field.value.get_string().value_unsafe()));
    }
    std::sort(labels.begin(), labels.end());
    std::string name;
    std::string others;
    for (const auto& [label, value] : labels) {
      absl::StrAppend(GoesWithName(label) ? &name : &others, WithLength(label),
                      WithLength(value));
    }
    const auto [known, added] = names.emplace(std::move(others), name);
    if (!added && known->second != name) compared->alike = true;
  }
#ifdef INSULA_PLANT_FAULTS
  if (promql::IsPlanted("alike_series")) compared->alike = false;
#endif
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Unlike>> MakeUnlike(
    const ApiParams& params, const Policy& policy, promql::Clauses selectors) {
  auto unlike = std::make_shared<Unlike>();
  unlike->selectors = std::move(selectors);
  if (unlike->selectors.size() > kMaxUnlike) {
    return CannotTellApart(
        *unlike, kMaxUnlike, policy,
        absl::StrCat("as ", kMaxUnlike, " others of the query"));
  }
  unlike->start = params.start;
  unlike->end = params.end;
  const absl::string_view time = params.Get("time");
  if (!params.start.has_value() && !time.empty()) {
    ASSIGN_OR_RETURN(unlike->start, ParseTime(time));
    unlike->end = unlike->start;
  }
  unlike->before = unlike->after = std::max(params.lookback, kMargin);
  ASSIGN_OR_RETURN(const promql::ExprPtr query,
                   promql::Parse(params.query, ParseOptionsOf(policy)));
  bool known = true;
  RETURN_IF_ERROR(promql::Visit(static_cast<const promql::Expr&>(*query),
                                [&known, &unlike](const promql::Expr& expr) {
                                  known = Reach(expr, unlike.get()) && known;
                                  return absl::OkStatus();
                                }));
  if (!known) {
    return CannotTellApart(*unlike, 0, policy,
                           "in a query that calculates durations");
  }
  return unlike;
}

UpstreamQuery AskForNames(const Unlike& unlike, size_t index,
                          const Policy& policy, absl::Time now,
                          std::shared_ptr<ComparedSeries> compared) {
  UpstreamQuery query = Ask(unlike, index, policy, now);
  query.endpoint = Endpoint::kLabelValues;
  query.label_name = std::string(labels::kMetricName);
  query.read_data = [compared = std::move(compared)](const element& data) {
    return CompareNames(data, compared.get());
  };
  return query;
}

UpstreamQuery AskForSeries(const Unlike& unlike, size_t index,
                           const Policy& policy, absl::Time now,
                           std::shared_ptr<ComparedSeries> compared) {
  UpstreamQuery query = Ask(unlike, index, policy, now);
  query.endpoint = Endpoint::kSeries;
  query.read_data =
      [compared = std::move(compared),
       check = ReadSeries(policy.reads)](const element& data) -> Read {
    RETURN_IF_ERROR(check(data).status());
    const simdjson::dom::array all = data.get_array().value_unsafe();
    for (const element series : all) {
      if (!IsObjectOfStrings(series)) {
        return absl::InternalError("data is not a list of series");
      }
    }
    return CompareSeries(all, compared.get());
  };
  return query;
}

absl::Status CannotTellApart(const Unlike& unlike, size_t index,
                             const Policy& policy, absl::string_view why) {
  std::string shown = promql::PrintSelector(unlike.selectors[index]);
  if (shown.size() > kMaxShown) {
    size_t end = kMaxShown;
    while ((static_cast<unsigned char>(shown[end]) & 0xC0) == 0x80) --end;
    shown = absl::StrCat(shown.substr(0, end), "...");
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "insula: tenant ", policy.tenant_id,
      ": the query can't be confined to what the tenant reads: the selector ",
      shown, " is a union of grants below a function that drops the name, ",
      why, "; add a metric name"));
}

}  // namespace insula::query_frontend
