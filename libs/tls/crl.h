// Lists of certificates that were revoked before their end.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/tls/chain.h"

namespace insula::tls {

// One of each CA that may have issued a certificate. Empty: nothing is asked
// about revocation.
using Crls = std::vector<std::shared_ptr<X509_CRL>>;

// The lists of a PEM text. INVALID_ARGUMENT if one of them is damaged or there
// is none.
absl::StatusOr<Crls> ReadCrls(absl::string_view pem);

// That each list whose CA is among `authorities` is signed by it: a list of
// somebody else would let nobody in. INVALID_ARGUMENT.
absl::Status CheckSigned(const Crls& crls, const Chain& authorities);

// That the lists are valid now. FAILED_PRECONDITION.
absl::Status CheckDates(const Crls& crls);

// When the first of them ends; never, if there is none that does.
absl::Time EndOf(const Crls& crls);

// Makes `context` refuse certificates of peers that are revoked, whose CA, or
// that of a certificate in between, has no list, or whose list is not valid
// when they come.
absl::Status Use(const Crls& crls, SSL_CTX* context);

// The same of a chain that was verified, the peer's own certificate first, for
// those who have no context. PERMISSION_DENIED says why it is refused. OK
// without lists.
absl::Status CheckRevoked(const Crls& crls, const Chain& peer);

}  // namespace insula::tls
