// Reads a line that holds a comment. For libs/exposition alone.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/line_reader.h"
#include "libs/exposition/sample.h"

namespace insula::exposition {

struct Metadata {
  enum class Kind { kNone, kHelp, kType, kUnit, kEof };
  Kind kind = Kind::kNone;  // kNone: a comment for people.
  absl::string_view name;   // Of the family.
  absl::string_view text;   // Of kHelp and kUnit.
  MetricType type = MetricType::kUnknown;
};

// Reads `line`, which starts with a '#', behind blanks perhaps.
absl::Status ReadComment(absl::string_view line, LineReader* reader,
                         Metadata* metadata);

}  // namespace insula::exposition
