// For which tenants a request wants to be answered.
//
// A request may name tenants in three places: in the header of the listener,
// before its path (/t/TENANT/api/v1/query), and as parameters `namespace` of
// its URL. Whether the caller may act for them its bindings say: a name chooses
// among what the identity allows and is no proof of anything.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/auth/caller.h"
#include "libs/auth/listener_auth.h"
#include "libs/http/message.h"
#include "services/query_frontend/route.h"

namespace insula::query_frontend {

// The most tenants of one request.
inline constexpr size_t kMaxTenants = 16;

// What to authenticate: the request as it is, or as one that names one tenant
// by header.
class Inquiry {
 public:
  explicit Inquiry(const http::Request* request) : request_(request) {}
  Inquiry(http::Request head, std::string tenant_id)
      : head_(std::move(head)), tenant_id_(std::move(tenant_id)) {}

  // Without a body if there are several tenants. Lives as long as this and the
  // request.
  const http::Request& request() const { return head_ ? *head_ : *request_; }

  // OK if `caller`, which was found for it, acts for the tenant named.
  // PERMISSION_DENIED otherwise.
  absl::Status Check(const auth::Caller& caller) const;

 private:
  const http::Request* request_ = nullptr;
  std::optional<http::Request> head_;
  std::string tenant_id_;  // "": named nowhere but perhaps in the header.
};

// One for each tenant that `request` names, sorted, none twice; one if it names
// none. In the header and in a parameter several are joined by '|', and the
// parameter may come several times. INVALID_ARGUMENT if two places name
// different tenants, for what is no tenant id, and for too many.
//
// A tenant that is named elsewhere is put into the header only where the header
// proves nothing, and only there may the header name several; `request`
// outlives the result.
absl::StatusOr<std::vector<Inquiry>> InquiriesOf(
    const http::Request* request, const Route& route,
    const auth::ListenerAuth& listener);

}  // namespace insula::query_frontend
