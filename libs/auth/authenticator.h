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
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/auth/auth.h"
#include "libs/auth/listener_auth.h"
#include "libs/auth/methods.h"
#include "libs/auth/verifier.h"
#include "libs/http/message.h"
#include "libs/tenancy/snapshot.h"

namespace insula::auth {

// Why a request was refused, for an audit. Nothing that the request only
// claims.
struct Refusal {
  absl::Status why;
  std::string identity;  // Who was proven to have sent it; may be empty.
  std::string tenant;    // That it names, if there is such a tenant.
  std::string reason;    // Of handlers: a constant, "foreign_series".
};

// Thread-safe.
class Authenticator {
 public:
  using OnRefusal =
      std::function<void(const http::Request& request, const Refusal& refusal)>;

  // `config` is valid.
  explicit Authenticator(ListenerAuth config, Methods methods = {});

  const ListenerAuth& config() const { return config_; }

  // `hear` is called for each request that TryNow() or Authenticate() refuses
  // by UNAUTHENTICATED or PERMISSION_DENIED. To be set before the first one.
  void set_on_refusal(OnRefusal hear) { on_refusal_ = std::move(hear); }
  // For handlers that refuse `caller` what it asks for.
  void NoteRefusal(const http::Request& request, const Caller& caller,
                   const absl::Status& why, absl::string_view reason) const;

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
  std::optional<absl::StatusOr<Caller>> DecideNow(
      const http::Request& request,
      std::shared_ptr<const tenancy::Snapshot> snapshot,
      registry::v1::Role role, absl::Time now) const;
  boost::asio::awaitable<absl::StatusOr<Caller>> Decide(
      const http::Request* request,
      std::shared_ptr<const tenancy::Snapshot> snapshot,
      registry::v1::Role role, absl::Time now) const;
  void Note(const http::Request& request, const tenancy::Snapshot* snapshot,
            const absl::Status& why, absl::string_view reason = "") const;
  Verifier* VerifierFor(const Credential& credential) const;
  absl::StatusOr<Caller> CallerFrom(
      const http::Request& request, const absl::StatusOr<Principal>& principal,
      std::shared_ptr<const tenancy::Snapshot> snapshot,
      registry::v1::Role role, absl::Time now) const;

  const ListenerAuth config_;
  const Methods methods_;
  std::vector<std::string> challenges_;
  OnRefusal on_refusal_;
};

}  // namespace insula::auth
