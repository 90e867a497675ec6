// A small blocking HTTP client, apart from the one under test.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::e2e {

struct HttpAnswer {
  int status = 0;  // 0: no answer came.
  std::string head;
  std::string body;
};

// The value of a header in the head of a message, "" if it is not there.
std::string HeaderOf(absl::string_view head, absl::string_view name);

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// One request on a connection of its own to 127.0.0.1. `target` goes out as it
// is. The answer ends with the connection, or with its Content-Length.
HttpAnswer HttpSend(int port, absl::string_view method,
                    absl::string_view target, const HttpHeaders& headers = {},
                    absl::string_view body = "",
                    absl::Duration timeout = absl::Minutes(1));

// A TCP connection to a port of 127.0.0.1. No read or write on it waits longer
// than `timeout`. The caller closes it. -1: nobody listens.
int Connect(int port, absl::Duration timeout = absl::Minutes(1));

// "name=value&..." with everything but letters and digits percent-encoded.
std::string FormEncode(
    const std::vector<std::pair<std::string, std::string>>& params);

}  // namespace insula::e2e
