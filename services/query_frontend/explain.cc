#include "services/query_frontend/explain.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/auth/auth.h"
#include "libs/labels/matcher.h"
#include "libs/promql/printer.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/read_policy.h"
#include "libs/tenancy/tenant_id.h"
#include "services/query_frontend/policy.h"

namespace insula::query_frontend {
namespace {

namespace v1 = query::v1;

// `name="value"`: a selector without its braces.
std::string MatcherText(const labels::Matcher& matcher) {
  const std::string selector = promql::PrintSelector({matcher});
  return selector.substr(1, selector.size() - 2);
}

}  // namespace

absl::StatusOr<v1::ExplainResponse> ExplainQuery(
    const v1::ExplainRequest& request, const tenancy::Snapshot& snapshot,
    Pools* pools) {
  RETURN_IF_ERROR(auth::CheckKnown(&snapshot));
  const tenancy::Tenant* const tenant =
      snapshot.FindTenant(request.tenant_id());
  if (tenant == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("there is no tenant '",
                     absl::CHexEscape(request.tenant_id().substr(
                         0, tenancy::TenantId::kMaxLength)),
                     "'"));
  }
  const absl::StatusOr<Policy> policy = PolicyOf(*tenant, snapshot, pools);
  if (!policy.ok()) {
    return absl::FailedPreconditionError(policy.status().message());
  }
  v1::ExplainResponse response;
  ASSIGN_OR_RETURN(const ConfinedQuery confined,
                   ConfineQuery(request.query(), ApiParams(), *policy));
  const std::vector<std::string>& texts = confined.texts;
  response.set_query(texts.front());
  response.mutable_queries()->Assign(texts.begin(), texts.end());
  response.mutable_extra_filters()->Assign(confined.filters.begin(),
                                           confined.filters.end());
  for (const promql::Clause& selector : confined.unlike) {
    response.add_unlike(promql::PrintSelector(selector));
  }
  const tenancy::ReadPolicy& reads = *policy->reads;
  for (const tenancy::Clause& clause : reads.clauses()) {
    response.add_clauses(promql::PrintSelector(clause));
  }
  if (reads.clauses().size() == 1) {
    for (const labels::Matcher& matcher : reads.clauses().front()) {
      response.add_enforced_matchers(MatcherText(matcher));
    }
  }
  response.mutable_access_ids()->Assign(reads.access_ids().begin(),
                                        reads.access_ids().end());
  response.mutable_notes()->Assign(reads.notes().begin(), reads.notes().end());
  response.set_upstream_id(policy->upstream_id);
  const tenancy::Upstream* const upstream =
      snapshot.FindUpstream(policy->upstream_id);
  response.set_query_url(upstream->spec.query_url());
  response.set_tenant_header(policy->tenant_header);
  response.set_org_id(policy->org_id);
  return response;
}

}  // namespace insula::query_frontend
