#include "services/query_frontend/policy.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/labels/matcher.h"
#include "libs/promql/ast.h"
#include "libs/promql/confine.h"
#include "libs/promql/confine_union.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/promql/visit.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/endpoints.h"

namespace insula::query_frontend {
namespace {

namespace v1 = ::insula::registry::v1;

constexpr size_t kMaxMatches = 100;
constexpr size_t kMaxSelectors = 1000;  // match[] that are sent.
constexpr absl::string_view kNothing =
    R"({__name__="__denied__",__name__!="__denied__"})";

absl::Status Denied(const tenancy::Tenant& tenant, absl::string_view what) {
  return absl::PermissionDeniedError(
      absl::StrCat("insula: tenant ", tenant.id.value(), " ", what));
}

absl::Status SetIsolation(const tenancy::Tenant& tenant,
                          const v1::Upstream& spec, Policy* policy) {
  switch (spec.isolation()) {
    case v1::Upstream::ISOLATION_LABEL:
      if (tenant.spec.enforced_labels().empty()) {
        return Denied(
            tenant,
            absl::StrCat("has no enforced label, but its upstream ",
                         policy->upstream_id,
                         " isolates by label; set Tenant.enforced_labels"));
      }
      return absl::OkStatus();
    case v1::Upstream::ISOLATION_HEADER:
      policy->tenant_header = tenancy::TenantHeaderOf(spec);
      policy->org_id = tenant.org_id();
      return absl::OkStatus();
    default:
      return Denied(tenant,
                    absl::StrCat("has the upstream ", policy->upstream_id,
                                 ", which does not say how it isolates;"
                                 " set Upstream.isolation"));
  }
}

// Expressions cost time to compile, so their number and size are bounded.
absl::Status CheckSize(const std::vector<std::string>& matches,
                       const Policy& policy) {
  size_t bytes = 0;
  for (const std::string& text : matches) bytes += text.size();
  if (matches.size() > kMaxMatches || bytes > policy.max_query_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "insula: tenant ", policy.tenant_id, ": ", matches.size(),
        " match[] of ", bytes, " bytes, the limits are ", kMaxMatches,
        " and max_query_bytes, which is ", policy.max_query_bytes,
        "; ask for less at once or have Limits.max_query_bytes raised"));
  }
  return absl::OkStatus();
}

// A VictoriaMetrics takes the value for a pattern of Graphite, which is no
// matcher of a label.
constexpr absl::string_view kGraphite = "__graphite__";

bool HoldsGraphite(const promql::Clause& matchers) {
  return std::any_of(matchers.begin(), matchers.end(),
                     [](const labels::Matcher& matcher) {
                       return matcher.name() == kGraphite;
                     });
}

// Whether the store of `policy` reads the selector as a Prometheus does.
absl::Status CheckMeaning(const promql::Clause& selector,
                          const Policy& policy) {
  if (!policy.victoria_metrics || !HoldsGraphite(selector)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "insula: tenant ", policy.tenant_id, ": a matcher on ", kGraphite,
      " means something else to the VictoriaMetrics of upstream ",
      policy.upstream_id, "; leave it out"));
}

// One match[]: what the tenant sees of what the user wrote. None: nothing.
absl::StatusOr<promql::Clauses> ConfineMatch(const std::string& text,
                                             const Policy& policy) {
  ASSIGN_OR_RETURN(const promql::Clause selector,
                   promql::ParseMetricSelector(text, ParseOptionsOf(policy)));
  if (std::all_of(selector.begin(), selector.end(),
                  [](const labels::Matcher& matcher) {
                    return matcher.MatchesEmpty();
                  })) {
    return absl::InvalidArgumentError(
        "match[] must contain at least one non-empty matcher");
  }
  RETURN_IF_ERROR(CheckMeaning(selector, policy));
  return ConfineSelector(selector, policy);
}

// Whether the answer is series as they are stored.
bool IsRaw(const promql::Expr* expr) {
  while (expr->kind == promql::ExprKind::kParen) {
    expr = static_cast<const promql::Paren*>(expr)->expr.get();
  }
  return expr->kind == promql::ExprKind::kVectorSelector ||
         expr->kind == promql::ExprKind::kMatrixSelector;
}

// Selectors of distinct texts, within bounds.
class SelectorTexts {
 public:
  // False if they are too many.
  bool Add(const promql::Clauses& selectors) {
    for (const promql::Clause& selector : selectors) {
      std::string text = promql::PrintSelector(selector);
      if (std::find(texts_.begin(), texts_.end(), text) != texts_.end()) {
        continue;
      }
      bytes_ += text.size();
      texts_.push_back(std::move(text));
    }
    return texts_.size() <= kMaxSelectors &&
           bytes_ <= promql::kMaxConfinedBytes;
  }
  std::vector<std::string>& texts() { return texts_; }

