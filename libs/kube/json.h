// JSON objects of the Kubernetes API, without a schema.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::kube {

using Json = nlohmann::json;

// INVALID_ARGUMENT if `text` is not JSON, or is nested so deeply (500 levels)
// that walking it could exhaust a stack.
absl::StatusOr<Json> ParseJson(absl::string_view text);

// As text; bytes that are not UTF-8 are replaced.
std::string ToText(const Json& json);

// The value below the keys of `path`, or null if one is not there.
const Json& At(const Json& json, std::initializer_list<absl::string_view> path);

// The same as text; "" if it is no string.
std::string StringAt(const Json& json,
                     std::initializer_list<absl::string_view> path);

}  // namespace insula::kube
