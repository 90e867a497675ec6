// The head of a server's answer. For libs/http alone.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/http/message.h"

namespace insula::http {

// What an answer's head needs to know beyond the answer.
struct AnswerFacts {
  absl::string_view request_id;
  int minor_version = 1;  // Of the request.
  bool head_request = false;
  bool keep_alive = false;
  bool vary = false;  // Whether it is gzip depends on the request.
  // Its body is sent in chunks; to HTTP/1.0, up to the end of the connection.
  bool chunked = false;
};

// INVALID_ARGUMENT if its status is no final one, or a header would change the
// meaning of the message.
absl::Status CheckResponse(const Response& response);

// Whether `response` may carry a body at all.
bool MayHaveBody(const Response& response);

// Whether gzip may make `response` shorter: it has a body of 1 KiB or more that
// is not encoded yet.
bool IsWorthGzip(const Response& response);

// The head of `response`. Connection, Content-Length, Date and X-Request-Id are
// ours; the handler's own and all hop-by-hop headers are left out.
std::string ResponseHeadText(const Response& response,
                             const AnswerFacts& facts);

}  // namespace insula::http
