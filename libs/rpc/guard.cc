#include "libs/rpc/guard.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/support/server_interceptor.h>

#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "libs/logging/logging.h"
#include "libs/logging/request_id.h"
#include "libs/sync/mutex.h"

namespace insula::rpc {
namespace {

// gRPC does not release the context of a call that comes while the server
// shuts down, so what is left then goes with the allocator.
class Contexts final : public grpc::ContextAllocator {
 public:
  explicit Contexts(std::shared_ptr<Guard> guard) : guard_(std::move(guard)) {}

  grpc::CallbackServerContext* NewCallbackServerContext() override {
    auto context = std::make_unique<GuardedContext>(guard_.get());
    grpc::CallbackServerContext* const made = context.get();
    sync::MutexLock lock(&mutex_);
    live_.emplace(made, std::move(context));
    return made;
  }

  void Release(grpc::CallbackServerContext* context) override {
    std::unique_ptr<GuardedContext> released;
    sync::MutexLock lock(&mutex_);
    const auto at = live_.find(context);
    if (at == live_.end()) return;
    released = std::move(at->second);
    live_.erase(at);
  }
  // NOLINTNEXTLINE: the other overloads stay visible.
  using grpc::ContextAllocator::Release;

 private:
  const std::shared_ptr<Guard> guard_;
  sync::Mutex mutex_;
  std::unordered_map<grpc::CallbackServerContext*,
                     std::unique_ptr<GuardedContext>>
      live_ ABSL_GUARDED_BY(mutex_);
};

// Tells contexts their path, which gRPC tells interceptors alone.
class Paths final
    : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    auto* const context = dynamic_cast<GuardedContext*>(info->server_context());
    if (context != nullptr) context->set_path(info->method());
    return nullptr;  // None is needed.
  }
};

std::vector<std::string> ValuesOf(const grpc::AuthContext& peer,
                                  const char* name) {
  std::vector<std::string> values;
  for (const grpc::string_ref& value : peer.FindPropertyValues(name)) {
    values.emplace_back(value.data(), value.size());
  }
  return values;
}

// The path of a call's method, and what the caller names the call.
absl::string_view PathOf(const grpc::CallbackServerContext& context) {
  const auto* const guarded = dynamic_cast<const GuardedContext*>(&context);
  return guarded == nullptr ? absl::string_view() : guarded->path();
}

absl::string_view RequestIdOf(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find("x-request-id");
  if (found == context.client_metadata().end()) return "";
  return absl::string_view(found->second.data(), found->second.size());
}

}  // namespace

Guard::Guard(CallerRules rules, CertificateCheck check_certificate,
             absl::Duration recheck_interval, metrics::Registry* metrics,
             OnRefused on_refused)
    : rules_(std::move(rules)),
      check_certificate_(std::move(check_certificate)),
      recheck_interval_(recheck_interval),
      refused_(metrics->AddCounter(
          "insula_rpc_calls_refused_total",
          "Calls of peers whose certificate does not allow them.")),
      on_refused_(std::move(on_refused)) {}

absl::Status Guard::CheckCall(PeerNames names, absl::string_view pem,
                              absl::string_view path,
                              absl::string_view request_id) {
  const Caller caller(std::move(names), &rules_);
  absl::Status status = check_certificate_(pem);
  // Without its name a method can't be looked up.
  if (path.empty()) status.Update(absl::InternalError("the call has no path"));
  if (status.ok()) status = CheckPath(caller, path);
  if (!status.ok()) Count(caller, path, request_id, status);
  return status;
}

absl::Status Guard::CheckOpen(const grpc::CallbackServerContext& context) {
  const auto* const guarded = dynamic_cast<const GuardedContext*>(&context);
  const auto peer = context.auth_context();
  if (guarded == nullptr || peer == nullptr) {
    return absl::InternalError("the call is of another server");
  }
  std::string pem;
  for (const char* name : {GRPC_X509_PEM_CERT_PROPERTY_NAME,
                           GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME}) {
    for (const std::string& text : ValuesOf(*peer, name)) pem += text;
  }
  return CheckCall(PeerNamesOf(context), pem, guarded->path(),
                   RequestIdOf(context));
}

void Guard::CountRefusal(const grpc::CallbackServerContext& context,
                         const Caller& caller, const absl::Status& why) {
  Count(caller, PathOf(context), RequestIdOf(context), why);
}

void Guard::Count(const Caller& caller, absl::string_view path,
                  absl::string_view request_id, const absl::Status& why) {
  refused_.Increment();
  logging::Debug("call refused", {{"err", why}});
  if (on_refused_ == nullptr) return;
  RefusedCall call;
  call.code = why.code();
  call.caller = caller.name();
  const auto* const method = MethodOfPath(path);
  if (method != nullptr) call.method = method->full_name();
  if (logging::IsRequestId(request_id)) {
    call.request_id = std::string(request_id);
  }
  on_refused_(call);
}

void UseGuard(std::shared_ptr<Guard> guard, grpc::ServerBuilder* builder) {
  builder->SetContextAllocator(std::make_unique<Contexts>(std::move(guard)));
  std::vector<
      std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
      creators;
  creators.push_back(std::make_unique<Paths>());
  builder->experimental().SetInterceptorCreators(std::move(creators));
}

PeerNames PeerNamesOf(const grpc::CallbackServerContext& context) {
  PeerNames names;
  const auto peer = context.auth_context();
  if (peer == nullptr || !peer->IsPeerAuthenticated()) return names;
  names.uris = ValuesOf(*peer, GRPC_PEER_URI_PROPERTY_NAME);
  names.dns = ValuesOf(*peer, GRPC_PEER_DNS_PROPERTY_NAME);
  return names;
}

Guard* GuardOf(const grpc::CallbackServerContext& context) {
  const auto* const guarded = dynamic_cast<const GuardedContext*>(&context);
  return guarded == nullptr ? nullptr : guarded->guard();
}

}  // namespace insula::rpc
