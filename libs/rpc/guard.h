// Judges the calls of one server with mutual TLS, before and once their
// requests are read. For libs/rpc alone.
#pragma once

#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/callers.h"
#include "libs/rpc/refused_call.h"

namespace insula::rpc {

// Thread-safe. Metrics: insula_rpc_calls_refused_total.
class Guard {
 public:
  // Why a certificate, given with its chain as PEM, is void; OK if it is not.
  using CertificateCheck = std::function<absl::Status(absl::string_view pem)>;

  // `metrics` outlives it, and so do the bindings of the rules. Streams are
  // looked at again every `recheck_interval`. `on_refused`, which may be empty,
  // hears of each refusal.
  Guard(CallerRules rules, CertificateCheck check_certificate,
        absl::Duration recheck_interval, metrics::Registry* metrics,
        OnRefused on_refused);

  const CallerRules& rules() const { return rules_; }
  absl::Duration recheck_interval() const { return recheck_interval_; }

  // Whether a peer with these names may call the method of `path`; a refusal
  // is counted. `request_id` is what the caller names it.
  absl::Status CheckCall(PeerNames names, absl::string_view pem,
                         absl::string_view path, absl::string_view request_id);
  // The same of a call that is open, which is to end otherwise.
  absl::Status CheckOpen(const grpc::CallbackServerContext& context);

  // Counts a call of `caller` that is refused for what its request says.
  void CountRefusal(const grpc::CallbackServerContext& context,
                    const Caller& caller, const absl::Status& why);

 private:
  void Count(const Caller& caller, absl::string_view path,
             absl::string_view request_id, const absl::Status& why);

  const CallerRules rules_;
  const CertificateCheck check_certificate_;
  const absl::Duration recheck_interval_;
  metrics::Counter& refused_;
  const OnRefused on_refused_;
};

// What handlers get for a context from a server with a guard.
class GuardedContext final : public grpc::CallbackServerContext {
 public:
  explicit GuardedContext(Guard* guard) : guard_(guard) {}
  Guard* guard() const { return guard_; }
  // Of the method, once the handler begins.
  const std::string& path() const { return path_; }
  void set_path(absl::string_view path) { path_ = std::string(path); }

 private:
  Guard* const guard_;
  std::string path_;
};

// Makes a server have such contexts.
void UseGuard(std::shared_ptr<Guard> guard, grpc::ServerBuilder* builder);

// The names in the certificate of who calls; none in plain text.
PeerNames PeerNamesOf(const grpc::CallbackServerContext& context);

// The guard of a call; null if its server has none.
Guard* GuardOf(const grpc::CallbackServerContext& context);

}  // namespace insula::rpc
