// Puts the parts of rule-sync together, by its configuration.
#pragma once

#include <string>

#include "libs/http/client.h"
#include "libs/registry_client/registry_client.h"
#include "libs/runtime/blocking_pool.h"
#include "services/rule_sync/config.h"
#include "services/rule_sync/desired.h"
#include "services/rule_sync/dispatcher.h"
#include "services/rule_sync/reconciler.h"
#include "services/rule_sync/rule_sync_service.h"

namespace insula::rule_sync {

CompilerOptions CompilerOptionsOf(const Config& config);
ReconcilerOptions ReconcilerOptionsOf(const Config& config);

// Where it is kept whose each rule file is: beside the ledger. Empty: nowhere.
std::string FileOwnersPath(const Config& config);

// Makes the target of a unit. `client` and `blocking` outlive the targets.
Dispatcher::MakeTarget TargetMaker(const Config& config, http::Client* client,
                                   runtime::BlockingPool* blocking);

// Gives `reconciler`, which outlives `registry`, each copy of the registry.
void FollowRegistry(registry_client::RegistryClient* registry,
                    Reconciler* reconciler);

// The present copy, once there is one. `registry` outlives it.
RuleSyncService::FindSnapshot SnapshotOf(
    registry_client::RegistryClient* registry);

}  // namespace insula::rule_sync
