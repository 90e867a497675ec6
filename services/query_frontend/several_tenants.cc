#include "services/query_frontend/several_tenants.h"

#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/labels/matcher.h"
#include "libs/promql/ast.h"
#include "libs/promql/clone.h"
#include "libs/promql/confine.h"
#include "libs/promql/confine_union.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/promql/quote.h"
#include "libs/promql/visit.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::query_frontend {
namespace {

using promql::ExprKind;
using promql::ExprPtr;
using simdjson::dom::element;
using Matchers = std::vector<labels::Matcher>;

constexpr size_t kMaxCloneBytes = 64 << 20;
constexpr absl::string_view kNothing =
    R"({__name__="__denied__",__name__!="__denied__"})";

absl::Status Refused(absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("insula: ", why));
}

// Takes the matchers on the tenant label away. False if one of them does not
// match `tenant_id`.
bool TakeTenantMatchers(absl::string_view tenant_id, Matchers* matchers) {
  bool matches = true;
  const auto end = std::remove_if(
      matchers->begin(), matchers->end(), [&](const labels::Matcher& matcher) {
        if (matcher.name() != kTenantLabel) return false;
        matches = matches && matcher.Matches(tenant_id);
        return true;
      });
  matchers->erase(end, matchers->end());
  return matches;
}

const promql::Expr& Unwrap(const promql::Expr& expr) {
  const promql::Expr* inner = &expr;
  while (inner->kind == ExprKind::kParen) {
    inner = static_cast<const promql::Paren*>(inner)->expr.get();
  }
  return *inner;
}

std::string PutLabel(absl::string_view text, absl::string_view name,
                     absl::string_view value) {
  // `$` would stand for a group of the expression, which has none.
  std::string replacement;
  for (const char c : value) {
    replacement += c;
    if (c == '$') replacement += '$';
  }
  return absl::StrCat("label_replace(", text, ", ", promql::Quoted(name), ", ",
                      promql::Quoted(replacement), ", \"\", \"\")");
}

// The labels that absent() gives its answer: those of `=` matchers that are
// alone on their label.
std::string PutLabelsOfAbsence(std::string text, const Matchers& matchers) {
  for (const labels::Matcher& matcher : matchers) {
    const auto same = [&matcher](const labels::Matcher& other) {
      return other.name() == matcher.name();
    };
    if (matcher.type() != labels::MatchType::kEqual ||
        matcher.name() == labels::kMetricName ||
        std::count_if(matchers.begin(), matchers.end(), same) != 1) {
      continue;
    }
    text = PutLabel(text, matcher.name(), matcher.value());
  }
  return text;
}

class TenantsRewriter {
 public:
  explicit TenantsRewriter(const std::vector<Policy>& policies)
      : policies_(policies) {}

  absl::Status Rewrite(ExprPtr* root) {
    std::vector<ExprPtr*> open = {root};
    while (!open.empty()) {
      ExprPtr* const slot = open.back();
      open.pop_back();
      std::optional<std::string> text;
      ASSIGN_OR_RETURN(text, ReplacementOf(**slot));
      if (text.has_value()) {
        ASSIGN_OR_RETURN(*slot, promql::Parse(*text, Wide()));
        continue;
      }
      for (size_t i = 0; ExprPtr* const child = promql::ChildSlot(**slot, i);
           ++i) {
        open.push_back(child);
      }
    }
    return absl::OkStatus();
  }

  // All are tenants of one store.
  promql::ParseOptions Wide() const {
    promql::ParseOptions options;
    options.max_bytes = promql::kMaxConfinedBytes;
    options.max_tokens = size_t{1} << 20;
    options.max_depth = 1000;
    options.dialect = policies_.front().dialect;
    return options;
  }

