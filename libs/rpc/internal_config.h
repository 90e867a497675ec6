// The settings of a service for its gRPC with other services.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/audit/audit_log.h"
#include "libs/config/config.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/callers.h"
#include "libs/rpc/server.h"
#include "libs/rpc/tls.h"

namespace insula::rpc {

// Mutual TLS, with one certificate for what the service serves and for what it
// dials.
struct InternalTls : Tls {
  std::vector<std::string> admins;

  void Describe(config::Fields& fields);
};

// Adds `insecure_internal` and the group `internal` to the top of a service's
// configuration.
struct InternalConfig {
  InternalTls tls;
  bool insecure = false;

  void Describe(config::Fields& fields);

  // `addresses` are keys and values of where gRPC is served and dialled. There
  // must be certificates, or `insecure_internal` with addresses that nobody
  // reaches from outside: loopback ones and unix:/path. "localhost" counts as
  // one.
  absl::Status Validate(
      const std::vector<std::pair<absl::string_view, std::string>>& addresses)
      const;

  // The certificate; unset: plain text.
  std::optional<Tls> client() const;
  // The options of a server, whose refusals go to `audit`. `bindings` and
  // `audit`, which may be null, and `metrics` outlive it.
  ServerOptions ServerAt(const std::string& listen_address,
                         const CallerBindings* bindings,
                         metrics::Registry* metrics,
                         audit::AuditLog* audit) const;
};

}  // namespace insula::rpc
