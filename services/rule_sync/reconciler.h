// Follows the rule directory and the registry, and keeps evaluators in step.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/runtime/blocking_pool.h"
#include "libs/tenancy/snapshot.h"
#include "services/rule_sync/desired.h"
#include "services/rule_sync/dispatcher.h"
#include "services/rule_sync/file_owners.h"
#include "services/rule_sync/ledger.h"
#include "services/rule_sync/metrics.h"
#include "services/rule_sync/rule_source.h"

namespace insula::rule_sync {

struct ReconcilerOptions {
  SourceOptions source;
  CompilerOptions compiler;
  DispatcherOptions dispatcher;
  absl::Duration rescan_interval = absl::Seconds(5);
};

// A group of a tenant, for those who ask.
struct ListedGroup {
  std::shared_ptr<const DesiredFile> file;
  const CheckedGroup* group = nullptr;    // Of `file`; one of the two is set.
  const RefusedGroup* refused = nullptr;  // Of `file`.
  GroupProgress progress;                 // Of `group`.
};

struct ListedRules {
  std::string target_id;
  std::vector<ListedGroup> groups;
};

// Nothing is written before the registry and the directory have both been read
// once. From then on the last good copies of both count. Thread-safe.
class Reconciler {
 public:
  // Starts at once; until Follow() nothing is known of tenants. `blocking` and
  // `metrics` outlive it.
  Reconciler(ReconcilerOptions options, Ledger ledger, FileOwners owners,
             Dispatcher::MakeTarget make_target,
             boost::asio::any_io_executor executor,
             runtime::BlockingPool* blocking, Metrics* metrics);

  // Ends, and cancels what is being synced. Blocks; not on the executor.
  ~Reconciler();

  // What the registry says from now on.
  void Follow(std::shared_ptr<const tenancy::Snapshot> snapshot);

  // Looks at the directory now.
  void Rescan();

  // For /readyz: OK if the directory could be read last time.
  absl::Status DirectoryReady() const;

  // Nullopt while nothing is known yet. No groups for a tenant without files.
  boost::asio::awaitable<std::optional<ListedRules>> List(
      std::string tenant_id);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace insula::rule_sync