 private:
  // What stands in place of `expr` and all below it; nothing if only what is
  // below is to be looked at.
  absl::StatusOr<std::optional<std::string>> ReplacementOf(
      const promql::Expr& expr) {
    if (expr.kind == ExprKind::kVectorSelector) return UnionOf(expr);
    if (expr.kind == ExprKind::kMatrixSelector) {
      return Refused(
          "a range selector by itself can't be asked for several tenants at "
          "once: ask for one, or take a function of it");
    }
    if (expr.kind != ExprKind::kCall) return std::nullopt;
    const auto& call = static_cast<const promql::Call&>(expr);
    const absl::string_view name = call.function->name;
    if (name == "info") return Refused("info() is not supported");
    for (const ExprPtr& arg : call.args) {
      const promql::Expr& inner = Unwrap(*arg);
      if (inner.kind == ExprKind::kMatrixSelector) {
        if (name == "absent_over_time") return AbsentOverTime(inner);
        return UnionOf(expr);
      }
      if (inner.kind != ExprKind::kVectorSelector) continue;
      if (name == "timestamp") return UnionOf(expr);
      if (name == "absent") return Absent(inner);
    }
    return std::nullopt;
  }

  // `unit` holds one selector: what each tenant sees of it, with its label.
  absl::StatusOr<std::string> UnionOf(const promql::Expr& unit) {
    std::vector<std::string> arms;
    for (const Policy& policy : policies_) {
      size_t budget = kMaxCloneBytes;
      const ExprPtr copy = promql::Clone(unit, &budget);
      if (copy == nullptr) return Refused("the query is too large");
      ASSIGN_OR_RETURN(const std::vector<promql::VectorSelector*> selectors,
                       promql::Selectors(*copy));
      if (selectors.size() != 1) {
        return Refused(absl::StrCat(
            "for several tenants at once no argument of a function of a range "
            "may hold a selector of its own, as in: ",
            promql::Print(unit).substr(0, 200)));
      }
      if (!TakeTenantMatchers(policy.tenant_id, &selectors[0]->matchers)) {
        continue;
      }
      const absl::StatusOr<std::string> text = promql::ConfineQueryToUnion(
          promql::Print(*copy), policy.reads->clauses(), Wide());
      if (!text.ok()) {
        return Refused(absl::StrCat(
            "tenant ", policy.tenant_id,
            ": the query can't be confined to what the tenant reads: ",
            text.status().message()));
      }
      arms.push_back(PutLabel(*text, kTenantLabel, policy.tenant_id));
    }
    if (arms.empty()) return std::string(kNothing);
    return absl::StrCat("(", absl::StrJoin(arms, " or "), ")");
  }

  absl::StatusOr<std::string> Absent(const promql::Expr& selector) {
    ASSIGN_OR_RETURN(const std::string present, UnionOf(selector));
    return PutLabelsOfAbsence(
        absl::StrCat("absent((", present, "))"),
        static_cast<const promql::VectorSelector&>(selector).matchers);
  }

  absl::StatusOr<std::string> AbsentOverTime(const promql::Expr& range) {
    const std::string text =
        absl::StrCat("present_over_time(", promql::Print(range), ")");
    ASSIGN_OR_RETURN(const ExprPtr call, promql::Parse(text, Wide()));
    ASSIGN_OR_RETURN(const std::string present, UnionOf(*call));
    return PutLabelsOfAbsence(
        absl::StrCat("(vector(1) unless on () ", present, ")"),
        static_cast<const promql::MatrixSelector&>(range).vector().matchers);
  }

  const std::vector<Policy>& policies_;
};

bool IsVectorSelector(const promql::Expr& expr) {
  return Unwrap(expr).kind == ExprKind::kVectorSelector;
}

