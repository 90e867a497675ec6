#include "services/tenant_registry/metrics.h"

namespace insula::tenant_registry {

Metrics::Metrics(metrics::Registry* registry)
    : revision(registry->AddGauge("tenant_registry_revision",
                                  "The revision of the store.")),
      watchers(registry->AddGauge("tenant_registry_watchers",
                                  "Followers with an open Watch.")),
      behind(registry->AddGauge(
          "tenant_registry_watch_behind_seconds",
          "Age of the oldest change that a follower has not acknowledged.")),
      apply_seconds(registry->AddHistogram(
          "tenant_registry_apply_seconds",
          "Time from an Apply to its answer, waiting included.")),
      commit_seconds(
          registry->AddHistogram("tenant_registry_commit_seconds",
                                 "Time to store a group of Applies durably.")),
      commit_applies(registry->AddHistogram(
          "tenant_registry_commit_applies", "Applies stored at once.", {},
          {1, 2, 4, 8, 16, 32, 64, 128, 256, 512})),
      commit_failures(
          registry->AddCounter("tenant_registry_commit_failures_total",
                               "Groups of Applies that could not be stored.")),
      slow_watchers_cut(registry->AddCounter(
          "tenant_registry_slow_watchers_cut_total",
          "Watches ended because their client took too little in time.")),
      compaction_failures(
          registry->AddCounter("tenant_registry_compaction_failures_total",
                               "Failed attempts to drop what is old.")),
      leases(registry->AddGauge("tenant_registry_leases",
                                "Instances that hold a lease.")),
      leases_expired(registry->AddCounter(
          "tenant_registry_leases_expired_total",
          "Instances that did not renew their lease in time.")),
      tenants_removed(
          registry->AddCounter("tenant_registry_tenants_removed_total",
                               "Tenants deleted because their time was over.")),
      tenant_removal_failures(registry->AddCounter(
          "tenant_registry_tenant_removal_failures_total",
          "Failed attempts to delete a tenant whose time is over.")),
      retired_identities(registry->AddGauge(
          "tenant_registry_retired_identities",
          "Org ids and sets of labels that former tenants were known by in "
          "stores, and that no other tenant gets.")),
      retired_identities_lost(registry->AddCounter(
          "tenant_registry_retired_identities_lost_total",
          "Times that some of them were forgotten early because there were "
          "too many.")),
      source_errors(registry->AddGauge(
          "tenant_registry_source_errors",
          "Objects and files of the file sources that are refused now.")),
      source_held_deletions(registry->AddGauge(
          "tenant_registry_source_held_deletions",
          "Objects that vanished from a file in such numbers that they are "
          "kept until somebody looks.")) {
  for (const v1::Kind kind :
       {v1::KIND_TENANT, v1::KIND_BINDING, v1::KIND_ACCESS, v1::KIND_UPSTREAM,
        v1::KIND_CLAIM_RULE, v1::KIND_LIMITS, v1::KIND_POLICY,
        v1::KIND_RULE_TARGET, v1::KIND_JOB, v1::KIND_INSTANCE}) {
    objects[kind] =
        &registry->AddGauge("tenant_registry_objects", "Objects by kind.",
                            {{"kind", std::string(tenancy::KindName(kind))}});
  }
  for (int code = 0; code <= 16; ++code) {
    applies_[code] = &registry->AddCounter(
        "tenant_registry_applies_total", "Applies by the code of their answer.",
        {{"code",
          absl::StatusCodeToString(static_cast<absl::StatusCode>(code))}});
  }
}

metrics::Counter& Metrics::Applies(absl::StatusCode code) {
  const auto index = static_cast<size_t>(code);
  return *applies_[index < applies_.size()
                       ? index
                       : static_cast<size_t>(absl::StatusCode::kUnknown)];
}

}  // namespace insula::tenant_registry
