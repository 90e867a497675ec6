// The metrics of the tenant-registry.
#pragma once

#include <array>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "libs/metrics/metrics.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// Thread-safe. Lives in the registry that it is built from.
struct Metrics {
  explicit Metrics(metrics::Registry* registry);

  metrics::Gauge& revision;
  metrics::Gauge& watchers;
  metrics::Gauge& behind;  // Of the follower that is most behind.
  metrics::Histogram& apply_seconds;
  // Of what is stored at once: how long it takes, and how many Applies it has.
  metrics::Histogram& commit_seconds;
  metrics::Histogram& commit_applies;
  metrics::Counter& commit_failures;
  metrics::Counter& slow_watchers_cut;
  metrics::Counter& compaction_failures;
  metrics::Gauge& leases;
  metrics::Counter& leases_expired;
  metrics::Counter& tenants_removed;
  metrics::Counter& tenant_removal_failures;
  metrics::Gauge& retired_identities;
  metrics::Counter& retired_identities_lost;
  // What is wrong with the files now: objects and whole files refused.
  metrics::Gauge& source_errors;
  metrics::Gauge& source_held_deletions;
  std::map<v1::Kind, metrics::Gauge*> objects;

  metrics::Counter& Applies(absl::StatusCode code);

 private:
  std::array<metrics::Counter*, 17> applies_;
};

}  // namespace insula::tenant_registry