// `labels` with the tenant's label.
absl::StatusOr<std::string> Tagged(const element& value,
                                   const std::string& tenant_id) {
  if (!IsObjectOfStrings(value)) {
    return absl::InternalError("labels that are no strings");
  }
  std::map<std::string_view, std::string_view> sorted;
  const simdjson::dom::object labels = value.get_object().value_unsafe();
  for (const auto field : labels) {
    sorted[field.key] = field.value.get_string().value_unsafe();
  }
  sorted[std::string_view(kTenantLabel.data(), kTenantLabel.size())] =
      tenant_id;
  JsonObject copy;
  for (const auto& [name, text] : sorted) {
    copy.Add(View(name), JsonString(View(text)));
  }
  return std::move(copy).Finish();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Policy>> JoinPolicies(
    const std::vector<Policy>& policies) {
  const Policy& first = policies.front();
  bool by_header = true;
  for (const Policy& policy : policies) {
    if (policy.upstream_id != first.upstream_id) {
      return Refused(absl::StrCat(
          "tenants ", first.tenant_id, " and ", policy.tenant_id,
          " have the upstreams ", first.upstream_id, " and ",
          policy.upstream_id, ": ask for those of one upstream at once"));
    }
    by_header = by_header && policy.reads->reads_whole_store() &&
                policy.org_id == policy.tenant_id;
  }
  if (first.tenant_header.empty()) return nullptr;
  if (!by_header || first.tenant_header != "X-Scope-OrgID") {
    return Refused(absl::StrCat(
        "upstream ", first.upstream_id,
        " keeps tenants apart by a header, and takes several in it only as "
        "X-Scope-OrgID, by their own ids: ask for one at a time"));
  }
  auto joined = std::make_unique<Policy>(first);
  for (size_t i = 1; i < policies.size(); ++i) {
    absl::StrAppend(&joined->tenant_id, "|", policies[i].tenant_id);
    absl::StrAppend(&joined->org_id, "|", policies[i].org_id);
    joined->max_query_bytes =
        std::min(joined->max_query_bytes, policies[i].max_query_bytes);
    joined->limits = Narrower(joined->limits, policies[i].limits);
  }
  return joined;
}

absl::StatusOr<ConfinedQuery> ConfineQueryForTenants(
    absl::string_view query, const ApiParams& params,
    const std::vector<Policy>& policies) {
  promql::ParseOptions options = ParseOptionsOf(policies.front());
  for (const Policy& policy : policies) {
    options.max_bytes = std::min(options.max_bytes, policy.max_query_bytes);
  }
  absl::StatusOr<ExprPtr> parsed = promql::Parse(query, options);
  if (!parsed.ok()) {
    return Annotate(parsed.status(), "invalid parameter \"query\"");
  }
  RETURN_IF_ERROR(CheckMeaning(**parsed, policies.front()));
  ConfinedQuery confined;
  ASSIGN_OR_RETURN(confined.cost, CostOf(**parsed, params));
  for (const Policy& policy : policies) {
    RETURN_IF_ERROR(
        CheckCost(confined.cost, params, policy.tenant_id, policy.limits));
  }
  confined.raw = IsVectorSelector(**parsed);
  RETURN_IF_ERROR(TenantsRewriter(policies).Rewrite(&*parsed));
  std::string text = promql::Print(**parsed);
  ASSIGN_OR_RETURN(const std::vector<promql::VectorSelector*> selectors,
                   promql::Selectors(**parsed));
  if (text.size() > promql::kMaxConfinedBytes ||
      selectors.size() > promql::kMaxUnionSelectors) {
    return Refused(absl::StrCat(
        "the query, confined to what ", policies.size(), " tenants read, has ",
        selectors.size(), " selectors and ", text.size(),
        " bytes, the limits are ", promql::kMaxUnionSelectors, " and ",
        promql::kMaxConfinedBytes, ": ask for fewer tenants at once"));
  }
  // What is sent must mean what was made.
  const absl::StatusOr<ExprPtr> again =
      promql::Parse(text, TenantsRewriter(policies).Wide());
  if (!again.ok() || promql::Print(**again) != text) {
    return absl::InternalError("insula: the confined query reads differently");
  }
  confined.texts.push_back(std::move(text));
  return confined;
}

DataReader ReadTenantsResult(bool range_query, bool raw,
                             const std::vector<Policy>& policies) {
  DataReader shape = ReadResult(range_query, false, nullptr);
  if (!raw) return shape;
  std::map<std::string, SharedReads> reads;
  for (const Policy& policy : policies) reads[policy.tenant_id] = policy.reads;
  return
      [shape = std::move(shape), reads = std::move(reads)](
          const element& data) -> absl::StatusOr<std::optional<std::string>> {
        ASSIGN_OR_RETURN(std::optional<std::string> same, shape(data));
        const simdjson::dom::array result =
            data["result"].get_array().value_unsafe();
        for (const element series : result) {
          element metric;
          if (!series.is_object() ||
              series["metric"].get(metric) != simdjson::SUCCESS ||
              !IsObjectOfStrings(metric)) {
            return absl::InternalError("data holds a series without labels");
          }
          const auto found =
              reads.find(std::string(StringAt(metric, kTenantLabel.data())));
          if (found == reads.end() ||
              !IsVisible(metric.get_object().value_unsafe(), *found->second)) {
            return absl::DataLossError("a series that the tenant may not read");
          }
        }
        return same;
      };
}

absl::StatusOr<bool> KeepMatchesOf(const Policy& policy, ApiParams* params) {
  if (params->matches.empty()) return true;
  const promql::ParseOptions options = ParseOptionsOf(policy);
  std::vector<std::string> kept;
  for (const std::string& text : params->matches) {
    absl::StatusOr<Matchers> matchers =
        promql::ParseMetricSelector(text, options);
    if (!matchers.ok()) {
      return Annotate(matchers.status(), "invalid parameter \"match[]\"");
    }
    const size_t given = matchers->size();
    if (!TakeTenantMatchers(policy.tenant_id, &*matchers)) continue;
    if (matchers->empty() && given > 0) {
      kept.emplace_back(R"({__name__=~".+"})");
    } else {
      kept.push_back(
          matchers->size() == given ? text : promql::PrintSelector(*matchers));
    }
  }
  params->matches = std::move(kept);
  return !params->matches.empty();
}

DataReader TenantsUnion::ReaderOf(std::shared_ptr<TenantsUnion> all,
                                  std::string tenant_id, DataReader check) {
  return
      [all = std::move(all), tenant_id = std::move(tenant_id),
       check = std::move(check)](
          const element& data) -> absl::StatusOr<std::optional<std::string>> {
        RETURN_IF_ERROR(check(data).status());
        RETURN_IF_ERROR(all->Add(tenant_id, data));
        return "[]";
      };
}

absl::Status TenantsUnion::AddText(std::string text) {
  bytes_ += text.size();
  if (bytes_ > max_bytes_) {
    return absl::ResourceExhaustedError("the answers together are too large");
  }
  texts_.insert(std::move(text));
  return absl::OkStatus();
}

absl::Status TenantsUnion::Add(const std::string& tenant_id,
                               const element& data) {
  simdjson::dom::array array;
  if (data.get(array) != simdjson::SUCCESS) {
    return absl::InternalError("data is not a list");
  }
  if (of_tenants_) {
    return array.size() > 0 ? AddText(JsonString(tenant_id)) : absl::OkStatus();
  }
  for (const element item : array) {
    std::string text = simdjson::minify(item);
    if (endpoint_ == Endpoint::kSeries) {
      ASSIGN_OR_RETURN(text, Tagged(item, tenant_id));
    }
    RETURN_IF_ERROR(AddText(std::move(text)));
  }
  if (endpoint_ == Endpoint::kLabels && array.size() > 0) {
    RETURN_IF_ERROR(AddText(JsonString(kTenantLabel)));
  }
  return absl::OkStatus();
}

std::string TenantsUnion::Finish(size_t limit) && {
  JsonArray data;
  size_t count = 0;
  for (const std::string& text : texts_) {
    if (limit > 0 && count == limit) break;
    data.Add(text);
    ++count;
  }
  return absl::StrCat(R"({"status":"success","data":)",
                      std::move(data).Finish(), "}");
}

}  // namespace insula::query_frontend
