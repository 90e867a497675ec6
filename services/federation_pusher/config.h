// The settings of the federation-pusher.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/audit/audit_config.h"
#include "libs/config/config.h"
#include "libs/http/networks.h"
#include "libs/outbound/credential_config.h"
#include "libs/registry_client/registry_client.h"
#include "libs/rpc/internal_config.h"
#include "libs/runtime/process.h"

namespace insula::federation_pusher {

// What a source may answer, and who may be one.
struct ScrapeConfig {
  config::Bytes max_body{50 << 20};
  config::Bytes max_line{256 << 10};
  int64_t max_samples = 500'000;
  std::vector<std::string> refused_networks =
      http::Networks::LinkLocalAndMetadataTexts();
  std::string ca_file;

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// Where series go.
struct GatewayConfig {
  std::string write_url = "http://127.0.0.1:19093/api/v1/write";
  std::string token_file;
  std::string ca_file;

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// How they are sent. A series takes some 300 bytes, so requests are of up to
// 3 MB decoded; the ingest-gateway takes 32 MiB.
struct PushConfig {
  int64_t max_series = 10'000;
  config::Bytes max_body{8 << 20};
  absl::Duration timeout = absl::Seconds(10);

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

struct GrpcConfig {
  std::string listen_address = "127.0.0.1:9705";

  void Describe(config::Fields& fields);
};

struct Config {
  runtime::ProcessConfig process;
  rpc::InternalConfig internal;
  GrpcConfig grpc;
  registry_client::Options registry;
  ScrapeConfig scrape;
  GatewayConfig gateway;
  PushConfig push;
  int max_parallel_jobs = 16;
  audit::AuditConfig audit;
  std::vector<outbound::CredentialConfig> credentials;

  Config();
  void Describe(config::Fields& fields);
  absl::Status Validate() const;

  // Of the client of the registry.
  registry_client::Options RegistryOptions() const;
};

}  // namespace insula::federation_pusher
