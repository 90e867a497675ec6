// What an informer counts. For libs/kube alone.
#pragma once

#include "libs/kube/client.h"
#include "libs/metrics/metrics.h"

namespace insula::kube {

struct InformerMetrics {
  InformerMetrics(const Selection& selection, metrics::Registry* registry)
      : labels({{"resource", selection.resource.Name()},
                {"namespace", selection.namespace_name}}),
        objects(registry->AddGauge("insula_kube_informer_objects",
                                   "Objects in the copy.", labels)),
        synced(registry->AddGauge(
            "insula_kube_informer_synced",
            "1 once all objects have been listed; then the copy is whole.",
            labels)),
        last_contact(registry->AddGauge(
            "insula_kube_informer_last_contact_timestamp_seconds",
            "When Kubernetes last said something, in seconds since 1970.",
            labels)),
        changes(registry->AddCounter("insula_kube_informer_changes_total",
                                     "Objects added, updated or deleted.",
                                     labels)),
        lists_ok(Lists("ok", registry)),
        lists_failed(Lists("error", registry)),
        watches_ended(Watches("ended", registry)),
        watches_expired(Watches("expired", registry)),
        watches_stalled(Watches("stalled", registry)),
        watches_failed(Watches("error", registry)) {}

  metrics::Counter& Lists(const char* result, metrics::Registry* registry) {
    metrics::Labels more = labels;
    more["result"] = result;
    return registry->AddCounter("insula_kube_informer_lists_total",
                                "Lists of all objects, by how they ended.",
                                more);
  }
  metrics::Counter& Watches(const char* result, metrics::Registry* registry) {
    metrics::Labels more = labels;
    more["result"] = result;
    return registry->AddCounter("insula_kube_informer_watches_total",
                                "Watches, by how they ended.", more);
  }

  const metrics::Labels labels;
  metrics::Gauge& objects;
  metrics::Gauge& synced;
  metrics::Gauge& last_contact;
  metrics::Counter& changes;
  metrics::Counter& lists_ok;
  metrics::Counter& lists_failed;
  metrics::Counter& watches_ended;
  metrics::Counter& watches_expired;
  metrics::Counter& watches_stalled;
  metrics::Counter& watches_failed;
};

}  // namespace insula::kube
