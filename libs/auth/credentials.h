// Finds what a request proves itself with.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/auth/listener_auth.h"
#include "libs/auth/verifier.h"
#include "libs/http/message.h"
#include "libs/tenancy/tenant_id.h"

namespace insula::auth {

// The one credential of a request, of those that the listener accepts; none is
// left to the trusted header. Headers of methods that the listener does not
// accept are not looked at. A client certificate has scheme "certificate" and
// no text.
//
//   INVALID_ARGUMENT  several credentials, a header that comes twice or is
//                     spelled with underscores
//   UNAUTHENTICATED   what is no credential at all
//
// Messages never contain one.
absl::StatusOr<std::optional<Credential>> FindCredential(
    const http::Request& request, const ListenerAuth& listener);

// The value of header `name`, which may be missing. INVALID_ARGUMENT for
// whatever one reader could take for one value and another reader for another:
// a header that comes twice, or is spelled with underscores.
absl::StatusOr<std::optional<absl::string_view>> ReadOnce(
    const http::Headers& headers, absl::string_view name);

// The tenant that header `name` names; it may be missing.
absl::StatusOr<std::optional<tenancy::TenantId>> ReadTenantHeader(
    const http::Headers& headers, absl::string_view name);

}  // namespace insula::auth
