// Senders of remote write, without the costs of a client library.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/bench/harness.h"
#include "tools/loadgen/corpus.h"
#include "tools/loadgen/latencies.h"

namespace insula::bench {

// What is sent, and by whom.
struct Sending {
  const loadgen::Corpus* corpus;
  std::string token;
  loadgen::Protocol protocol = loadgen::Protocol::kV1;
};

// The time of request `n`: passes are 15 s apart.
absl::Time TimeOf(const loadgen::Load& load, int64_t n);

// Request `n` with its head. `maker` is of its corpus and protocol.
std::string HttpRequest(const Sending& sending, int64_t n,
                        loadgen::RequestMaker* maker);

// Sends a request; false, and says so on stderr, if it is not answered with
// 204.
bool Write(Connection* connection, absl::string_view request);

// Sends requests `first` to `end` over some connections at once; false if one
// was not answered with 204.
bool SendWrites(int port, const Sending& sending, int64_t first, int64_t end);

// Sends the requests `numbers` one after the other, one each `pace`, and adds
// how long each took since it was due. False as above.
bool SendPaced(int port, const Sending& sending,
               const std::vector<int64_t>& numbers, absl::Duration pace,
               loadgen::Latencies* took);

}  // namespace insula::bench
