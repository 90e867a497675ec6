// The least that stands between a client and a store.
#pragma once

#include "absl/strings/string_view.h"

namespace insula::bench {

// Relays HTTP messages with a Content-Length, one connection to `store_port` of
// 127.0.0.1 for each that comes to `listener`, for ever: Boost.Beast in
// coroutines on one thread, and nothing else. What a proxy costs beside it is
// the proxy's own.
int Relay(int listener, int store_port);

}  // namespace insula::bench
