// Where the body of a message ends. For libs/http alone.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/message.h"

namespace insula::http {

struct Framing {
  enum class Body { kNone, kLength, kChunked, kUntilClose };
  Body body = Body::kNone;
  uint64_t length = 0;           // Of kLength; more than 0.
  bool keep_alive = false;       // The peer does not ask to close.
  bool expect_continue = false;  // It waits for "100 Continue".
};

// INVALID_ARGUMENT if it is ambiguous: Content-Length and Transfer-Encoding
// both, either twice, a length that is not all digits, a coding that is not
// exactly "chunked", not exactly one sane Host in HTTP/1.1.
// FAILED_PRECONDITION for an Expect other than 100-continue.
absl::StatusOr<Framing> FrameRequest(const Headers& headers, int minor_version);

// The same for the answer with `status` to a request with `method`.
absl::StatusOr<Framing> FrameResponse(const Headers& headers, int minor_version,
                                      int status, absl::string_view method);

}  // namespace insula::http
