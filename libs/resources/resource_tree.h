// Documents of YAML as trees that know their lines.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::resources {

inline constexpr size_t kMaxResourceFileBytes = 8 << 20;

struct ResourceNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  int line = 0;        // From 1; of a value in a map, the line of its key.
  std::string scalar;  // As written: `0`, `on` and `1.50` stay what they are.
  std::string key;     // Of a value in a map.
  std::vector<ResourceNode> children;
};

// One document. If it is not usable its error says why, and its tree holds what
// was read up to there.
struct ResourceDocument {
  ResourceNode root;
  int error_line = 0;
  std::string error;  // Empty: none.
};

// Splits a text into documents and parses them; empty ones are left out.
// Aliases, anchors, tags, keys that are not scalars, repeated keys, and more
// than 32 levels make a document unusable. INVALID_ARGUMENT: the text as a
// whole can't be read from some line on, "NAME:LINE: what".
absl::StatusOr<std::vector<ResourceDocument>> ParseResourceTrees(
    absl::string_view text, absl::string_view name);

}  // namespace insula::resources
