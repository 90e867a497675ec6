#include "libs/tenancy/clause_parts.h"

#include <algorithm>
#include <cstddef>
#include <utility>

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

// A clause whose one matcher is `type`; none if that can't be.
bool Append(labels::MatchType type, absl::string_view label,
            absl::string_view value, std::vector<Clause>* clauses) {
  auto matcher = labels::Matcher::Create(type, label, value);
  if (!matcher.ok()) return false;
  clauses->push_back({*std::move(matcher)});
  return true;
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
void Unite(const std::vector<labels::Matcher>& matchers,
           std::vector<Clause>* clauses) {
  size_t begin = 0;
  while (begin < matchers.size()) {
    std::string united = Branch(matchers[begin]);
    size_t end = begin + 1;
    for (; end < matchers.size(); ++end) {
      const std::string branch = Branch(matchers[end]);
      if (united.size() + branch.size() >= kMaxUnitedBytes) break;
      absl::StrAppend(&united, "|", branch);
    }
    const bool done =
        end - begin > 1 && Append(labels::MatchType::kRegex,
                                  matchers[begin].name(), united, clauses);
    // Alone, or dearer together than each by itself.
    for (; begin < end; ++begin) {
      if (!done) clauses->push_back({matchers[begin]});
    }
  }
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
  Unite(matchers, &clauses);
  return clauses;
}

std::vector<Clause> UniteNames(const std::vector<Clause>& clauses) {
  std::vector<labels::Matcher> names;
  std::vector<Clause> united;
  for (const Clause& clause : clauses) {
    if (clause.size() != 1 || clause[0].name() != labels::kMetricName ||
        !CanBeBranch(clause[0])) {
      united.push_back(clause);
    } else if (std::find(names.begin(), names.end(), clause[0]) ==
               names.end()) {
      names.push_back(clause[0]);
    }
  }
  Unite(names, &united);
  return united;
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
