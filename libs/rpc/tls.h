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
};

}  // namespace insula::rpc
