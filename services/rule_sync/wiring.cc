#include "services/rule_sync/wiring.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "services/rule_sync/prometheus_target.h"
#include "services/rule_sync/ruler_target.h"

namespace insula::rule_sync {

CompilerOptions CompilerOptionsOf(const Config& config) {
  CompilerOptions options;
  options.max_file_bytes = config.rules.max_file.value;
  options.rule_files_dialect = DialectOf(config.rule_files.dialect);
  options.rulers_dialect = DialectOf(config.rulers.dialect);
  options.rule_files = !config.rule_files.directory.empty();
  return options;
}

ReconcilerOptions ReconcilerOptionsOf(const Config& config) {
  ReconcilerOptions options;
  options.source.directory = config.rules.directory;
  options.source.max_file_bytes = config.rules.max_file.value;
  options.source.max_tenant_bytes = config.rules.max_tenant.value;
  options.source.max_files = static_cast<size_t>(config.rules.max_files);
  options.compiler = CompilerOptionsOf(config);
  options.dispatcher.resync_interval = config.targets.resync_interval;
  options.dispatcher.backoff.initial = config.targets.min_backoff;
  options.dispatcher.backoff.maximum = config.targets.max_backoff;
  options.dispatcher.max_parallel = config.targets.max_parallel;
  options.dispatcher.max_deletion_percent = config.rules.max_deletion_percent;
  options.rescan_interval = config.rules.rescan_interval;
  return options;
}

std::string FileOwnersPath(const Config& config) {
  if (config.targets.ledger_file.empty()) return "";
  return absl::StrCat(config.targets.ledger_file, ".owners");
}

Dispatcher::MakeTarget TargetMaker(const Config& config, http::Client* client,
                                   runtime::BlockingPool* blocking) {
  RulerTargetOptions ruler;
  ruler.prefix = config.rulers.namespace_prefix;
  ruler.separator = config.rulers.namespace_separator;
  ruler.max_list_bytes = config.targets.max_response.value;
  return [ruler, directory = config.rule_files.directory, client,
          blocking](const UnitSpec& spec) -> std::unique_ptr<Target> {
    if (spec.type == UnitSpec::Type::kRuler) {
      return std::make_unique<RulerTarget>(ruler, client, blocking);
    }
    return std::make_unique<PrometheusTarget>(
        absl::StrCat(directory, "/", spec.target_id), client, blocking);
  };
}

void FollowRegistry(registry_client::RegistryClient* registry,
                    Reconciler* reconciler) {
  registry->OnChange(
      [reconciler](const std::shared_ptr<const tenancy::Snapshot>& snapshot) {
        // The first call may come before there is any copy.
        if (!snapshot->epoch().empty()) reconciler->Follow(snapshot);
      });
}

RuleSyncService::FindSnapshot SnapshotOf(
    registry_client::RegistryClient* registry) {
  return
      [registry]() -> absl::StatusOr<std::shared_ptr<const tenancy::Snapshot>> {
        std::shared_ptr<const tenancy::Snapshot> snapshot =
            registry->snapshot();
        if (snapshot->epoch().empty()) {
          return absl::UnavailableError(
              "nothing is known of tenants yet, try again in a moment");
        }
        return snapshot;
      };
}

}  // namespace insula::rule_sync
