// Rules and alerts: what of a store's a tenant is shown.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/labels/matcher.h"
#include "libs/promql/parser.h"
#include "services/query_frontend/answer_data.h"
#include "services/query_frontend/params.h"

namespace insula::query_frontend {

// What a request for rules asks for. The store is asked for all of them, as
// what it would leave out, count and cut into pages is not the tenant's.
struct RulesRequest {
  std::string type;             // "alert", "record" or "": both.
  std::set<std::string> names;  // Empty: all; so are the next two.
  std::set<std::string> groups;
  std::set<std::string> files;
  // Matchers on labels of rules, one list of which must match. None: all.
  std::vector<std::vector<labels::Matcher>> matches;
  bool exclude_alerts = false;
  std::optional<size_t> group_limit;  // At least 1.
  std::string group_next_token;       // Of the answer before.
  bool show_errors = false;           // Not asked for, but allowed.
};

// INVALID_ARGUMENT in Prometheus' words. `options` are those of each match.
absl::StatusOr<RulesRequest> ParseRulesRequest(
    const ApiParams& params, const promql::ParseOptions& options);

// Of `rules`. A tenant sees
// - an alert if it may read the series ALERTS{...} of it;
// - a rule if it may read every series, of whatever name, that has the rule's
//   labels: whoever sees a rule sees an expression, with the names in it.
// A rule's state is that of the alerts that are left, the text of its last
// error is left out unless `show_errors`, and groups without rules are dropped.
// INVALID_ARGUMENT for a group_next_token of no group.
DataReader ReadRules(RulesRequest request, SharedReads reads);

// Of `alerts`.
DataReader ReadAlerts(SharedReads reads);

}  // namespace insula::query_frontend
