#include "libs/promql/clause_union.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "libs/labels/validity.h"
#include "libs/promql/alternatives.h"
#include "libs/promql/printer.h"
#include "libs/status/status_macros.h"

#ifdef INSULA_PLANT_FAULTS
#include "libs/promql/planted_faults.h"
#endif

namespace insula::promql {
namespace {

using labels::Matcher;
using labels::MatchType;

// Faults planted for tests which show that a lost arm, or a matcher that is
// taken for fulfilled though it is not, are found. Only the library targets
// `promql_broken_arm` and `promql_broken_residual` define these.
// `promql_faulty` asks which one is planted.
#if defined(INSULA_PLANT_FAULTS)
const bool kLosesAnArm = IsPlanted("union_arm");
#elif defined(INSULA_BREAK_UNION_ARM)
constexpr bool kLosesAnArm = true;
#else
constexpr bool kLosesAnArm = false;
#endif
#ifdef INSULA_BREAK_UNION_RESIDUAL
constexpr bool kGrantsTooMuch = true;
#else
constexpr bool kGrantsTooMuch = false;
#endif

// As in confine.cc.
#ifdef INSULA_BREAK_CONFINEMENT
constexpr bool kConfines = false;
#else
constexpr bool kConfines = true;
#endif

// More residuals than this are not compared pair by pair; they are too many to
// become arms anyway.
constexpr size_t kMaxCompared = 512;

bool Contains(const Clause& matchers, const Matcher& wanted) {
  return std::find(matchers.begin(), matchers.end(), wanted) != matchers.end();
}

bool IsLiteral(const Matcher& matcher) {
  return matcher.type() == MatchType::kEqual;
}

// Whether `a` and `b` cannot both hold, for certain.
bool Contradict(const Matcher& a, const Matcher& b) {
  if (a.name() != b.name()) return false;
  if (IsLiteral(a) && IsCertainOn(b, a.value())) return !b.Matches(a.value());
  if (IsLiteral(b) && IsCertainOn(a, b.value())) return !a.Matches(b.value());
  return a.value() == b.value() && a.type() == Negated(b.type());
}

bool Contradict(const Clause& a, const Clause& b) {
  for (const Matcher& left : a) {
    for (const Matcher& right : b) {
      if (Contradict(left, right)) return true;
    }
  }
  return false;
}

// Whether a series that passes `selector` passes `matcher`, for certain.
bool Implies(const Clause& selector, const Matcher& matcher) {
  for (const Matcher& own : selector) {
    if (own == matcher) return true;
    if (!IsLiteral(own) || own.name() != matcher.name()) continue;
    if (kGrantsTooMuch) return true;
    if (IsCertainOn(matcher, own.value()) && matcher.Matches(own.value())) {
      return true;
    }
  }
  return false;
}

bool IsUsable(const Clause& clause) {
  return std::all_of(clause.begin(), clause.end(),
                     [](const Matcher& matcher) {
                       return labels::IsLegacyLabelName(matcher.name());
                     }) &&
         std::any_of(clause.begin(), clause.end(), [](const Matcher& matcher) {
           return !matcher.MatchesEmpty();
         });
}

// Clauses as sorted sets of numbers, each of which is a matcher.
class ClauseSet {
 public:
  explicit ClauseSet(const Clauses& clauses) {
    for (const Clause& clause : clauses) {
      std::vector<size_t>& ids = clauses_.emplace_back();
      for (const Matcher& matcher : clause) ids.push_back(IdOf(matcher));
      Normalize(ids);
    }
  }

  void Simplify() {
    RemoveCopies();
    if (clauses_.size() <= kMaxCompared) Absorb();
    while (MergeOnce()) RemoveCopies();
    if (clauses_.size() <= kMaxCompared) Absorb();
  }

  Clauses Take() const {
    Clauses clauses;
    for (const std::vector<size_t>& ids : clauses_) {
      Clause& clause = clauses.emplace_back();
      for (const size_t id : ids) clause.push_back(matchers_[id]);
    }
    return clauses;
  }

 private:
  using Ids = std::vector<size_t>;

  // A clause without one of its matchers.
  struct Member {
    size_t clause;
    size_t matcher;
  };

