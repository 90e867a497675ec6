// Checks the URLs of upstreams. Parsing them to use them is libs/http's.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace insula::tenancy {

// Whether `text` is an absolute http or https URL that means the same to every
// reader: a host (name, address, or [IPv6]), perhaps a port, and then visible
// ASCII without user info, fragment, broken escapes, "." or ".." segments.
absl::Status CheckUrl(absl::string_view text);

}  // namespace insula::tenancy
