// Bytes of protobuf and HTTP/2, right or wrong as a test wants them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace insula::registry_faults::wire {

void AppendVarint(uint64_t value, std::string* to);

// What a client of HTTP/2 begins with: the magic words, and no settings.
std::string Preface();
std::string Settings();
std::string Ping();
// The beginning of a gRPC call on a stream. The header is spelled out, without
// HPACK's tables.
std::string Headers(uint32_t stream, absl::string_view path);
std::string Data(uint32_t stream, absl::string_view bytes, bool last = false);
std::string Reset(uint32_t stream);

// Connects to a port of 127.0.0.1, sends all bytes as far as they are taken,
// ends its side, and reads until the other side ends or has been silent for a
// while. False: no connection.
bool Converse(int port, absl::string_view bytes);

}  // namespace insula::registry_faults::wire
