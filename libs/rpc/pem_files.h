// The certificates of a process for mutual TLS, read and checked.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/identity.h"
#include "libs/rpc/tls.h"
#include "libs/tls/crl.h"
#include "libs/tls/followed_files.h"

namespace insula::rpc {

// PEM texts that gRPC can use.
struct Pem {
  std::string cert;
  std::string key;
  std::string ca;
  Identity own;  // As the certificate says.
  tls::Crls crls;
};

using PemFiles = tls::FollowedFiles<Pem>;

// Follows the files. INVALID_ARGUMENT of its Get(): a file can't be read, is no
// PEM, the key is another's, the certificate names no identity, or a CRL is not
// signed by its CA.
PemFiles FollowPem(const Tls& tls, metrics::Registry* metrics);

}  // namespace insula::rpc
