// The command line of loadgen. Wraps CLI11, whose exceptions end here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/message.h"
#include "libs/http/url.h"
#include "tools/loadgen/corpus.h"

namespace insula::loadgen {

// What to send, where to, and how fast.
struct Options {
  http::Url url;
  http::Headers headers;      // With the bearer token, if there is one.
  std::string tenant_header;  // Not empty: names the tenant of each request.
  std::string ca_file;        // For https; empty: the system's.
  Load load;
  Protocol protocol = Protocol::kV1;
  int connections = 4;
  // Ends after as many passes or so long, whichever is first; either may be
  // without bound, not both.
  int64_t passes = 0;  // 0: no bound.
  absl::Duration duration = absl::InfiniteDuration();
  double rate = 0;  // Requests a second of all connections; 0: no pauses.
  absl::Duration timeout = absl::Seconds(30);  // Of a request.
  bool quiet = false;                          // No progress on stderr.
};

// What the command line asks for.
struct CommandLine {
  std::optional<Options> options;  // Empty: print `text`, all is well.
  std::string text;
};

// `arguments` without the name of the program. INVALID_ARGUMENT with what is
// wrong and its cure; also for a file that can't be read.
absl::StatusOr<CommandLine> ParseCommandLine(
    const std::vector<std::string>& arguments);

}  // namespace insula::loadgen
