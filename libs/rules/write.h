// Writes rule groups as YAML, and compares them.
#pragma once

#include <string>

#include "absl/types/span.h"
#include "libs/rules/group.h"

namespace insula::rules {

// A rule file: keys in Prometheus' order, groups and rules in theirs, labels
// sorted, every string in double quotes, durations as `1h30m`, what is empty
// left out. Printable but for line feeds. Parse() of it gives the same groups.
std::string Write(absl::Span<const Group> groups);

// One group alone, as the API of rulers takes it.
std::string WriteGroup(const Group& group);

// The text that is the same for groups that mean the same: absent is empty,
// durations by value, expressions as promql::Print() has them, foreign keys
// appended. Groups that do not mean the same differ in it.
std::string Canonical(const Group& group);

// SHA-256 of Canonical(), in hexadecimal.
std::string Digest(const Group& group);

}  // namespace insula::rules
