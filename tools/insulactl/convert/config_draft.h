// The configuration of a service, while it is being made.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace insula::insulactl {

// Values by their paths, as the documentation of the services names them:
//
//   draft.Set("listeners[0].listen_address", "0.0.0.0:8080");
//   draft.Set("write.timeout", "10s");
//
// Printed in the order in which they were first set.
class ConfigDraft {
 public:
  void Set(absl::string_view path, absl::string_view value);
  void SetList(absl::string_view path, std::vector<std::string> values);

  // YAML in lines.
  std::string Yaml() const;

 private:
  struct Node {
    enum class Kind { kNone, kValue, kValues, kMap, kList };
    Kind kind = Kind::kNone;
    std::string value;
    std::vector<std::string> values;
    std::vector<std::pair<std::string, Node>> children;  // Keys of kMap.
  };

  Node& At(absl::string_view path);
  static void Print(const Node& node, int depth, std::string& out);

  Node root_;
};

}  // namespace insula::insulactl
