// A condition on one label of a series, as in `job="api"` or `code=~"5.."`.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace re2 {
class RE2;
}

namespace insula::labels {

// The label that holds a series' metric name.
inline constexpr absl::string_view kMetricName = "__name__";

// The most that one regular expression may cost by default: 0.2 s.
inline constexpr size_t kMaxRegexCost = size_t{1} << 20;

enum class MatchType { kEqual, kNotEqual, kRegex, kNotRegex };

// The operator as PromQL writes it: `=`, `!=`, `=~` or `!~`.
absl::string_view MatchOperator(MatchType type);

// One label, one operator, one value. A series without the label has it as the
// empty string. Immutable, cheap to copy, thread-safe.
//
//   ASSIGN_OR_RETURN(const Matcher errors,
//                    Matcher::Create(MatchType::kRegex, "code", "5.."));
//   errors.Matches("503");  // true
class Matcher {
 public:
  // Fails with INVALID_ARGUMENT when a regular expression
  // - is not one by the syntax of RE2, holds `\C`, or leaves a `\Q` open, which
  //   would quote what Prometheus puts behind it: it has neither of the two;
  // - is not well-formed UTF-8;
  // - costs more than `max_regex_cost` to compile, by regex_cost.h, or needs
  //   more than 64 MiB as an automaton. Cheap to refuse.
  // Expressions match whole values, and `.` matches a line feed as well
  // (`^(?s:...)$`). Each is compiled alone, so that no parenthesis in it can
  // reach what stands around it. Names and other values are taken as they are.
  static absl::StatusOr<Matcher> Create(MatchType type, absl::string_view name,
                                        absl::string_view value,
                                        size_t max_regex_cost = kMaxRegexCost);

  MatchType type() const { return type_; }
  const std::string& name() const { return name_; }

  // The value, or the source of the regular expression.
  const std::string& value() const { return value_; }

  bool Matches(absl::string_view value) const;

  // Whether a series without the label passes.
  bool MatchesEmpty() const { return matches_empty_; }

  // What compiling the expression cost, by regex_cost.h; 0 for none, and for
  // one that needs no automaton. For a budget over many matchers.
  size_t regex_cost() const { return regex_cost_; }

  // Equality of text, not of meaning.
  friend bool operator==(const Matcher& a, const Matcher& b) {
    return a.type_ == b.type_ && a.name_ == b.name_ && a.value_ == b.value_;
  }

 private:
  // How an expression is tried. Most need no automaton.
  enum class Form { kLiteral, kAnything, kSomething, kAutomaton };

  Matcher(MatchType type, absl::string_view name, absl::string_view value)
      : type_(type), name_(name), value_(value) {}

  absl::Status Compile(size_t max_cost);
  bool MatchesPattern(absl::string_view value) const;

  MatchType type_;
  Form form_ = Form::kLiteral;
  bool matches_empty_ = false;
  size_t regex_cost_ = 0;
  std::string name_;
  std::string value_;
  std::shared_ptr<const re2::RE2> automaton_;
};

}  // namespace insula::labels
