// Collects the problems of a file while it is read.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/rules/group.h"
#include "libs/rules/problem.h"

namespace insula::rules::internal {

// The start of `text`, of whole characters, at most `bytes` of them; "..."
// marks what was cut. For messages: a tenant's text may be long.
std::string Excerpt(absl::string_view text, size_t bytes = 200);

// The same in quotes, what is invisible as escapes.
std::string Show(absl::string_view text);

// Knows where the reader is, so that each problem says it. Keeps 1,000 problems
// and counts the others.
class Reporter {
 public:
  // Problems that follow are of this group, of this rule in it, of no rule in
  // it, of the file.
  void EnterGroup(int number, absl::string_view name);
  void EnterRule(int number, absl::string_view name);
  void LeaveRule();
  void LeaveGroup();

  void Error(Position position, absl::string_view message);
  void Warning(Position position, absl::string_view message);

  // One that knows where it belongs.
  void Add(Problem problem);

  // How many errors there were, also those not kept: for a reader to see
  // whether what it has just read was good.
  size_t errors() const { return errors_; }

  std::vector<Problem> Take() { return std::move(problems_); }

 private:
  Problem Here(Position position, absl::string_view message) const;

  Problem place_;
  size_t errors_ = 0;
  std::vector<Problem> problems_;
};

}  // namespace insula::rules::internal
