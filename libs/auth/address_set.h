// Sets of IP addresses, as configured.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace insula::auth {

// Whether `text` is an IP address or a network ("10.1.0.0/16"), and not every
// address there is (".../0").
absl::Status CheckNetwork(absl::string_view text);

// Whether `address` is in one of `networks`. IPv4 addresses that IPv6 sockets
// show as ::ffff:1.2.3.4 are 1.2.3.4. What does not parse contains nothing.
bool Contains(const std::vector<std::string>& networks,
              absl::string_view address);

}  // namespace insula::auth
