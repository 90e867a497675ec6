// Reads fields of a Kubernetes object's JSON with their types and bounds.
//
// Every error is INVALID_ARGUMENT "PATH: what, cure", with the path of the
// field as Kubernetes writes it (spec.tenants[2]).
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::tenant_registry::kube_fields {

using Json = nlohmann::json;

// `text` as it may stand in a message: escaped, and cut if it is long.
std::string Shown(absl::string_view text);

absl::Status Wrong(absl::string_view path, absl::string_view what);

// The value of a key; null if there is none, or it is JSON's null, which
// Kubernetes takes for absent.
const Json* Find(const Json& object, const char* key);

// That it is an object with no other keys than these.
absl::Status CheckKeys(absl::string_view path, const Json& json,
                       std::initializer_list<absl::string_view> keys);

absl::StatusOr<bool> Bool(absl::string_view path, const Json& json);
absl::StatusOr<int64_t> Integer(absl::string_view path, const Json& json,
                                int64_t least, int64_t most);
// In UTF-8, without control characters.
absl::StatusOr<std::string> Text(absl::string_view path, const Json& json,
                                 size_t least_bytes, size_t most_bytes);
// Elements are not empty.
absl::StatusOr<std::vector<std::string>> TextList(absl::string_view path,
                                                  const Json& json,
                                                  size_t most_elements,
                                                  size_t most_bytes);
absl::StatusOr<std::map<std::string, std::string>> TextMap(
    absl::string_view path, const Json& json, size_t most_entries,
    size_t most_value_bytes);

// A map of labels: names of [a-zA-Z0-9_], not __name__; values not empty.
absl::StatusOr<std::map<std::string, std::string>> Labels(
    absl::string_view path, const Json& json);

// A name of RFC 1123: 1 to 63 of [a-z0-9-], no '-' at an end.
bool IsDnsLabel(absl::string_view text);
// 1 to 253 bytes of such names with dots between them.
bool IsDnsName(absl::string_view text);

}  // namespace insula::tenant_registry::kube_fields
