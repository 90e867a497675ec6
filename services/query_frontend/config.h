// The settings of the query-frontend.
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
#include "libs/rpc/internal_config.h"
#include "libs/runtime/process.h"
#include "services/query_frontend/admission.h"
#include "services/query_frontend/caching.h"
#include "services/query_frontend/kubernetes.h"
#include "services/query_frontend/pools.h"
#include "services/query_frontend/question.h"
#include "services/query_frontend/request_book.h"

namespace insula::query_frontend {

// Where clients connect, and how they say who they are.
struct ListenerConfig : edge::ListenerConfig {
  ListenerConfig();
  void Describe(config::Fields& fields);
};

// What one request may be, and how long it may take.
struct ApiConfig {
  // Percent-encoded, a query of Limits.max_query_bytes takes three times that.
  config::Bytes max_body{4 << 20};
  // Parameters of a GET are part of the head.
  config::Bytes max_head{128 << 10};
  config::Bytes max_buffered{64 << 20};
  absl::Duration timeout = absl::Minutes(2);
  AnswerOptions answers;
  RequestBookOptions book;

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
  // What they mean for each listener.
  http::ServerOptions ServerLimits() const;
};

// How stores are asked.
struct UpstreamConfig {
  config::Bytes max_response{64 << 20};
  int max_connections = 100;
  absl::Duration connect_timeout = absl::Seconds(5);
  std::string tls_ca_file;
  std::string tls_cert_file;
  std::string tls_key_file;
  std::vector<std::string> refused_networks =
      http::Networks::LinkLocalAndMetadataTexts();
  PoolsConfig pools;

  void Describe(config::Fields& fields);
  absl::Status Validate() const;
  http::ClientOptions ClientOptions() const;
};

// Health and reflection.
struct GrpcConfig {
  std::string listen_address = "127.0.0.1:9703";

  void Describe(config::Fields& fields);
};

struct Config {
  runtime::ProcessConfig process;
  rpc::InternalConfig internal;
  GrpcConfig grpc;
  registry_client::Options registry;
  ApiConfig api;
  UpstreamConfig upstream;
  QueueConfig queue;
  CacheConfig cache;
  KubernetesConfig kubernetes;
  std::vector<outbound::CredentialConfig> credentials;
  audit::AuditConfig audit;
  std::vector<ListenerConfig> listeners = {ListenerConfig()};

  Config();
  void Describe(config::Fields& fields);
  absl::Status Validate() const;

  // Of the client of the registry.
  registry_client::Options RegistryOptions() const;
};

}  // namespace insula::query_frontend