  static void Normalize(Ids& ids) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  }

  size_t IdOf(const Matcher& matcher) {
    std::string key = PrintSelector({matcher});
    const auto [found, added] = ids_.emplace(std::move(key), matchers_.size());
    if (added) matchers_.push_back(matcher);
    return found->second;
  }

  void RemoveCopies() {
    std::set<Ids> seen;
    std::vector<Ids> kept;
    for (Ids& ids : clauses_) {
      if (seen.insert(ids).second) kept.push_back(std::move(ids));
    }
    clauses_ = std::move(kept);
  }

  // No two clauses are equal.
  void Absorb() {
    std::vector<Ids> kept;
    for (const Ids& clause : clauses_) {
      const bool redundant =
          std::any_of(clauses_.begin(), clauses_.end(), [&](const Ids& other) {
            return other.size() < clause.size() &&
                   std::includes(clause.begin(), clause.end(), other.begin(),
                                 other.end());
          });
      if (!redundant) kept.push_back(clause);
    }
    clauses_ = std::move(kept);
  }

  // Merges along every label once. False if there was nothing to merge.
  bool MergeOnce() {
    std::set<std::string> names;
    for (const Matcher& matcher : matchers_) names.insert(matcher.name());
    bool merged = false;
    for (const std::string& name : names) {
      if (MergeAlong(name)) merged = true;
    }
    return merged;
  }

  bool MergeAlong(absl::string_view name) {
    // By what is left without the matcher, and whether it is a negation.
    std::map<std::pair<bool, Ids>, std::vector<Member>> groups;
    for (size_t i = 0; i < clauses_.size(); ++i) {
      for (const size_t id : clauses_[i]) {
        const Matcher& matcher = matchers_[id];
        if (matcher.name() != name) continue;
        const bool negation = matcher.type() == MatchType::kNotEqual;
        if (!negation && !IsMergeable(matcher)) continue;
        Ids rest = clauses_[i];
        rest.erase(std::find(rest.begin(), rest.end(), id));
        groups[{negation, std::move(rest)}].push_back({i, id});
      }
    }
    std::vector<bool> gone(clauses_.size(), false);
    bool merged = false;
    for (const auto& [key, members] : groups) {
      if (Merge(key.first, key.second, members, gone)) merged = true;
    }
    size_t kept = 0;
    for (size_t i = 0; i < clauses_.size(); ++i) {
      if (gone[i]) continue;
      if (kept != i) clauses_[kept] = std::move(clauses_[i]);
      ++kept;
    }
    clauses_.resize(kept);
    return merged;
  }

  // The first of the members becomes the union of those that have not become
  // something else in this round.
  bool Merge(bool negation, const Ids& rest, const std::vector<Member>& members,
             std::vector<bool>& gone) {
    std::vector<Member> still;
    for (const Member& member : members) {
      const Ids& ids = clauses_[member.clause];
      if (!gone[member.clause] && ids.size() == rest.size() + 1 &&
          std::includes(ids.begin(), ids.end(), rest.begin(), rest.end()) &&
          std::binary_search(ids.begin(), ids.end(), member.matcher)) {
        still.push_back(member);
      }
    }
    if (still.size() < 2) return false;
    Ids united = rest;
    if (!negation) {
      std::vector<Matcher> parts;
      for (const Member& member : still) {
        parts.push_back(matchers_[member.matcher]);
      }
      const std::optional<Matcher> joined = JoinMatchers(parts);
      if (!joined.has_value()) return false;
      united.push_back(IdOf(*joined));
    }
    Normalize(united);
    for (const Member& member : still) gone[member.clause] = true;
    gone[still.front().clause] = false;
    clauses_[still.front().clause] = std::move(united);
    return true;
  }

