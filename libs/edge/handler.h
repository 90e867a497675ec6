// What a service does with the HTTP requests of tenants.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>

#include "libs/auth/auth.h"
#include "libs/http/message.h"

namespace insula::edge {

// Answers the requests of all listeners. `auth` is what the listener of the
// request accepts as proof of identity, and outlives the call. Thread-safe.
class Handler {
 public:
  virtual ~Handler() = default;

  // Looks at a request before its body is read; an answer refuses it.
  virtual std::optional<http::Response> Admit(
      const http::Request& request, const auth::ListenerAuth* auth) = 0;

  // Answers a request; see http::Handler.
  virtual boost::asio::awaitable<http::Response> Handle(
      http::Request request, const auth::ListenerAuth* auth) = 0;
};

}  // namespace insula::edge
