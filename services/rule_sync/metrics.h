// The metrics of rule-sync.
#pragma once

#include <array>
#include <string>

#include "absl/strings/string_view.h"
#include "libs/metrics/metrics.h"
#include "services/rule_sync/target.h"

namespace insula::rule_sync {

// Thread-safe. Lives in the registry that it is built from.
class Metrics {
 public:
  explicit Metrics(metrics::Registry* registry);

  metrics::Counter& Failures(Failure failure);
  // Of one target; a registry's look-up takes a lock.
  metrics::Counter& Syncs(const std::string& target_id, bool ok);
  metrics::Gauge& LastSuccess(const std::string& target_id);
  metrics::Gauge& Held(const std::string& target_id);

  metrics::Gauge& pending;
  metrics::Gauge& active;
  metrics::Gauge& failed;
  metrics::Gauge& refused;
  metrics::Gauge& source_errors;
  metrics::Counter& scan_failures;
  metrics::Counter& created;
  metrics::Counter& updated;
  metrics::Counter& deleted;
  metrics::Counter& rolled_back;
  metrics::Counter& ledger_failures;
  metrics::Histogram& sync_seconds;

 private:
  metrics::Registry* const registry_;
  std::array<metrics::Counter*, 8> failures_;
};

}  // namespace insula::rule_sync
