// Groups of recording and alerting rules.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace insula::rules {

using Labels = std::map<std::string, std::string>;

// A place in a file, from 1, the column in characters. Zeros: nowhere.
struct Position {
  int line = 0;
  int column = 0;
};

// A recording rule has `record`, an alerting rule `alert`; a good rule has one
// of them. Durations are whole milliseconds, zero if there is none.
struct Rule {
  std::string record;
  std::string alert;
  std::string expr;
  absl::Duration for_duration;
  absl::Duration keep_firing_for;
  Labels labels;
  Labels annotations;

  Position position;
  Position name_position;  // Of the value of `record` or `alert`.
  Position expr_position;  // Of the value of `expr`.

  // What messages call it.
  const std::string& name() const { return alert.empty() ? record : alert; }

  // Compares all but positions.
  friend bool operator==(const Rule& a, const Rule& b);
};

// Rules that are evaluated one after the other.
struct Group {
  std::string name;
  absl::Duration interval;                     // Zero: the evaluator's default.
  std::optional<absl::Duration> query_offset;  // None: the evaluator's default.
  int64_t limit = 0;  // Of series or alerts a rule. Below 1: none.
  Labels labels;      // For all rules; the rules' own win.
  std::vector<Rule> rules;

  // "key: value" of keys that are not of Prometheus and say something, sorted.
  // Only ParseRulerAnswer() leaves any; they are compared, but not written.
  std::vector<std::string> foreign_keys;

  Position position;

  // Compares all but positions.
  friend bool operator==(const Group& a, const Group& b);
};

}  // namespace insula::rules
