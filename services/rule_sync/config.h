// The settings of rule-sync.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/audit/audit_config.h"
#include "libs/audit/audit_log.h"
#include "libs/config/config.h"
#include "libs/http/client.h"
#include "libs/http/networks.h"
#include "libs/outbound/credential_config.h"
#include "libs/registry_client/registry_client.h"
#include "libs/rpc/internal_config.h"
#include "libs/rpc/server.h"
#include "libs/runtime/process.h"

namespace insula::rule_sync {

struct GrpcConfig {
  std::string listen_address = "127.0.0.1:9704";
  void Describe(config::Fields& fields);
};

// Where rules come from.
struct RulesConfig {
  std::string directory = "rules";
  absl::Duration rescan_interval = absl::Seconds(5);
  config::Bytes max_file{1 << 20};
  // 8 MiB hold some 20,000 rules, of which one evaluator has enough to do.
  config::Bytes max_tenant{8 << 20};
  int max_files = 100;
  int max_deletion_percent = 20;

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// Targets of TYPE_PROMETHEUS.
struct RuleFilesConfig {
  std::string directory;
  std::string dialect = "prometheus-2.42";

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// Targets of TYPE_CORTEX.
struct RulersConfig {
  std::string namespace_prefix = "insula";
  std::string namespace_separator = "/";
  std::string dialect = "prometheus-3";

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// How targets are asked.
struct TargetsConfig {
  absl::Duration resync_interval = absl::Minutes(1);
  absl::Duration min_backoff = absl::Seconds(1);
  absl::Duration max_backoff = absl::Minutes(5);
  int max_parallel = 32;
  config::Bytes max_response{64 << 20};
  absl::Duration connect_timeout = absl::Seconds(5);
  std::string tls_ca_file;
  std::string tls_cert_file;
  std::string tls_key_file;
  std::vector<std::string> refused_networks =
      http::Networks::LinkLocalAndMetadataTexts();
  std::string ledger_file;

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

struct Config {
  runtime::ProcessConfig process;
  rpc::InternalConfig internal;
  GrpcConfig grpc;
  registry_client::Options registry;
  RulesConfig rules;
  RuleFilesConfig rule_files;
  RulersConfig rulers;
  TargetsConfig targets;
  audit::AuditConfig audit;
  std::vector<outbound::CredentialConfig> credentials;

  Config();
  void Describe(config::Fields& fields);
  absl::Status Validate() const;

  registry_client::Options RegistryOptions() const;
  rpc::ServerOptions ServerOptions(const rpc::CallerBindings* bindings,
                                   metrics::Registry* metrics,
                                   audit::AuditLog* audit_log) const;
  http::ClientOptions ClientOptions() const;
};

}  // namespace insula::rule_sync
