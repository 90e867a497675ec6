#include "libs/http/tls_source.h"

#include <utility>

#include "libs/http/tls_context.h"

namespace insula::http {
namespace {

using Files = tls::FollowedFiles<boost::asio::ssl::context>;

absl::StatusOr<Files::Made> WithChain(
    absl::StatusOr<TlsSource::Context> context, tls::Crls crls = {}) {
  if (!context.ok()) return context.status();
  Files::Made made;
  made.chain = tls::ChainOf((*context)->native_handle());
  made.value = *std::move(context);
  made.crls = std::move(crls);
  return made;
}

}  // namespace

TlsSource::TlsSource(const ServerTls& tls, metrics::Registry* metrics)
    : files_(
          {{tls.cert_file, tls.key_file, tls.client_ca_file,
            tls.client_crl_file},
           tls.cert_file,
           tls.client_crl_file},
          [tls] {
            tls::Crls crls;
            auto context = MakeServerContext(tls, &crls);
            return WithChain(std::move(context), std::move(crls));
          },
          metrics) {}

TlsSource::TlsSource(const ClientTls& tls, metrics::Registry* metrics)
    : files_(
          {{tls.cert_file, tls.key_file, tls.ca_file}, tls.cert_file, ""},
          [tls] { return WithChain(MakeClientContext(tls)); }, metrics) {}

}  // namespace insula::http
