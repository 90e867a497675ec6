#include "libs/spool/spool_metrics.h"

#include <string>

namespace insula::spool {
namespace {

metrics::Counter& Refused(metrics::Registry* registry, const char* reason) {
  return registry->AddCounter(
      "insula_spool_refused_records_total",
      "Records that the queue did not take: full, unwritable, or more than the "
      "disk keeps up with.",
      {{"reason", reason}});
}

}  // namespace

SpoolMetrics::SpoolMetrics(metrics::Registry* registry)
    : bytes(registry->AddGauge("insula_spool_bytes",
                               "Bytes that wait in the queues on disk.")),
      records(registry->AddGauge("insula_spool_records",
                                 "Records that wait in the queues on disk.")),
      tenants(registry->AddGauge("insula_spool_tenants",
                                 "Tenants with a queue on disk.")),
      oldest_seconds(
          registry->AddGauge("insula_spool_oldest_seconds",
                             "Age of the oldest record of all queues.")),
      disk_bytes(registry->AddGauge(
          "insula_spool_disk_bytes",
          "Size of the files of the queues, without the write-ahead log.")),
      writable(registry->AddGauge("insula_spool_writable",
                                  "1: records can be queued; 0: they can't.")),
      appended(registry->AddCounter("insula_spool_appended_records_total",
                                    "Records that were made durable.")),
      refused_full(Refused(registry, "full")),
      refused_unwritable(Refused(registry, "unwritable")),
      refused_busy(Refused(registry, "busy")),
      quarantined(registry->AddCounter(
          "insula_spool_quarantined_total",
          "Files and stores that were moved to quarantine/.")),
      reopened(registry->AddCounter(
          "insula_spool_reopened_total",
          "Times that the store was well again after a failure.")),
      commit_seconds(registry->AddHistogram(
          "insula_spool_commit_seconds",
          "Time to write and sync the records of one commit.")) {
  int i = 0;
  for (const char* reason :
       {"too_old", "full", "tenant_gone", "damaged", "refused"}) {
    dropped_records[i] = &registry->AddCounter(
        "insula_spool_dropped_records_total",
        "Records that left a queue without having been delivered.",
        {{"reason", reason}});
    dropped_samples[i] = &registry->AddCounter(
        "insula_spool_dropped_samples_total",
        "Samples of records that left a queue without having been delivered.",
        {{"reason", reason}});
    ++i;
  }
}

}  // namespace insula::spool
