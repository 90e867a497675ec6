// A gRPC server that starts listening when built and drains on request.
//
// Every server has the standard health service and reflection, so grpcurl works
// on every port.
#pragma once

#include <grpcpp/server.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/callers.h"
#include "libs/rpc/refused_call.h"
#include "libs/rpc/tls.h"

namespace insula::rpc {

struct ServerOptions {
  // host:port, port 0 being a free one; or unix:/path.
  std::string listen_address = "127.0.0.1:0";
  int max_receive_bytes = 4 << 20;  // RESOURCE_EXHAUSTED above it.
  // Unset: plain text, and whoever reaches the port may call everything.
  std::optional<Tls> tls;
  // Of those who have a certificate of the CA, services of Insula may call what
  // they need; these, given as SPIFFE ids, everything (callers.h).
  std::vector<std::string> admins;
  // What others may call. Null: nothing. Outlives the server.
  const CallerBindings* bindings = nullptr;
  // How often it is looked whether the caller of an open stream may still call
  // its method: that its Binding is there, and its certificate is not revoked.
  // Otherwise the stream is cancelled.
  absl::Duration recheck_interval = absl::Seconds(10);
  // Set with `tls`. Outlives the server. Metrics: those of
  // libs/tls/followed_files.h, insula_rpc_calls_refused_total.
  metrics::Registry* metrics = nullptr;
  // Hears of calls that are refused to a certificate. May be empty.
  OnRefused on_refused;
};

class Server {
 public:
  // `services` outlive the server. UNAVAILABLE if the address can't be bound.
  // INVALID_ARGUMENT for TLS files that can't be used; later ones that can't be
  // are not taken. FAILED_PRECONDITION if a
  // method does not say which role its callers need (roles.h). Healthy from the
  // start.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options, std::vector<grpc::Service*> services);
  // Drains without patience.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const { return port_; }
  std::string address() const { return address_; }

  // What the health service answers for "" and for every service. Not after
  // Drain.
  void SetServing(bool serving);

  // Turns unhealthy, refuses new calls, lets open ones finish until `timeout`
  // passes, then cancels what is left and waits for the end of its handlers.
  // Blocks; the executor of the handlers must run meanwhile. Once.
  void Drain(absl::Duration timeout);

 private:
  Server() = default;

  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::string address_;
  std::vector<std::string> service_names_;
};

}  // namespace insula::rpc
