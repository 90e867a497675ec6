// Methods of proving who one is: each turns a credential into a Principal.
//
// A Principal is never a tenant. Bindings of the registry say for which tenants
// it may act; see tenancy/fact.h for how they are found.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::auth {

// What a request proves itself with, as found in the request.
struct Credential {
  // "bearer" (Authorization: Bearer), "basic" (Authorization: Basic), "token"
  // (X-Auth-Token), "api-key" (the API-key header of the listener).
  std::string scheme;
  // The secret without its scheme: the token; of "basic" the base64 text. 1 to
  // 8192 visible ASCII characters. Never logged, never part of a message.
  std::string text;
  // Where it comes from, for limits on failures: an IP address.
  std::string peer_address;
  // Nobody waits for the answer after that.
  absl::Time deadline = absl::InfiniteFuture();
};

// Who it is, proven. By method:
//
//   method         issuer          name         attributes
//   "jwt"          `iss`           `sub`        each claim that the listener
//                                               looks at, with its values
//   "keystone"     the URL of the  user id      project_id, project_name,
//                  identity                     project_domain_id, roles (each
//                  service, as                  name), user_name,
//                  configured                   user_domain_id
//   "kubernetes"   the name of     user name    groups; and each `extra` as
//                  the cluster,                 extra/KEY
//                  as configured
//   "basic"        -               user name    -
//   "certificate"  -               first SAN    uri, dns
struct Principal {
  std::string method;
  std::string issuer;
  std::string name;
  // Names come once each; values in the order of the source.
  std::vector<std::pair<std::string, std::vector<std::string>>> attributes;
  // The proof is void from then on.
  absl::Time expires = absl::InfiniteFuture();

  // Null if there is none.
  const std::vector<std::string>* Find(absl::string_view attribute) const {
    for (const auto& [name_of, values] : attributes) {
      if (name_of == attribute) return &values;
    }
    return nullptr;
  }
};

// One method. Thread-safe; bounded in what it keeps, and in how long it takes,
// by the credential's deadline and one of its own.
class Verifier {
 public:
  virtual ~Verifier() = default;

  // Who it is.
  //   UNAUTHENTICATED     wrong, unknown, expired, revoked; answered with 401
  //   PERMISSION_DENIED   known, and not let in; 403
  //   RESOURCE_EXHAUSTED  too many failures; 429
  //   UNAVAILABLE         it can't be said now; 503
  virtual boost::asio::awaitable<absl::StatusOr<Principal>> Verify(
      Credential credential) = 0;

  // The same, if it can be said without waiting, as of a credential that has
  // been verified not long ago.
  virtual std::optional<absl::StatusOr<Principal>> Known(
      const Credential& /*credential*/) {
    return std::nullopt;
  }

  // A challenge for header WWW-Authenticate: `Keystone uri="https://..."`.
  virtual std::string Challenge() const = 0;
};

// What a caller wants to do in a namespace of Kubernetes, for a
// SubjectAccessReview: `verb` on `resource/subresource` of `group`.
struct AccessQuestion {
  std::string namespace_name;
  std::string verb;         // "get"
  std::string group;        // "metrics.k8s.io"; empty: the core group.
  std::string resource;     // "pods"
  std::string subresource;  // "metrics"; may be empty.
  absl::Time deadline = absl::InfiniteFuture();
};

// Asks a third party whether a principal may do something, beside what its
// binding says. Thread-safe; bounded as a Verifier is.
class AccessReviewer {
 public:
  virtual ~AccessReviewer() = default;

  // PERMISSION_DENIED: no. UNAVAILABLE: it can't be said now.
  virtual boost::asio::awaitable<absl::Status> Review(
      Principal principal, AccessQuestion question) = 0;
};

}  // namespace insula::auth
