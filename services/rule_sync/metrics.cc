#include "services/rule_sync/metrics.h"

namespace insula::rule_sync {
namespace {

metrics::Gauge& Groups(metrics::Registry* registry, const char* state) {
  return registry->AddGauge("rule_sync_groups",
                            "Groups of rules by how far they have come.",
                            {{"state", state}});
}

metrics::Counter& Changes(metrics::Registry* registry, const char* operation) {
  return registry->AddCounter(
      "rule_sync_changes_total",
      "Groups sent to rulers and rule files written for a Prometheus.",
      {{"operation", operation}});
}

absl::string_view ReasonOf(Failure failure) {
  switch (failure) {
    case Failure::kUnreachable:
      return "unreachable";
    case Failure::kBusy:
      return "busy";
    case Failure::kDenied:
      return "denied";
    case Failure::kGarbage:
      return "garbage";
    case Failure::kRefused:
      return "refused";
    case Failure::kNotSeen:
      return "not_seen";
    case Failure::kDisk:
      return "disk";
    case Failure::kNone:
      break;
  }
  return "other";
}

}  // namespace

Metrics::Metrics(metrics::Registry* registry)
    : pending(Groups(registry, "pending")),
      active(Groups(registry, "active")),
      failed(Groups(registry, "failed")),
      refused(Groups(registry, "refused")),
      source_errors(registry->AddGauge(
          "rule_sync_source_errors",
          "Entries of the rule directory that are not taken, or not read.")),
      scan_failures(registry->AddCounter(
          "rule_sync_scan_failures_total",
          "Times that the rule directory could not be read; what was read "
          "before stays.")),
      created(Changes(registry, "create")),
      updated(Changes(registry, "update")),
      deleted(Changes(registry, "delete")),
      rolled_back(registry->AddCounter(
          "rule_sync_rollbacks_total",
          "Rule files put back because a Prometheus did not load them.")),
      ledger_failures(registry->AddCounter(
          "rule_sync_ledger_failures_total",
          "Times that the ledger of targets, or that of the rule files' "
          "tenants, could not be written.")),
      sync_seconds(registry->AddHistogram(
          "rule_sync_sync_seconds",
          "Time to compare one target, or one tenant of it, and to bring it in "
          "step.")),
      registry_(registry) {
  for (size_t i = 0; i < failures_.size(); ++i) {
    failures_[i] = &registry->AddCounter(
        "rule_sync_failures_total",
        "Syncs that failed, or in which rules were refused, by reason.",
        {{"reason", std::string(ReasonOf(static_cast<Failure>(i)))}});
  }
}

metrics::Counter& Metrics::Failures(Failure failure) {
  return *failures_[static_cast<size_t>(failure)];
}

metrics::Counter& Metrics::Syncs(const std::string& target_id, bool ok) {
  return registry_->AddCounter(
      "rule_sync_syncs_total", "Syncs of targets, or of their tenants.",
      {{"target", target_id}, {"result", ok ? "ok" : "failed"}});
}

metrics::Gauge& Metrics::LastSuccess(const std::string& target_id) {
  return registry_->AddGauge(
      "rule_sync_last_success_timestamp_seconds",
      "When a sync of the target, or of a tenant of it, last succeeded.",
      {{"target", target_id}});
}

metrics::Gauge& Metrics::Held(const std::string& target_id) {
  return registry_->AddGauge(
      "rule_sync_held_groups",
      "Groups that vanished from the rule directory in such numbers that they "
      "are kept until somebody looks.",
      {{"target", target_id}});
}

}  // namespace insula::rule_sync