  std::map<std::string, size_t> ids_;
  std::vector<Matcher> matchers_;
  std::vector<Ids> clauses_;
};

Clause And(Clause selector, const Clause& added) {
  for (const Matcher& matcher : added) {
    if (!Contains(selector, matcher)) selector.push_back(matcher);
  }
  return selector;
}

size_t CountNames(const Clause& clause) {
  return static_cast<size_t>(
      std::count_if(clause.begin(), clause.end(), [](const Matcher& matcher) {
        return matcher.name() == labels::kMetricName;
      }));
}

Clause WithoutNames(const Clause& clause) {
  Clause kept;
  std::copy_if(clause.begin(), clause.end(), std::back_inserter(kept),
               [](const Matcher& matcher) {
                 return matcher.name() != labels::kMetricName;
               });
  return kept;
}

// The parts of `clause` that `other` does not select, apart from it and from
// each other by labels besides the name. Nullopt if only the name tells them
// apart.
std::optional<Clauses> Subtract(const Clause& clause, const Clause& other) {
  Clauses parts;
  if (Contradict(WithoutNames(clause), WithoutNames(other))) {
    parts.push_back(clause);
    return parts;
  }
  Clause common = clause;
  for (const Matcher& matcher : other) {
    if (Implies(common, matcher)) continue;
    if (matcher.name() == labels::kMetricName) return std::nullopt;
    Clause part = And(common, {Negation(matcher)});
    if (!IsContradiction(part)) parts.push_back(std::move(part));
    common = And(std::move(common), {matcher});
  }
  return parts;
}

}  // namespace

absl::Status CheckClauses(const Clauses& clauses) {
  size_t matchers = 0;
  for (const Clause& clause : clauses) {
    matchers += clause.size();
    if (IsUsable(clause)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot grant ", PrintSelector(clause),
        ": it needs a matcher that series without the label do not pass, and "
        "label names of [a-zA-Z0-9_] that do not start with a digit"));
  }
  if (clauses.size() > kMaxClauses || matchers > kMaxClauseMatchers) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the policy has ", clauses.size(), " clauses with ", matchers,
        " matchers, more than the ", kMaxClauses, " clauses with ",
        kMaxClauseMatchers, " allowed; use fewer selectors"));
  }
  return absl::OkStatus();
}

Clauses SimplifyClauses(const Clauses& clauses) {
  ClauseSet set(clauses);
  set.Simplify();
  return set.Take();
}

Clauses Residuals(const Clause& selector, const Clauses& simple) {
  Clauses left;
  for (const Clause& clause : simple) {
    if (!kGrantsTooMuch && Contradict(selector, clause)) continue;
    Clause& rest = left.emplace_back();
    for (const Matcher& matcher : clause) {
      if (!Implies(selector, matcher)) rest.push_back(matcher);
    }
    if (rest.empty()) return {Clause()};
  }
  if (kLosesAnArm && left.size() > 1) left.pop_back();
  return left.size() < 2 ? left : SimplifyClauses(left);
}

std::optional<Clauses> Separate(const Clauses& residuals, size_t max_clauses) {
  // What says nothing about the name can be cut off from anything.
  Clauses sorted = residuals;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Clause& a, const Clause& b) {
                     return std::make_pair(CountNames(a), a.size()) <
                            std::make_pair(CountNames(b), b.size());
                   });
  Clauses separated;
  for (size_t i = 0; i < sorted.size(); ++i) {
    Clauses parts = {sorted[i]};
    for (size_t j = 0; j < i; ++j) {
      Clauses smaller;
      for (const Clause& part : parts) {
        std::optional<Clauses> cut = Subtract(part, sorted[j]);
        if (!cut.has_value()) return std::nullopt;
        std::move(cut->begin(), cut->end(), std::back_inserter(smaller));
        if (separated.size() + smaller.size() > max_clauses) {
          return std::nullopt;
        }
      }
      parts = std::move(smaller);
    }
    std::move(parts.begin(), parts.end(), std::back_inserter(separated));
    if (separated.size() > max_clauses) return std::nullopt;
  }
  return separated;
}

bool IsContradiction(const Clause& matchers) {
  return Contradict(matchers, matchers);
}

Clauses UniteSelector(const Clause& selector, const Clauses& clauses) {
  if (!kConfines) return {selector};
  Clauses usable;
  std::copy_if(clauses.begin(), clauses.end(), std::back_inserter(usable),
               IsUsable);
  const Clauses added = usable.size() == 1
                            ? usable
                            : Residuals(selector, SimplifyClauses(usable));
  Clauses arms;
  for (const Clause& clause : added) arms.push_back(And(selector, clause));
  return arms;
}

}  // namespace insula::promql
