// Bodies that are passed on while they come.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/message.h"

namespace insula::http {

// The part of a body that is not here yet. Used by one coroutine at a time;
// destroying it gives up what has not come. See Response::rest.
class BodySource {
 public:
  virtual ~BodySource() = default;

  // The next bytes, at least one, or none at the end. They stay until the next
  // call. After an error only the destructor may be called: the body is not
  // whole, and whoever gets it must see that.
  virtual boost::asio::awaitable<absl::StatusOr<absl::string_view>> Next() = 0;
};

// Waits for the rest of `response`, if it has any, which then is in its body.
// RESOURCE_EXHAUSTED if the body gets longer than `max_bytes`, and the errors
// of the rest.
boost::asio::awaitable<absl::Status> CollectRest(Response* response,
                                                 size_t max_bytes);

}  // namespace insula::http
