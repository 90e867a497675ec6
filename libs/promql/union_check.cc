#include "libs/promql/union_check.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "libs/promql/alternatives.h"
#include "libs/promql/printer.h"
#include "libs/promql/visit.h"
#include "libs/status/status_macros.h"

namespace insula::promql {
namespace {

using labels::Matcher;
using labels::MatchType;

// With either of these confinement is broken on purpose, and nobody must notice
// before the tests do.
#if defined(INSULA_BREAK_CONFINEMENT) ||                                       \
    defined(INSULA_BREAK_UNION_RESIDUAL) || defined(INSULA_BREAK_UNION_ARM) || \
    defined(INSULA_PLANT_FAULTS)
constexpr bool kChecks = false;
#else
constexpr bool kChecks = true;
#endif

// The most cases that one proof may look at.
constexpr int kMaxCases = 20'000;

// What a value says about a matcher of its label.
enum class Verdict { kHolds, kFails, kUnknown };

// A search for a case that no clause covers, depth first and without recursion.
class Proof {
 public:
  Proof(const Clause& matchers, const Clauses& clauses) : clauses_(clauses) {
    cases_.push_back(matchers);
  }

  bool Run() {
    for (int i = 0; i < kMaxCases; ++i) {
      if (cases_.empty()) return true;
      const Clause now = std::move(cases_.back());
      cases_.pop_back();
      if (IsImpossible(now)) continue;
      const Clauses open = Open(now);
      if (std::any_of(open.begin(), open.end(),
                      [](const Clause& rest) { return rest.empty(); })) {
        continue;
      }
      if (!SplitList(now) && !SplitInequality(now, open)) return false;
    }
    return false;
  }

 private:
  static bool IsImpossible(const Clause& matchers) {
    return std::any_of(matchers.begin(), matchers.end(), [&](const Matcher& m) {
      return m.type() == MatchType::kEqual &&
             std::any_of(matchers.begin(), matchers.end(),
                         [&m](const Matcher& other) {
                           return other.name() == m.name() &&
                                  IsCertainOn(other, m.value()) &&
                                  !other.Matches(m.value());
                         });
    });
  }

  // What is still to be shown for each clause that may hold.
  Clauses Open(const Clause& now) {
    Clauses open;
    for (const Clause& clause : clauses_) {
      Clause rest;
      bool fails = false;
      for (const Matcher& matcher : clause) {
        const Verdict verdict = Judge(now, matcher);
        fails = fails || verdict == Verdict::kFails;
        if (verdict == Verdict::kUnknown) rest.push_back(matcher);
      }
      if (!fails) open.push_back(std::move(rest));
    }
    return open;
  }

  Verdict Judge(const Clause& matchers, const Matcher& wanted) {
    for (const Matcher& matcher : matchers) {
      if (matcher.name() != wanted.name()) continue;
      if (matcher == wanted || IsListedBy(matcher, wanted)) {
        return Verdict::kHolds;
      }
      if (matcher.type() == MatchType::kEqual &&
          IsCertainOn(wanted, matcher.value())) {
        return wanted.Matches(matcher.value()) ? Verdict::kHolds
                                               : Verdict::kFails;
      }
    }
    return Verdict::kUnknown;
  }

  // Whether all that the expression `matcher` lists is listed by `wanted`.
  bool IsListedBy(const Matcher& matcher, const Matcher& wanted) {
    if (matcher.type() != MatchType::kRegex) return false;
    const std::set<std::string>& own = Listed(matcher);
    const std::set<std::string>& others = Listed(wanted);
    return !own.empty() &&
           std::includes(others.begin(), others.end(), own.begin(), own.end());
  }

  // Empty for a matcher that lists nothing.
  const std::set<std::string>& Listed(const Matcher& matcher) {
    const auto [found, added] =
        listed_.try_emplace({matcher.type(), matcher.value()});
    if (added && IsMergeable(matcher)) {
      const std::vector<std::string> parts = Alternatives(matcher);
      found->second.insert(parts.begin(), parts.end());
    }
    return found->second;
  }

  // If `now` holds an expression that lists several things, those of them that
  // the same matchers of clauses list are a case each. Cases list less and
  // less.
  bool SplitList(const Clause& now) {
    for (size_t i = 0; i < now.size(); ++i) {
      if (now[i].type() != MatchType::kRegex) continue;
      const std::set<std::string>& listed = Listed(now[i]);
      if (listed.size() < 2) continue;
      const std::vector<Matcher>& known = Mergeable(now[i].name());
      std::map<absl::string_view, std::vector<size_t>> listers;
      for (const std::string& one : listed) listers[one];
      for (size_t k = 0; k < known.size(); ++k) {
        for (const std::string& one : Listed(known[k])) {
          const auto found = listers.find(one);
          if (found != listers.end()) found->second.push_back(k);
        }
      }
      std::map<std::vector<size_t>, std::vector<absl::string_view>> parts;
      for (auto& [one, by] : listers) parts[std::move(by)].push_back(one);
      if (parts.size() < 2) continue;
      for (const auto& [by, part] : parts) {
        absl::StatusOr<Matcher> matcher =
            Matcher::Create(MatchType::kRegex, now[i].name(),
                            absl::StrJoin(part, "|"), static_cast<size_t>(-1));
        if (!matcher.ok()) return false;
        cases_.emplace_back(now)[i] = *std::move(matcher);
      }
      return true;
    }
    return false;
  }

  // `!=a` or `!=b` is always true.
  bool SplitInequality(const Clause& now, const Clauses& open) {
    std::map<std::string, Matcher> seen;
    for (const Clause& rest : open) {
      for (const Matcher& matcher : rest) {
        if (matcher.type() != MatchType::kNotEqual) continue;
        const auto [first, added] = seen.emplace(matcher.name(), matcher);
        if (added || first->second == matcher) continue;
        cases_.emplace_back(now).push_back(first->second);
        cases_.emplace_back(now).push_back(matcher);
        return true;
      }
    }
    return false;
  }

  // Those that clauses have on the label, each once.
  const std::vector<Matcher>& Mergeable(const std::string& name) {
    const auto [found, added] = mergeable_.try_emplace(name);
    if (!added) return found->second;
    std::set<std::pair<MatchType, absl::string_view>> seen;
    for (const Clause& clause : clauses_) {
      for (const Matcher& matcher : clause) {
        if (matcher.name() == name && IsMergeable(matcher) &&
            seen.insert({matcher.type(), matcher.value()}).second) {
          found->second.push_back(matcher);
        }
      }
    }
    return found->second;
  }

  const Clauses& clauses_;
  std::vector<Clause> cases_;
  std::map<std::pair<MatchType, std::string>, std::set<std::string>> listed_;
  std::map<std::string, std::vector<Matcher>> mergeable_;
};

}  // namespace

bool IsCovered(const Clause& matchers, const Clauses& clauses) {
  return Proof(matchers, clauses).Run();
}

absl::Status CheckConfinedToUnion(const Expr& expr, const Clauses& clauses) {
  ASSIGN_OR_RETURN(const auto selectors, Selectors(expr));
  for (const VectorSelector* selector : selectors) {
    if (!kChecks || IsCovered(selector->matchers, clauses)) continue;
    return absl::InternalError(absl::StrCat(
        "selector ", PrintSelector(selector->matchers), " holds none of the ",
        clauses.size(), " clauses of the policy"));
  }
  return absl::OkStatus();
}

}  // namespace insula::promql
