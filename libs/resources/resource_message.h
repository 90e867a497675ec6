// Fills a protobuf message from a tree of YAML.
#pragma once

#include <google/protobuf/message.h>

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "libs/resources/resource_tree.h"

namespace insula::resources {

// What is wrong, and where. No `what`: nothing is.
struct ResourceError {
  int line = 0;
  std::string field;  // "spec.tenant_ids[2]"
  std::string what;
  bool ok() const { return what.empty(); }
};

// Fields by their path, and the lines that they stand on.
using FieldLines = std::map<std::string, int>;

// Sets the fields of `message` from a map; `path` names it in errors. Unknown
// fields, fields given twice and values that don't fit are errors.
ResourceError FillMessage(const ResourceNode& node, absl::string_view path,
                          google::protobuf::Message* message,
                          FieldLines* lines);

}  // namespace insula::resources
