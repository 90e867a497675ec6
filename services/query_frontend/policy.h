// What a tenant may see, and where it is kept.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/url.h"
#include "libs/labels/matcher.h"
#include "libs/tenancy/snapshot.h"

namespace insula::query_frontend {

// Everything that decides about a tenant's queries, at one revision.
struct Policy {
  std::string tenant_id;
  // Every series that the tenant sees matches all of them; equality matchers,
  // in the order of their names. Empty only if the store isolates by header.
  std::vector<labels::Matcher> enforced;
  size_t max_query_bytes = 0;

  std::string upstream_id;
  http::Url query_url;
  absl::Duration timeout;
  // Not empty if the store isolates by header: its name and the tenant's.
  std::string tenant_header;
  std::string org_id;
};

// The policy of `tenant`, which is one of `snapshot`. What is not clear is
// denied, and the message names the object and the cure: PERMISSION_DENIED for
// a tenant without a store or without the labels that its store needs,
// UNAVAILABLE while an object it refers to is missing.
absl::StatusOr<Policy> PolicyOf(const tenancy::Tenant& tenant,
                                const tenancy::Snapshot& snapshot);

// match[] for the upstream. Each of `matches` must be a selector with a matcher
// that does not match "" (before ours are added: Prometheus' rule), and gets
// the enforced matchers added. Without any, the enforced ones themselves; none
// at all if nothing is enforced. INVALID_ARGUMENT in Prometheus' words.
absl::StatusOr<std::vector<std::string>> ConfineMatches(
    const std::vector<std::string>& matches, const Policy& policy);

// The query, confined and printed anew. INVALID_ARGUMENT in Prometheus' words.
absl::StatusOr<std::string> ConfineQuery(absl::string_view query,
                                         const Policy& policy);

}  // namespace insula::query_frontend
