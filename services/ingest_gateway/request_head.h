// What a write's method, path and headers must be.
#pragma once

#include <optional>

#include "libs/http/message.h"

namespace insula::ingest_gateway {

// The answer to a request that is no remote write 1.0 by its head: 404, 405,
// 400 or 415 with the cure, or 200 `Up` for GET /. Nullopt: go on.
std::optional<http::Response> AnswerByHead(const http::Request& request);

}  // namespace insula::ingest_gateway
