// What a listener does to know who sends a request.
//
//   std::optional<absl::StatusOr<auth::Caller>> known =
//       authenticator.TryNow(request, snapshot, v1::ROLE_READ, now);
//   if (!known) {
//     known = co_await authenticator.Authenticate(&request, snapshot,
//                                                 v1::ROLE_READ, now);
//   }
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/auth/auth.h"
#include "libs/auth/listener_auth.h"
#include "libs/auth/methods.h"
#include "libs/auth/verifier.h"
#include "libs/http/message.h"
#include "libs/tenancy/snapshot.h"

namespace insula::auth {

// Thread-safe.
class Authenticator {
 public:
  // `config` is valid.
  explicit Authenticator(ListenerAuth config, Methods methods = {});

  const ListenerAuth& config() const { return config_; }

  // What can be said without waiting; nothing if a verifier or a reviewer must
  // be asked. The outcome is that of AuthenticateNow().
  std::optional<absl::StatusOr<Caller>> TryNow(
      const http::Request& request,
      std::shared_ptr<const tenancy::Snapshot> snapshot,
      registry::v1::Role role, absl::Time now) const;

  // The same, with verifiers and reviewer asked. Errors are those of
  // AuthenticateNow(), of Verifier and of AccessReviewer. `request` and this
  // outlive the call.
  boost::asio::awaitable<absl::StatusOr<Caller>> Authenticate(
      const http::Request* request,
      std::shared_ptr<const tenancy::Snapshot> snapshot,
      registry::v1::Role role, absl::Time now) const;

  // The challenges of the listener's methods, for header WWW-Authenticate. At
  // least one.
  const std::vector<std::string>& challenges() const { return challenges_; }

 private:
  Verifier* VerifierFor(const Credential& credential) const;
  absl::StatusOr<Caller> CallerFrom(
      const http::Request& request, const absl::StatusOr<Principal>& principal,
      std::shared_ptr<const tenancy::Snapshot> snapshot,
      registry::v1::Role role, absl::Time now) const;

  const ListenerAuth config_;
  const Methods methods_;
  std::vector<std::string> challenges_;
};

}  // namespace insula::auth
