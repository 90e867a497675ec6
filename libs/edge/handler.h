// What a service does with the HTTP requests of tenants.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>

#include "libs/auth/authenticator.h"
#include "libs/http/message.h"

namespace insula::edge {

// Answers the requests of all listeners. `auth` knows who sends a request to
// the listener that it came to, and outlives the call. Thread-safe.
class Handler {
 public:
  virtual ~Handler() = default;

  // Looks at a request before its body is read; an answer refuses it. What
  // takes waiting is left to Handle().
  virtual std::optional<http::Response> Admit(
      const http::Request& request, const auth::Authenticator* auth) = 0;

  // Answers a request; see http::Handler. The listener puts the challenges of
  // `auth` into an answer with status 401.
  virtual boost::asio::awaitable<http::Response> Handle(
      http::Request request, const auth::Authenticator* auth) = 0;
};

}  // namespace insula::edge
