// Mutual TLS between services: where the certificates are.
#pragma once

#include <string>

namespace insula::rpc {

// PEM files: own certificate and key, and the CA of the peers. The certificate
// names its holder by one URI, see identity.h.
struct Tls {
  std::string cert_file;
  std::string key_file;
  std::string ca_file;
  // Of peers that are revoked: a CRL of each CA of their chains. One that has
  // ended lets nobody in. Empty: nothing is asked about revocation.
  std::string crl_file = {};
};

}  // namespace insula::rpc
