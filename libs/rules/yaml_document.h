// The first document of a YAML text as a tree that knows its places.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/rules/group.h"

namespace insula::rules::internal {

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  Position position;
  std::string scalar;   // Of a scalar.
  bool quoted = false;  // A scalar that is text whatever it looks like.

  // Of a list, its elements; of a map key, value, key, value... A node behind
  // aliases is the child of several. There are no cycles.
  std::vector<const YamlNode*> children;
};

// "null", "a string", "a list", "a map".
absl::string_view Name(YamlNode::Kind kind);

struct YamlError {
  Position position;
  std::string message;
};

// Owns its nodes, so that it can be moved but not copied.
struct YamlDocument {
  YamlDocument() = default;
  YamlDocument(YamlDocument&&) = default;
  YamlDocument& operator=(YamlDocument&&) = default;

  std::deque<YamlNode> nodes;
  const YamlNode* root = nullptr;  // Null if the text holds no document.

  // Where a second document begins, if there is one. It is not read.
  std::optional<Position> next_document;

  // Nothing else is set if the text is not YAML (of UTF-8, without control
  // characters), nests deeper than 100, has more than the given number of
  // nodes, tags other than those of strings, lists and maps, or an anchor whose
  // value holds itself.
  std::optional<YamlError> error;
};

YamlDocument ReadYaml(absl::string_view text, size_t max_nodes);

}  // namespace insula::rules::internal
