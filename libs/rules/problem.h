// What is wrong with a rule file.
#pragma once

#include <string>

#include "libs/rules/group.h"

namespace insula::rules {

struct Problem {
  enum class Severity {
    kError,    // Keeps its group, or without one the whole file, out.
    kWarning,  // Keeps nothing out.
  };

  Severity severity = Severity::kError;

  // The nearest thing that the file has; zeros where there is nothing.
  Position position;

  // The number of the group in the file, from 1. 0: the file as a whole. It
  // tells apart groups of one name, and groups without any.
  int group_number = 0;
  std::string group;

  int rule = 0;  // From 1, in the group. 0: the group itself.
  std::string rule_name;

  // What is wrong, mostly in Prometheus' words, and the cure.
  std::string message;

  bool is_error() const { return severity == Severity::kError; }

  // As promtool prints it: `3:5: group "g", rule 1, "up:sum": what`, for a
  // group `3:5: group "g": what`, for the file `3:5: what`.
  std::string ToString() const;
};

}  // namespace insula::rules
