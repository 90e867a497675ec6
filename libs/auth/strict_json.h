// JSON of people who may not be honest.
#pragma once

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::auth {

// The JSON object in `text`. INVALID_ARGUMENT for what is no object, not UTF-8,
// nested deeper than 16, or has a member twice: two readers of such an object
// could take it for two different ones. The length is the caller's to bound.
absl::StatusOr<nlohmann::json> ParseStrictObject(absl::string_view text);

}  // namespace insula::auth
