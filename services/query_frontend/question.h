// Makes of a request what a store is asked: confined, and with the reader that
// the answer must pass.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "services/query_frontend/confined_queries.h"
#include "services/query_frontend/params.h"
#include "services/query_frontend/policy.h"
#include "services/query_frontend/remote_read.h"
#include "services/query_frontend/route.h"
#include "services/query_frontend/targets_answer.h"
#include "services/query_frontend/upstream_query.h"

namespace insula::query_frontend {

// What answers show beside series.
struct AnswerOptions {
  // Help texts of metrics. They may be those of another tenant's target, where
  // both have metrics of the same name.
  bool metadata_help = false;
  // Where targets are scraped, and the errors of scrapes and rules.
  bool target_details = false;
  // Whether these are open to tenants: they hand out whole series.
  bool federate = false;
  bool remote_read = false;
};

// The question to the store of `policy`. INVALID_ARGUMENT in Prometheus' words
// for what a Prometheus would refuse. FAILED_PRECONDITION for what can't be
// confined to what the tenant reads. One that has UpstreamQuery::unlike must
// not be asked before that is known.
absl::StatusOr<UpstreamQuery> MakeQuestion(const Route& route, ApiParams params,
                                           const Policy& policy,
                                           const AnswerOptions& options,
                                           ConfinedQueries* confined_queries);

// The question of a remote read. `max_bytes` bounds the answer, decompressed.
UpstreamQuery MakeReadQuestion(ReadQuestion question, const Policy& policy,
                               size_t max_bytes);

// For metadata, which a store can't be asked for by series: the names of what
// the tenant sees go into `*names`.
absl::StatusOr<UpstreamQuery> MakeNamesQuestion(
    const Policy& policy, std::shared_ptr<MetricNames> names);

// And then the metadata of these; of all with null.
UpstreamQuery MakeMetadataQuestion(const ApiParams& params,
                                   std::shared_ptr<const MetricNames> names,
                                   const AnswerOptions& options);

}  // namespace insula::query_frontend
