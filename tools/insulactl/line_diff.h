// How two texts differ.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace insula::insulactl {

struct DiffLine {
  enum class Change { kSame, kRemoved, kAdded };
  Change change = Change::kSame;
  std::string text;

  friend bool operator==(const DiffLine&, const DiffLine&) = default;
};

// The lines of both, of which as many as possible are the same; where the texts
// are long and differ much, fewer.
std::vector<DiffLine> DiffLines(absl::string_view before,
                                absl::string_view after);

}  // namespace insula::insulactl
