// OpenSSL contexts from TLS settings. For libs/http alone.
#pragma once

#include <openssl/ssl.h>

#include <boost/asio/ssl/context.hpp>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/tls.h"
#include "libs/tls/crl.h"

namespace insula::http {

// INVALID_ARGUMENT names the file that can't be used. The lists of
// tls.client_crl_file go into `*crls` as well.
absl::StatusOr<std::shared_ptr<boost::asio::ssl::context>> MakeServerContext(
    const ServerTls& tls, tls::Crls* crls);
absl::StatusOr<std::shared_ptr<boost::asio::ssl::context>> MakeClientContext(
    const ClientTls& tls);

// Makes a client's handshake ask for `name` and accept only its certificate.
absl::Status ExpectServer(SSL* ssl, absl::string_view name);

}  // namespace insula::http
