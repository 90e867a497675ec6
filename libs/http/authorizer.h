// Who puts credentials on the requests of a client.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace insula::http {

struct ClientRequest;

// Thread-safe.
class Authorizer {
 public:
  virtual ~Authorizer() = default;

  // Whether requests to that host and path get anything at all. The others are
  // not asked about.
  virtual bool Covers(const ClientRequest& request) const = 0;

  // Adds to `request`, which is complete otherwise, what its host wants to see.
  // An error means that the request is not sent, and fails with it. `request`
  // outlives the call, which ends soon after `deadline`.
  virtual boost::asio::awaitable<absl::Status> Authorize(
      ClientRequest* request, absl::Time deadline) = 0;

  // The host has answered `request` with 401. Whether Authorize() has something
  // else to show now; then the request, as it was before the first Authorize(),
  // is sent again, once.
  virtual boost::asio::awaitable<bool> Renew(const ClientRequest* request,
                                             absl::Time deadline) = 0;
};

}  // namespace insula::http
