// Parts of CheckObject, for the sources in this directory.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"

namespace insula::tenancy::internal {

// `text` as it may stand in a message: escaped, and cut if it is long.
std::string Shown(absl::string_view text);

// INVALID_ARGUMENT "FIELD: what, cure".
absl::Status Wrong(absl::string_view field, absl::string_view what);

absl::Status CheckUpstream(const registry::v1::Upstream& upstream);

}  // namespace insula::tenancy::internal
