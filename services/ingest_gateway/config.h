// The settings of the ingest-gateway.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/audit/audit_config.h"
#include "libs/config/config.h"
#include "libs/edge/listener_config.h"
#include "libs/http/client.h"
#include "libs/http/networks.h"
#include "libs/http/server.h"
#include "libs/outbound/credential_config.h"
#include "libs/registry_client/registry_client.h"
#include "libs/remote_write/splitter.h"
#include "libs/rpc/internal_config.h"
#include "libs/runtime/process.h"
#include "libs/spool/spool.h"
#include "services/ingest_gateway/dead_letters.h"

namespace insula::ingest_gateway {

// Where senders connect, and how they say who they are.
struct ListenerConfig : edge::ListenerConfig {
  ListenerConfig();
  void Describe(config::Fields& fields);
};

// What one write may be, and how long it may take.
struct WriteConfig {
  config::Bytes max_body{32 << 20};
  config::Bytes max_decoded_body{32 << 20};
  config::Bytes max_buffered{256 << 20};
  int64_t max_series = 200'000;
  int64_t max_labels = 4'000'000;
  int64_t max_samples = 500'000;
  bool utf8_names = false;
  // Shorter than the 30 s that Prometheus waits, so that it hears the answer.
  absl::Duration timeout = absl::Seconds(25);
  absl::Duration idle_timeout = absl::Minutes(1);
  int max_parallel_parts = 64;
  int max_upstream_connections = 100;
  std::vector<std::string> refused_networks =
      http::Networks::LinkLocalAndMetadataTexts();
  int64_t remembered_parts = 100'000;
  config::Bytes series_memory{32 << 20};

  void Describe(config::Fields& fields);
  absl::Status Validate() const;

  // What they mean for each listener, and for the client of the stores.
  http::ServerOptions ServerLimits() const;
  http::ClientOptions ClientOptions() const;
  // What they mean for the splitter.
  remote_write::Bounds SplitBounds() const;
  remote_write::NameScheme name_scheme() const;
};

// Where what a store does not take at once waits.
struct QueueConfig {
  std::string dir;
  std::string mode = "spill";
  config::Bytes max_bytes{uint64_t{10} << 30};
  config::Bytes max_tenant_bytes{uint64_t{1} << 30};
  config::Bytes min_free{64 << 20};
  absl::Duration max_age = absl::Hours(2);
  absl::Duration direct_timeout = absl::Seconds(5);
  absl::Duration deleted_tenant_grace = absl::Minutes(1);
  int max_parallel = 32;

  void Describe(config::Fields& fields);
  absl::Status Validate() const;

  bool is_on() const { return !dir.empty() && mode != "none"; }
  spool::Spool::Options SpoolOptions() const;
};

struct GrpcConfig {
  std::string listen_address = "127.0.0.1:9702";

  void Describe(config::Fields& fields);
};

struct Config {
  runtime::ProcessConfig process;
  rpc::InternalConfig internal;
  GrpcConfig grpc;
  registry_client::Options registry;
  WriteConfig write;
  std::vector<outbound::CredentialConfig> credentials;
  audit::AuditConfig audit;
  QueueConfig queue;
  DeadLettersConfig dead_letters;
  std::vector<ListenerConfig> listeners = {ListenerConfig()};

  Config();
  void Describe(config::Fields& fields);
  absl::Status Validate() const;

  // Of the client of the registry.
  registry_client::Options RegistryOptions() const;
};

}  // namespace insula::ingest_gateway
