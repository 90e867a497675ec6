// What the evaluator of rules understands.
#pragma once

namespace insula::rules {

struct Dialect {
  // Names of recorded metrics and of labels may be any UTF-8. Otherwise they
  // are of [a-zA-Z0-9_], those of metrics with `:` too.
  bool utf8_names = false;

  // Keys that the evaluator knows; the others are unknown keys, errors.
  bool keep_firing_for = true;
  bool query_offset = false;
  bool group_labels = false;

  // Templates may use what came after Prometheus 2.42: the functions now,
  // toDuration and urlQueryEscape, and `{{else with}}`.
  bool newer_templates = false;
};

// The Prometheus of Debian 12.
inline constexpr Dialect kPrometheus242;

// Prometheus 3, and the rulers of recent Cortex and Mimir.
inline constexpr Dialect kPrometheus3 = {.utf8_names = true,
                                         .query_offset = true,
                                         .group_labels = true,
                                         .newer_templates = true};

}  // namespace insula::rules
