#include "libs/rules/reporter.h"

#include "absl/strings/str_cat.h"
#include "libs/promql/quote.h"

namespace insula::rules::internal {
namespace {

constexpr size_t kMaxProblems = 1000;
constexpr size_t kMaxMessageBytes = 1000;

}  // namespace

std::string Excerpt(absl::string_view text, size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  // Not in the middle of a character of UTF-8.
  while (bytes > 0 &&
         (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) {
    --bytes;
  }
  return absl::StrCat(text.substr(0, bytes), "...");
}

std::string Show(absl::string_view text) {
  return promql::Quoted(Excerpt(text));
}

void Reporter::EnterGroup(int number, absl::string_view name) {
  place_ = Problem();
  place_.group_number = number;
  place_.group = Excerpt(name);
}

void Reporter::EnterRule(int number, absl::string_view name) {
  place_.rule = number;
  place_.rule_name = Excerpt(name);
}

void Reporter::LeaveRule() {
  place_.rule = 0;
  place_.rule_name.clear();
}

void Reporter::LeaveGroup() { place_ = Problem(); }

Problem Reporter::Here(Position position, absl::string_view message) const {
  Problem problem = place_;
  problem.position = position;
  problem.message = Excerpt(message, kMaxMessageBytes);
  return problem;
}

void Reporter::Error(Position position, absl::string_view message) {
  Add(Here(position, message));
}

void Reporter::Warning(Position position, absl::string_view message) {
  Problem problem = Here(position, message);
  problem.severity = Problem::Severity::kWarning;
  Add(std::move(problem));
}

void Reporter::Add(Problem problem) {
  if (problem.is_error()) ++errors_;
  if (problems_.size() + 1 < kMaxProblems) {
    problems_.push_back(std::move(problem));
  } else if (problems_.size() < kMaxProblems) {
    // The last place: an error only if one is left out, so that the verdict
    // stays what it is.
    Problem last;
    last.severity = problem.severity;
    last.message =
        "there are more problems than are listed; correct these first";
    problems_.push_back(std::move(last));
  } else if (problem.is_error()) {
    problems_.back().severity = Problem::Severity::kError;
  }
}

}  // namespace insula::rules::internal
