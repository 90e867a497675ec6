// The certificates that a process shows to its peers.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::tls {

// The own certificate, then those that are sent with it. Empty: none is shown.
using Chain = std::vector<std::shared_ptr<X509>>;

// What peers of `context` are shown.
Chain ChainOf(SSL_CTX* context);

// The certificates of a PEM text, which may hold other things too.
// INVALID_ARGUMENT if one of them is damaged.
absl::StatusOr<Chain> ReadChain(absl::string_view pem);

// That a peer can accept the chain now: each certificate is signed by the next,
// and all are valid. OK for an empty one, FAILED_PRECONDITION says what is
// wrong.
absl::Status CheckChain(const Chain& chain);

// When the own certificate ends; never, if there is none.
absl::Time EndOf(const Chain& chain);

}  // namespace insula::tls
