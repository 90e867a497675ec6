#include "libs/rpc/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "libs/tls/chain.h"
#include "libs/tls/crl.h"

namespace insula::rpc {
namespace {

namespace tls_api = grpc::experimental;

// That the server is the service that was dialled.
class ServiceVerifier final : public tls_api::ExternalCertificateVerifier {
 public:
  ServiceVerifier(std::string expected, tls::Crls crls)
      : expected_(std::move(expected)), crls_(std::move(crls)) {}

  bool Verify(tls_api::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/,
              grpc::Status* status) override {
    std::vector<std::string> uris;
    for (const grpc::string_ref& uri : request->uri_names()) {
      uris.emplace_back(uri.data(), uri.size());
    }
    const absl::StatusOr<Identity> server = IdentityOf(uris);
    if (!server.ok()) {
      *status = Refusal(server.status().message());
    } else if (server->uri != expected_) {
      *status = Refusal(
          absl::StrCat("it is ", server->uri, ", expected ", expected_));
    } else if (const absl::Status revoked = CheckRevocation(*request);
               !revoked.ok()) {
      *status = Refusal(revoked.message());
    }
    return true;
  }
  void Cancel(tls_api::TlsCustomVerificationCheckRequest*) override {}

 private:
  static grpc::Status Refusal(absl::string_view why) {
    return {grpc::StatusCode::PERMISSION_DENIED,
            absl::StrCat("the server is not trusted: ", why)};
  }

  absl::Status CheckRevocation(
      const tls_api::TlsCustomVerificationCheckRequest& request) const {
    if (crls_.empty()) return absl::OkStatus();
    tls::Chain peer;
    for (const grpc::string_ref& text :
         {request.peer_cert(), request.peer_cert_full_chain()}) {
      ASSIGN_OR_RETURN(const tls::Chain part,
                       tls::ReadChain({text.data(), text.size()}));
      peer.insert(peer.end(), part.begin(), part.end());
    }
    return tls::CheckRevoked(crls_, peer);
  }

  const std::string expected_;
  const tls::Crls crls_;
};

std::shared_ptr<grpc::ChannelCredentials> Credentials(
    const Pem& pem, const std::string& service) {
  tls_api::IdentityKeyCertPair pair;
  pair.private_key = pem.key;
  pair.certificate_chain = pem.cert;
  tls_api::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<tls_api::StaticDataCertificateProvider>(
          pem.ca, std::vector<tls_api::IdentityKeyCertPair>{pair}));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_certificate_verifier(
      tls_api::ExternalCertificateVerifier::Create<ServiceVerifier>(
          absl::StrCat("spiffe://", pem.own.trust_domain, "/insula/", service),
          pem.crls));
  // The host's name is not what a service is known by.
  options.set_check_call_host(false);
  return tls_api::TlsCredentials(options);
}

}  // namespace

Channel::Channel(ChannelOptions options, metrics::Registry* metrics)
    : options_(std::move(options)) {
  if (options_.tls.has_value()) {
    // Not make_unique: it can't be moved.
    files_.reset(new PemFiles(FollowPem(*options_.tls, metrics)));
  }
}

absl::StatusOr<std::unique_ptr<Channel>> Channel::Make(
    ChannelOptions options, metrics::Registry* metrics) {
  options.arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  std::unique_ptr<Channel> channel(new Channel(std::move(options), metrics));
  if (channel->files_ != nullptr) {
    RETURN_IF_ERROR(channel->files_->Get().status());
  }
  return channel;
}

std::shared_ptr<grpc::Channel> Channel::Get() {
  std::shared_ptr<grpc::Channel> before;  // Released without the lock.
  const sync::MutexLock lock(&mutex_);
  if (files_ == nullptr) {
    if (channel_ == nullptr) {
      channel_ = grpc::CreateCustomChannel(options_.address,
                                           grpc::InsecureChannelCredentials(),
                                           options_.arguments);
    }
    return channel_;
  }
  // Make has had a value, and then there always is one.
  std::shared_ptr<const Pem> pem = *files_->Get();
  if (pem != shown_) {
    before = std::exchange(
        channel_, grpc::CreateCustomChannel(options_.address,
                                            Credentials(*pem, options_.service),
                                            options_.arguments));
    shown_ = std::move(pem);
  }
  return channel_;
}

}  // namespace insula::rpc
