#include "libs/tenancy/clause_parts.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace insula::tenancy {
namespace {

// Of one expression that is put together here. Longer ones are cut in two.
constexpr size_t kMaxUnitedBytes = size_t{64} << 10;

std::string QuoteMeta(absl::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (absl::string_view("\\.+*?()|[]{}^$").find(c) !=
        absl::string_view::npos) {
      quoted += '\\';
    }
    quoted += c;
  }
  return quoted;
}

// A value or an expression that stands alone as one branch among others.
std::string Branch(const labels::Matcher& matcher) {
  return matcher.type() == labels::MatchType::kEqual
             ? QuoteMeta(matcher.value())
             : absl::StrCat("(?:", matcher.value(), ")");
}

// Whether a group can hold it: `\Q` quotes up to `\E`, parentheses of ours
// included.
bool CanBeBranch(const labels::Matcher& matcher) {
  return !matcher.MatchesEmpty() &&
         (matcher.type() == labels::MatchType::kEqual ||
          (matcher.type() == labels::MatchType::kRegex &&
           matcher.value().find("\\Q") == std::string::npos));
}

// The union of matchers on one label that can all be branches.
std::vector<labels::Matcher> Unite(
    const std::vector<labels::Matcher>& matchers) {
  std::vector<labels::Matcher> all;
  for (size_t begin = 0; begin < matchers.size();) {
    std::string united = Branch(matchers[begin]);
    size_t end = begin + 1;
    for (; end < matchers.size(); ++end) {
      const std::string branch = Branch(matchers[end]);
      if (united.size() + branch.size() >= kMaxUnitedBytes) break;
      absl::StrAppend(&united, "|", branch);
    }
    absl::StatusOr<labels::Matcher> matcher = matchers[begin];
    if (end - begin > 1) {
      matcher = labels::Matcher::Create(labels::MatchType::kRegex,
                                        matchers[begin].name(), united);
    }
    if (matcher.ok()) {
      all.push_back(*std::move(matcher));
    } else {  // Dearer together than each by itself.
      all.insert(all.end(), matchers.begin() + static_cast<ptrdiff_t>(begin),
                 matchers.begin() + static_cast<ptrdiff_t>(end));
    }
    begin = end;
  }
  return all;
}

// The matcher on `label` if it is the only one and can be a branch.
const labels::Matcher* BranchOn(absl::string_view label, const Clause& clause) {
  const labels::Matcher* found = nullptr;
  for (const labels::Matcher& matcher : clause) {
    if (matcher.name() != label) continue;
    if (found != nullptr || !CanBeBranch(matcher)) return nullptr;
    found = &matcher;
  }
  return found;
}

// Equal for clauses that are equal but for `label`.
std::string KeyWithout(absl::string_view label, const Clause& clause) {
  std::string key;
  for (const labels::Matcher& matcher : clause) {
    if (matcher.name() == label) continue;
    absl::StrAppend(&key, matcher.name(), labels::MatchOperator(matcher.type()),
                    matcher.value().size(), ":", matcher.value());
  }
  return key;
}

std::vector<Clause> UniteOn(absl::string_view label,
                            const std::vector<Clause>& clauses) {
  struct Group {
    Clause rest;
    std::vector<labels::Matcher> branches;
  };
  std::vector<Clause> united;
  std::map<std::string, Group> groups;
  for (const Clause& clause : clauses) {
    const labels::Matcher* const branch = BranchOn(label, clause);
    if (branch == nullptr) {
      united.push_back(clause);
      continue;
    }
    Group& group = groups[KeyWithout(label, clause)];
    if (group.branches.empty()) {
      group.rest = clause;
      std::erase_if(group.rest,
                    [label](const auto& m) { return m.name() == label; });
    }
    if (std::find(group.branches.begin(), group.branches.end(), *branch) ==
        group.branches.end()) {
      group.branches.push_back(*branch);
    }
  }
  for (const auto& [_, group] : groups) {
    for (labels::Matcher& matcher : Unite(group.branches)) {
      Clause clause = group.rest;
      clause.push_back(std::move(matcher));
      Normalize(&clause);
      united.push_back(std::move(clause));
    }
  }
  return united;
}

}  // namespace

std::vector<Clause> OneOf(absl::string_view label,
                          std::vector<std::string> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  std::vector<labels::Matcher> matchers;
  for (const std::string& value : values) {
    auto matcher =
        labels::Matcher::Create(labels::MatchType::kEqual, label, value);
    if (matcher.ok()) matchers.push_back(*std::move(matcher));
  }
  std::vector<Clause> clauses;
  for (labels::Matcher& matcher : Unite(matchers)) {
    clauses.push_back({std::move(matcher)});
  }
  return clauses;
}

std::vector<Clause> UniteClauses(std::vector<Clause> clauses) {
  std::set<std::string> names;
  for (const Clause& clause : clauses) {
    for (const labels::Matcher& matcher : clause) names.insert(matcher.name());
  }
  for (const std::string& name : names) clauses = UniteOn(name, clauses);
  return clauses;
}

bool Conjoin(const Clause& more, Clause* clause) {
  clause->insert(clause->end(), more.begin(), more.end());
  Normalize(clause);
  return std::none_of(clause->begin(), clause->end(), [clause](const auto& a) {
    return a.type() == labels::MatchType::kEqual &&
           std::any_of(clause->begin(), clause->end(), [&a](const auto& b) {
             return b.name() == a.name() && !b.Matches(a.value());
           });
  });
}

}  // namespace insula::tenancy
