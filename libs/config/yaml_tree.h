// A YAML document as a tree that knows its lines; for apply.cc.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::config::internal {

inline constexpr size_t kMaxYamlBytes = 1 << 20;
inline constexpr int kMaxYamlDepth = 32;

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  int line = 0;        // From 1; of a value in a map, the line of its key.
  std::string scalar;  // Of a scalar.
  std::string key;     // Of a value in a map.
  std::vector<YamlNode> children;
};

// Parses one document; none is a null. Anchors, aliases, tags, keys that are
// not scalars and repeated keys are refused. Messages are "NAME:LINE: what" or
// "NAME:LINE: KEY: what".
absl::StatusOr<YamlNode> ParseYaml(absl::string_view text,
                                   absl::string_view name);

}  // namespace insula::config::internal
