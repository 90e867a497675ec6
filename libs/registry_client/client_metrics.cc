#include "libs/registry_client/client_metrics.h"

#include <string>

namespace insula::registry_client {

ClientMetrics::ClientMetrics(metrics::Registry* registry)
    : revision(registry->AddGauge("insula_registry_revision",
                                  "Revision of the copy of the registry.")),
      objects(registry->AddGauge("insula_registry_objects",
                                 "Objects in the copy of the registry.")),
      staleness(registry->AddGauge(
          "insula_registry_staleness_seconds",
          "Time since the registry was last heard of; since the start if it "
          "never was.")),
      connected(registry->AddGauge(
          "insula_registry_connected",
          "1 while the registry is followed, 0 while it is away.")),
      rejected(registry->AddGauge(
          "insula_registry_rejected_objects",
          "Objects of the registry that can't be used; the old copies are.")),
      changes(registry->AddCounter("insula_registry_changes_total",
                                   "Objects put or deleted.")),
      skipped(registry->AddCounter("insula_registry_skipped_objects_total",
                                   "Objects of a kind that is not known.")),
      disconnects(registry->AddCounter(
          "insula_registry_disconnects_total",
          "Ends of the stream and attempts to open it that failed.")),
      save_failures(registry->AddCounter(
          "insula_registry_save_failures_total",
          "Times the last good copy could not be read or saved.")),
      lease_held(registry->AddGauge(
          "insula_registry_lease_held",
          "1 if the last attempt to renew this process' lease succeeded.")),
      lease_failures(registry->AddCounter(
          "insula_registry_lease_failures_total",
          "Failed attempts to renew this process' lease.")) {
  for (int i = 1; i < WatchState::kRefusals; ++i) {
    const auto refusal = static_cast<WatchState::Refusal>(i);
    refused_[static_cast<size_t>(i)] = &registry->AddCounter(
        "insula_registry_refused_snapshots_total",
        "Times the registry sent what was not believed; the old copy stays.",
        {{"reason", std::string(WatchState::Name(refusal))}});
  }
}

}  // namespace insula::registry_client
