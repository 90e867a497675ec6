// Reads the list of rules of a Cortex or Mimir ruler.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/rules/group.h"

namespace insula::rules {

struct RulerAnswerOptions {
  size_t max_bytes = size_t{64} << 20;
  size_t max_nodes = size_t{4} << 20;
};

// The groups by namespace, in the order of the answer, from the body of `GET
// /api/v1/rules`: YAML, a map of namespaces to lists of groups. `{}` is no
// namespaces.
//
// The body is that of a server, not of a tenant: expressions, names and
// templates are not validated, and keys that Prometheus does not have become
// foreign_keys. Everything else that is not as it should be (an empty body, a
// page of HTML, a list, a group without a name, two of one name in a namespace,
// a text that ends early) is INVALID_ARGUMENT, never an empty answer.
absl::StatusOr<std::map<std::string, std::vector<Group>>> ParseRulerAnswer(
    absl::string_view text, const RulerAnswerOptions& options = {});

}  // namespace insula::rules
