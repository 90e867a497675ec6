// What a write's method, path and headers must be.
#pragma once

#include <optional>

#include "libs/http/message.h"

namespace insula::ingest_gateway {

enum class Protocol { kWrite1, kWrite2 };  // Remote write 1.0 and 2.0.

// The answer to a request that is no remote write by its head: 404, 405, 400 or
// 415 with the cure, or 200 `Up` for GET /. Nullopt: go on.
std::optional<http::Response> AnswerByHead(const http::Request& request);

// The protocol of a request that may go on. Only Content-Type says so, without
// one it is 1.0.
Protocol ProtocolOf(const http::Request& request);

}  // namespace insula::ingest_gateway
