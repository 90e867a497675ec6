#include "libs/rpc/server_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <string>
#include <utility>
#include <vector>

#include "libs/rpc/pem_files.h"
#include "libs/status/status_macros.h"
#include "libs/tls/chain.h"
#include "libs/tls/crl.h"

namespace insula::rpc {
namespace {

absl::string_view View(const grpc_slice& slice) {
  return absl::string_view(
      reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)),
      GRPC_SLICE_LENGTH(slice));
}

// The values of a property of the peer.
std::vector<std::string> ValuesOf(const grpc_auth_context* context,
                                  const char* name) {
  std::vector<std::string> values;
  grpc_auth_property_iterator found =
      grpc_auth_context_find_properties_by_name(context, name);
  while (const grpc_auth_property* property =
             grpc_auth_property_iterator_next(&found)) {
    values.emplace_back(property->value, property->value_length);
  }
  return values;
}

// Owned by gRPC's credentials, whose callbacks it serves on gRPC's threads.
class State {
 public:
  // Not make_shared: it can't be moved.
  State(const Tls& tls, metrics::Registry* metrics)
      : files_(new PemFiles(FollowPem(tls, metrics))) {}

  absl::StatusOr<std::shared_ptr<Guard>> Start(CallerRules rules,
                                               absl::Duration recheck_interval,
                                               metrics::Registry* metrics,
                                               OnRefused on_refused) {
    ASSIGN_OR_RETURN(const auto pem, files_->Get());
    rules.trust_domain = pem->own.trust_domain;
    const auto check = [files = files_](absl::string_view peer) {
      return CheckCertificate(files.get(), peer);
    };
    guard_ = std::make_shared<Guard>(std::move(rules), check, recheck_interval,
                                     metrics, std::move(on_refused));
    return guard_;
  }

  // Called for each connection, one at a time.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* state, grpc_ssl_server_certificate_config** config) {
    auto* const self = static_cast<State*>(state);
    const absl::StatusOr<std::shared_ptr<const Pem>> pem = self->files_->Get();
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
    absl::string_view request_id;
    for (size_t i = 0; i < count; ++i) {
      const absl::string_view key = View(metadata[i].key);
      if (key == ":path") path = View(metadata[i].value);
      if (key == "x-request-id") request_id = View(metadata[i].value);
    }
    PeerNames names;
    names.uris = ValuesOf(context, GRPC_PEER_URI_PROPERTY_NAME);
    names.dns = ValuesOf(context, GRPC_PEER_DNS_PROPERTY_NAME);
    std::string pem;
    for (const char* name : {GRPC_X509_PEM_CERT_PROPERTY_NAME,
                             GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME}) {
      for (const std::string& text : ValuesOf(context, name)) pem += text;
    }
    const absl::Status status =
        self->guard_->CheckCall(std::move(names), pem, path, request_id);
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
  // gRPC knows no CRLs that change, so they are looked at here: a certificate
  // that is revoked makes no call, on connections that are open neither.
  static absl::Status CheckCertificate(PemFiles* files,
                                       absl::string_view peer) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const Pem> pem, files->Get());
    if (pem->crls.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const tls::Chain chain, tls::ReadChain(peer));
    return tls::CheckRevoked(pem->crls, chain);
  }

  const std::shared_ptr<PemFiles> files_;
  std::shared_ptr<Guard> guard_;
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

absl::StatusOr<TlsServer> MakeTlsServer(const Tls& tls, CallerRules rules,
                                        absl::Duration recheck_interval,
                                        metrics::Registry* metrics,
                                        OnRefused on_refused) {
  auto state = std::make_unique<State>(tls, metrics);
  TlsServer server;
  ASSIGN_OR_RETURN(server.guard,
                   state->Start(std::move(rules), recheck_interval, metrics,
                                std::move(on_refused)));
  server.credentials = std::make_shared<FetchedCredentials>(std::move(state));
  return server;
}

}  // namespace insula::rpc