 private:
  size_t bytes_ = 0;
  std::vector<std::string> texts_;
};

absl::Status TooMany(const Policy& policy, absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(
      "insula: tenant ", policy.tenant_id, ": ", what,
      ", confined to what the tenant reads, are more than ", kMaxSelectors,
      " selectors or ", promql::kMaxConfinedBytes,
      " bytes; ask for less at once, or with the name of a metric"));
}

absl::StatusOr<promql::ExprPtr> ParseQuery(absl::string_view query,
                                           const Policy& policy) {
  RETURN_IF_ERROR(CheckQueryBytes(query, policy));
  absl::StatusOr<promql::ExprPtr> parsed =
      promql::Parse(query, ParseOptionsOf(policy));
  if (!parsed.ok()) {
    return Annotate(parsed.status(), "invalid parameter \"query\"");
  }
  RETURN_IF_ERROR(CheckMeaning(**parsed, policy));
  return parsed;
}

// Fills `confined` with what any store understands.
absl::Status ConfineInText(absl::string_view query, promql::ExprPtr parsed,
                           const Policy& policy, ConfinedQuery* confined) {
  ASSIGN_OR_RETURN(confined->texts,
                   promql::ConfineParsedToTexts(
                       query, std::move(parsed), policy.reads->clauses(),
                       ParseOptionsOf(policy), promql::AbsentLabels::kOfQuery,
                       &confined->unlike));
  return absl::OkStatus();
}

// And with what a VictoriaMetrics does.
absl::Status ConfineWithFilters(absl::string_view query, promql::ExprPtr parsed,
                                const Policy& policy, ConfinedQuery* confined) {
  ASSIGN_OR_RETURN(promql::FilteredQuery filtered,
                   promql::ConfineParsedToFilters(query, std::move(parsed),
                                                  policy.reads->clauses(),
                                                  ParseOptionsOf(policy)));
  // MetricsQL alone has WITH: another store, which would pass over the filters,
  // refuses it.
  if (filtered.needs_filters) filtered.text.insert(0, "WITH () ");
  confined->texts.push_back(std::move(filtered.text));
  confined->filters = std::move(filtered.filters);
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMeaning(const promql::Expr& expr, const Policy& policy) {
  if (!policy.victoria_metrics) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<const promql::VectorSelector*> selectors,
                   promql::Selectors(expr));
  for (const promql::VectorSelector* const selector : selectors) {
    RETURN_IF_ERROR(CheckMeaning(selector->matchers, policy));
  }
  return absl::OkStatus();
}

absl::StatusOr<Policy> PolicyOf(const tenancy::Tenant& tenant,
                                const tenancy::Snapshot& snapshot,
                                Pools* pools) {
  Policy policy;
  policy.tenant_id = tenant.id.value();
  policy.tenant_uid = tenant.uid;
  if (!tenant.may_read()) {
    return Denied(tenant, "is suspended, its operator can lift that");
  }
  const v1::Limits& limits = snapshot.LimitsOf(tenant);
  policy.max_query_bytes = limits.max_query_bytes();
  policy.limits = QueryLimitsOf(limits);
  policy.upstream_id = tenant.spec.upstream_id();
  if (policy.upstream_id.empty()) {
    return Denied(tenant, "has no store, set Tenant.upstream_id");
  }
  const tenancy::Upstream* upstream = snapshot.FindUpstream(policy.upstream_id);
  if (upstream == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("insula: upstream ", policy.upstream_id, " of tenant ",
                     policy.tenant_id, " is not known here, apply it"));
  }
  if (upstream->spec.query_url().empty()) {
    return Denied(tenant,
                  absl::StrCat("can't read: its upstream ", policy.upstream_id,
                               " takes no queries, set Upstream.query_url"));
  }
  policy.timeout = tenancy::ReadTimeoutOf(upstream->spec);

  RETURN_IF_ERROR(SetIsolation(tenant, upstream->spec, &policy));
  policy.reads = tenancy::ReadPolicyOf(snapshot, tenant);
  if (policy.reads->reads_nothing()) {
    return Denied(tenant,
                  absl::StrCat("can't read anything: ",
                               absl::StrJoin(policy.reads->notes(), "; ")));
  }
  policy.pool = pools->Of(*upstream);
  RETURN_IF_ERROR(policy.pool->usable());
  policy.dialect = policy.pool->dialect();
  policy.victoria_metrics = upstream->spec.query_store() ==
                            v1::Upstream::QUERY_STORE_VICTORIA_METRICS;
  if (policy.victoria_metrics) {
    policy.takes_filters = policy.pool->takes_filters();
    const auto& clauses = policy.reads->clauses();
    if (std::any_of(clauses.begin(), clauses.end(), HoldsGraphite)) {
      return Denied(tenant, absl::StrCat("is granted series by ", kGraphite,
                                         ", which means something else to the "
                                         "VictoriaMetrics of its upstream ",
                                         policy.upstream_id,
                                         "; take it out of the Access"));
    }
  }
  return policy;
}

