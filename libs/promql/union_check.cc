#include "libs/promql/union_check.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
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
#if defined(INSULA_BREAK_CONFINEMENT) || \
    defined(INSULA_BREAK_UNION_RESIDUAL) || defined(INSULA_BREAK_UNION_ARM)
constexpr bool kChecks = false;
#else
constexpr bool kChecks = true;
#endif

// The most cases that one proof may look at.
constexpr int kMaxCases = 20'000;

// What a value says about a matcher of its label.
enum class Verdict { kHolds, kFails, kUnknown };

Verdict Judge(const Clause& matchers, const Matcher& wanted) {
  for (const Matcher& matcher : matchers) {
    if (matcher.name() != wanted.name()) continue;
    if (matcher == wanted) return Verdict::kHolds;
    if (matcher.type() == MatchType::kEqual &&
        IsCertainOn(wanted, matcher.value())) {
      return wanted.Matches(matcher.value()) ? Verdict::kHolds
                                             : Verdict::kFails;
    }
  }
  return Verdict::kUnknown;
}

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
  Clauses Open(const Clause& now) const {
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

  // If `now` holds an expression that lists what matchers of clauses list, each
  // of these matchers is a case.
  bool SplitList(const Clause& now) {
    for (size_t i = 0; i < now.size(); ++i) {
      if (now[i].type() != MatchType::kRegex) continue;
      const std::vector<std::string> listed = Alternatives(now[i]);
      if (listed.size() < 2) continue;
      const std::vector<Matcher> known = Mergeable(now[i].name());
      const bool is_known =
          std::find(known.begin(), known.end(), now[i]) != known.end();
      std::set<std::string> covered;
      std::vector<Matcher> parts;
      for (const Matcher& part : known) {
        const std::vector<std::string> own = Alternatives(part);
        // Lists of the same values must not become one another for ever.
        if ((is_known && own.size() == listed.size()) ||
            !std::includes(listed.begin(), listed.end(), own.begin(),
                           own.end())) {
          continue;
        }
        covered.insert(own.begin(), own.end());
        parts.push_back(part);
      }
      if (covered.size() != listed.size()) continue;
      for (const Matcher& part : parts) {
        Clause& next = cases_.emplace_back(now);
        next[i] = part;
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

  // Those that clauses have on the label.
  std::vector<Matcher> Mergeable(absl::string_view name) const {
    std::vector<Matcher> found;
    for (const Clause& clause : clauses_) {
      for (const Matcher& matcher : clause) {
        if (matcher.name() == name && IsMergeable(matcher) &&
            std::find(found.begin(), found.end(), matcher) == found.end()) {
          found.push_back(matcher);
        }
      }
    }
    return found;
  }

  const Clauses& clauses_;
  std::vector<Clause> cases_;
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
