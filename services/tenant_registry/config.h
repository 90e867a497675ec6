// Configuration of the tenant-registry.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "libs/audit/audit_config.h"
#include "libs/config/config.h"
#include "libs/rpc/internal_config.h"
#include "libs/runtime/process.h"
#include "services/tenant_registry/file_source.h"
#include "services/tenant_registry/kube_source.h"
#include "services/tenant_registry/registry.h"
#include "services/tenant_registry/tenant_registry_service.h"

namespace insula::tenant_registry {

struct GrpcConfig {
  std::string listen_address = "127.0.0.1:9701";
  void Describe(config::Fields& fields);
};

struct StorageConfig {
  std::string path = "tenant-registry.db";
  int64_t keep_changes = RegistryOptions().keep_changes;
  absl::Duration keep_changes_for = RegistryOptions().keep_changes_for;
  absl::Duration keep_audit_for = RegistryOptions().keep_audit_for;
  void Describe(config::Fields& fields);
};

struct SourcesConfig : FileSourceOptions {
  void Describe(config::Fields& fields);
};

struct KubernetesConfig : KubeSourceOptions {
  void Describe(config::Fields& fields);
};

struct WatchConfig : WatchOptions {
  int queue = RegistryOptions().watch_queue;
  int max_watchers = RegistryOptions().max_watchers;
  void Describe(config::Fields& fields);
};

struct TenantsConfig {
  absl::Duration deletion_grace = RegistryOptions().deletion_grace;
  absl::Duration retire_identities_for =
      RegistryOptions().retire_identities_for;
  int64_t max_retired_identities = RegistryOptions().max_retired_identities;
  void Describe(config::Fields& fields);
};

struct LeasesConfig {
  absl::Duration ttl = RegistryOptions().lease_ttl;
  void Describe(config::Fields& fields);
};

struct Config {
  runtime::ProcessConfig process;
  rpc::InternalConfig internal;
  GrpcConfig grpc;
  StorageConfig storage;
  SourcesConfig sources;
  KubernetesConfig kubernetes;
  WatchConfig watch;
  TenantsConfig tenants;
  LeasesConfig leases;
  audit::AuditConfig audit;

  Config() { process.admin_listen_address = "127.0.0.1:9801"; }
  void Describe(config::Fields& fields);
  absl::Status Validate() const;

  RegistryOptions registry_options() const;
};

}  // namespace insula::tenant_registry
