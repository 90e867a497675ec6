#include "libs/rules/duplicates.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/rules/reporter.h"

namespace insula::rules {
namespace {

// A sum over labels: those of a group are added up once, not for each rule,
// however many there are. 128 bits, so that equal sums are equal labels.
struct Sum {
  uint64_t low = 0;
  uint64_t high = 0;

  void Add(absl::string_view name, absl::string_view value) {
    low += absl::HashOf(0, name, value);
    high += absl::HashOf(1, name, value);
  }
  void Subtract(absl::string_view name, absl::string_view value) {
    low -= absl::HashOf(0, name, value);
    high -= absl::HashOf(1, name, value);
  }
  friend bool operator<(const Sum& a, const Sum& b) {
    return std::pair(a.low, a.high) < std::pair(b.low, b.high);
  }
};

// Where a rule was seen first.
struct Seen {
  const Group* group;
  size_t rule;
};

Problem Duplicate(const Group& group, int number, size_t rule,
                  const Seen& first) {
  using internal::Excerpt;
  using internal::Show;
  Problem problem;
  problem.severity = Problem::Severity::kWarning;
  problem.position = group.rules[rule].position;
  problem.group_number = number;
  problem.group = Excerpt(group.name);
  problem.rule = static_cast<int>(rule) + 1;
  problem.rule_name = Excerpt(group.rules[rule].name());
  problem.message =
      absl::StrCat("duplicate rule: the name and the labels are those of rule ",
                   first.rule + 1, " of group ", Show(first.group->name),
                   "; remove one, or give it another label");
  return problem;
}

}  // namespace

std::vector<Problem> FindDuplicates(absl::Span<const Group> groups) {
  std::vector<Problem> problems;
  std::map<std::pair<absl::string_view, Sum>, Seen> seen;
  for (size_t i = 0; i < groups.size(); ++i) {
    const Group& group = groups[i];
    Sum of_group;
    for (const auto& [name, value] : group.labels) of_group.Add(name, value);
    for (size_t j = 0; j < group.rules.size(); ++j) {
      Sum sum = of_group;
      for (const auto& [name, value] : group.rules[j].labels) {
        const auto overlaid = group.labels.find(name);
        if (overlaid != group.labels.end())
          sum.Subtract(name, overlaid->second);
        sum.Add(name, value);
      }
      const auto [first, inserted] =
          seen.try_emplace({group.rules[j].name(), sum}, Seen{&group, j});
      if (inserted) continue;
      problems.push_back(
          Duplicate(group, static_cast<int>(i) + 1, j, first->second));
    }
  }
  return problems;
}

}  // namespace insula::rules
