// What Keystone's API v3 is asked, and what it answers. For keystone.cc and the
// tests.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/auth/verifier.h"
#include "libs/secret/secret.h"

namespace insula::auth {

// Whom a token is asked for: "password" of the Identity API v3, scoped to a
// project, or to the system if that has no name.
struct KeystoneLogin {
  std::string user_name;
  std::string user_domain;
  std::string project_name;
  std::string project_domain;
};

// The body for POST /v3/auth/tokens. Holds the password: wipe it.
std::string KeystoneLoginBody(const KeystoneLogin& login,
                              const Secret& password);

// The `expires_at` of an answer of either request. INVALID_ARGUMENT if it makes
// no sense, as below.
absl::StatusOr<absl::Time> KeystoneExpiry(absl::string_view body);

// The principal that the answer to GET /v3/auth/tokens is about.
// UNAUTHENTICATED if the token has expired, PERMISSION_DENIED if it has no
// project or, with `accepted_roles`, none of them; INVALID_ARGUMENT if the
// answer makes no sense.
absl::StatusOr<Principal> ReadKeystoneToken(
    absl::string_view body, absl::string_view issuer,
    const std::vector<std::string>& accepted_roles, absl::Time now);

}  // namespace insula::auth
