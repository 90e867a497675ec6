// What a tenant may see, and where it is kept.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/promql/ast.h"
#include "libs/promql/clause_union.h"
#include "libs/promql/dialect.h"
#include "libs/promql/parser.h"
#include "libs/range_cache/query_traits.h"
#include "libs/tenancy/read_policy.h"
#include "libs/tenancy/snapshot.h"
#include "services/query_frontend/params.h"
#include "services/query_frontend/pools.h"
#include "services/query_frontend/query_limits.h"

namespace insula::query_frontend {

// Everything that decides about a tenant's queries, at one revision.
struct Policy {
  std::string tenant_id;
  std::string tenant_uid;
  // The series that the tenant sees; not null, and not nothing.
  std::shared_ptr<const tenancy::ReadPolicy> reads;
  size_t max_query_bytes = 0;
  QueryLimits limits;

  std::string upstream_id;
  std::shared_ptr<Pool> pool;     // Not null.
  promql::Dialect dialect;        // What the replicas of the pool understand.
  bool victoria_metrics = false;  // Whether they are said to be such.
  // Whether they take a union of selectors beside a query: `extra_filters[]`.
  bool takes_filters = false;
  absl::Duration timeout;
  // Not empty if the store isolates by header: its name and the tenant's.
  std::string tenant_header;
  std::string org_id;
};

// As it is handed on, one for all who work at a request; never null.
using SharedPolicy = std::shared_ptr<const Policy>;

// The policy of `tenant`, which is one of `snapshot`. What is not clear is
// denied, and the message names the object and the cure: PERMISSION_DENIED for
// a tenant without a store, without the labels that its store needs, or without
// anything to read, UNAVAILABLE while an object it refers to is missing.
absl::StatusOr<Policy> PolicyOf(const tenancy::Tenant& tenant,
                                const tenancy::Snapshot& snapshot,
                                Pools* pools);

// How the tenant's texts are read.
promql::ParseOptions ParseOptionsOf(const Policy& policy);

// FAILED_PRECONDITION if the store of `policy` reads a selector of `expr`
// otherwise than a Prometheus does.
absl::Status CheckMeaning(const promql::Expr& expr, const Policy& policy);

// match[] for the upstream: selectors which together select what the tenant
// sees of `matches`, each of which must be a selector with a matcher that does
// not match "" (before ours are added: Prometheus' rule). Without any, what it
// sees at all; none if that is the whole store. INVALID_ARGUMENT in Prometheus'
// words. FAILED_PRECONDITION when they become too many.
absl::StatusOr<std::vector<std::string>> ConfineMatches(
    const std::vector<std::string>& matches, const Policy& policy);

// A query, confined and printed anew.
struct ConfinedQuery {
  // At least one. Several only for a range selector by itself; their answers,
  // united, are the answer.
  std::vector<std::string> texts;
  // Sent beside them; see promql::FilteredQuery.
  std::vector<std::string> filters;
  // Of each of these no two series that the tenant sees may be alike but for
  // the name, or `texts` are not the query; see promql::ConfineParsedToTexts().
  promql::Clauses unlike;
  // It is one selector, perhaps in parentheses: its answer is series with all
  // their labels.
  bool raw = false;
  // Of the query as the tenant wrote it. Confinement adds no time to it.
  fair_queue::QueryCost cost;
  range_cache::QueryTraits traits;  // Of a range query.
};

// INVALID_ARGUMENT for a text over the tenant's limit.
absl::Status CheckQueryBytes(absl::string_view query, const Policy& policy);

// INVALID_ARGUMENT in Prometheus' words for what is no query.
// FAILED_PRECONDITION for one that can't be confined to what the tenant reads;
// see promql/confine_union.h. RESOURCE_EXHAUSTED for one that is, with these
// parameters, beyond a limit.
absl::StatusOr<ConfinedQuery> ConfineQuery(absl::string_view query,
                                           const ApiParams& params,
                                           const Policy& policy);

// What the tenant sees of a selector. None: nothing.
promql::Clauses ConfineSelector(const promql::Clause& selector,
                                const Policy& policy);

// For endpoints where nothing counts of an expression but its selectors: each,
// confined, with `or` between them. Errors are those of ConfineMatches() and
// ConfineQuery().
absl::StatusOr<ConfinedQuery> ConfineSelectors(absl::string_view query,
                                               const ApiParams& params,
                                               const Policy& policy);

}  // namespace insula::query_frontend