promql::ParseOptions ParseOptionsOf(const Policy& policy) {
  promql::ParseOptions options;
  options.max_bytes = policy.max_query_bytes;
  options.dialect = policy.dialect;
  return options;
}

promql::Clauses ConfineSelector(const promql::Clause& selector,
                                const Policy& policy) {
  if (policy.reads->reads_whole_store()) return {selector};
  return promql::UniteSelector(selector, policy.reads->clauses());
}

absl::StatusOr<std::vector<std::string>> ConfineMatches(
    const std::vector<std::string>& matches, const Policy& policy) {
  RETURN_IF_ERROR(CheckSize(matches, policy));
  SelectorTexts confined;
  if (matches.empty() && !policy.reads->reads_whole_store()) {
    confined.Add(policy.reads->clauses());
  }
  for (const std::string& text : matches) {
    const absl::StatusOr<promql::Clauses> selectors =
        ConfineMatch(text, policy);
    if (!selectors.ok()) {
      return Annotate(selectors.status(), "invalid parameter \"match[]\"");
    }
    if (!confined.Add(*selectors)) return TooMany(policy, "match[]");
  }
  // No match[] at all would select everything.
  if (confined.texts().empty() && !policy.reads->reads_whole_store()) {
    confined.texts().emplace_back(kNothing);
  }
  return std::move(confined.texts());
}

absl::Status CheckQueryBytes(absl::string_view query, const Policy& policy) {
  if (query.size() <= policy.max_query_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "insula: tenant ", policy.tenant_id, ": the query has ", query.size(),
      " bytes, the limit max_query_bytes is ", policy.max_query_bytes,
      "; shorten it or have Limits.max_query_bytes raised"));
}

absl::StatusOr<ConfinedQuery> ConfineQuery(absl::string_view query,
                                           const ApiParams& params,
                                           const Policy& policy) {
  ASSIGN_OR_RETURN(promql::ExprPtr parsed, ParseQuery(query, policy));
  ConfinedQuery confined;
  ASSIGN_OR_RETURN(confined.cost, CostOf(*parsed, params));
  RETURN_IF_ERROR(
      CheckCost(confined.cost, params, policy.tenant_id, policy.limits));
  if (params.step > absl::ZeroDuration()) {
    ASSIGN_OR_RETURN(confined.traits, range_cache::TraitsOf(*parsed));
  }
  confined.raw = IsRaw(parsed.get());
  if (policy.reads->reads_whole_store()) {
    // Nothing is added, but what is sent is our text of what was understood.
    confined.texts.push_back(promql::Print(*parsed));
    return confined;
  }
  const absl::Status made =
      policy.takes_filters
          ? ConfineWithFilters(query, std::move(parsed), policy, &confined)
          : ConfineInText(query, std::move(parsed), policy, &confined);
  if (made.ok()) return confined;
  if (!absl::IsInvalidArgument(made)) return Annotate(made, "insula: query");
  // A Prometheus would take it, so that it is not the text that is at fault.
  return absl::FailedPreconditionError(
      absl::StrCat("insula: tenant ", policy.tenant_id,
                   ": the query can't be confined to what the tenant reads: ",
                   made.message()));
}

absl::StatusOr<ConfinedQuery> ConfineSelectors(absl::string_view query,
                                               const ApiParams& params,
                                               const Policy& policy) {
  ASSIGN_OR_RETURN(const promql::ExprPtr parsed, ParseQuery(query, policy));
  ConfinedQuery question;
  ASSIGN_OR_RETURN(question.cost, CostOf(*parsed, params));
  RETURN_IF_ERROR(
      CheckCost(question.cost, params, policy.tenant_id, policy.limits));
  ASSIGN_OR_RETURN(const std::vector<promql::VectorSelector*> selectors,
                   promql::Selectors(*parsed));
  SelectorTexts confined;
  for (const promql::VectorSelector* const selector : selectors) {
    if (!confined.Add(ConfineSelector(selector->matchers, policy))) {
      return TooMany(policy, "the selectors of the query");
    }
  }
  question.texts.push_back(confined.texts().empty()
                               ? std::string(kNothing)
                               : absl::StrJoin(confined.texts(), " or "));
  return question;
}

}  // namespace insula::query_frontend
