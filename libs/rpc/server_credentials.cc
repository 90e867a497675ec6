#include "libs/rpc/server_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <utility>

#include "libs/logging/logging.h"
#include "libs/rpc/callers.h"
#include "libs/rpc/pem_files.h"
#include "libs/status/status_macros.h"

namespace insula::rpc {
namespace {

absl::string_view View(const grpc_slice& slice) {
  return absl::string_view(
      reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)),
      GRPC_SLICE_LENGTH(slice));
}

// Owned by gRPC's credentials, whose callbacks it serves on gRPC's threads.
class State {
 public:
  State(const Tls& tls, std::vector<std::string> admins,
        metrics::Registry* metrics)
      : files_(FollowPem(tls, metrics)),
        refused_(metrics->AddCounter(
            "insula_rpc_calls_refused_total",
            "Calls of peers whose certificate does not allow them.")) {
    rules_.admins = std::move(admins);
  }

  absl::Status Load() {
    ASSIGN_OR_RETURN(const auto pem, files_.Get());
    rules_.trust_domain = pem->own.trust_domain;
    return absl::OkStatus();
  }

  // Called for each connection, one at a time.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* state, grpc_ssl_server_certificate_config** config) {
    auto* const self = static_cast<State*>(state);
    const absl::StatusOr<std::shared_ptr<const Pem>> pem = self->files_.Get();
    if (!pem.ok()) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
    if (*pem == self->shown_) {
      return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    }
    const grpc_ssl_pem_key_cert_pair pair = {(*pem)->key.c_str(),
                                             (*pem)->cert.c_str()};
    *config =
        grpc_ssl_server_certificate_config_create((*pem)->ca.c_str(), &pair, 1);
    self->shown_ = *pem;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  // Called for each call.
  static void Process(void* state, grpc_auth_context* context,
                      const grpc_metadata* metadata, size_t count,
                      grpc_process_auth_metadata_done_cb done,
                      void* user_data) {
    auto* const self = static_cast<State*>(state);
    absl::string_view path;
    for (size_t i = 0; i < count; ++i) {
      if (View(metadata[i].key) == ":path") path = View(metadata[i].value);
    }
    const absl::Status status = self->Check(context, path);
    if (status.ok()) {
      done(user_data, nullptr, 0, nullptr, 0, GRPC_STATUS_OK, nullptr);
      return;
    }
    done(user_data, nullptr, 0, nullptr, 0,
         static_cast<grpc_status_code>(status.code()),
         std::string(status.message()).c_str());
  }

  static void Destroy(void* state) { delete static_cast<State*>(state); }

 private:
  absl::Status Check(const grpc_auth_context* context, absl::string_view path) {
    std::vector<std::string> uris;
    grpc_auth_property_iterator found =
        grpc_auth_context_find_properties_by_name(context,
                                                  GRPC_PEER_URI_PROPERTY_NAME);
    while (const grpc_auth_property* property =
               grpc_auth_property_iterator_next(&found)) {
      uris.emplace_back(property->value, property->value_length);
    }
    // Without its name a method can't be looked up.
    const absl::Status status =
        path.empty() ? absl::InternalError("the call has no path")
                     : CheckCaller(uris, path, rules_);
    if (status.ok()) return status;
    refused_.Increment();
    logging::Debug("call refused", {{"err", status}});
    return status;
  }

  PemFiles files_;
  metrics::Counter& refused_;
  CallerRules rules_;
  std::shared_ptr<const Pem> shown_;
};

// gRPC has no C++ class for credentials that are asked for at each connection.
class FetchedCredentials final : public grpc::ServerCredentials {
 public:
  explicit FetchedCredentials(std::unique_ptr<State> state) {
    State* const owned = state.release();
    credentials_ = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
            &State::Fetch, owned));
    grpc_auth_metadata_processor processor = {};
    processor.process = &State::Process;
    processor.destroy = &State::Destroy;
    processor.state = owned;
    grpc_server_credentials_set_auth_metadata_processor(credentials_,
                                                        processor);
  }
  ~FetchedCredentials() override {
    grpc_server_credentials_release(credentials_);
  }

  // The state is the processor.
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/)
      override {}

 private:
  int AddPortToServer(const std::string& address,
                      grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* credentials_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TlsServerCredentials(
    const Tls& tls, std::vector<std::string> admins,
    metrics::Registry* metrics) {
  auto state = std::make_unique<State>(tls, std::move(admins), metrics);
  RETURN_IF_ERROR(state->Load());
  return std::make_shared<FetchedCredentials>(std::move(state));
}

}  // namespace insula::rpc
