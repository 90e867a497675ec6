// What must hold of clause_union.h for any selector and any policy, tried on
// random ones. For tests of the library and of its broken variants.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/labels/matcher.h"
#include "libs/promql/clause_union.h"
#include "libs/promql/confine_union.h"
#include "libs/promql/printer.h"
#include "libs/promql/union_check.h"

namespace insula::promql {

class UnionProperty {
 public:
  explicit UnionProperty(unsigned seed) : random_(seed) {
    // Every series that the matchers can tell apart, next to those that differ
    // in nothing but the name.
    for (const char* a : kValues) {
      for (const char* b : kValues) {
        for (const char* c : kValues) {
          for (const char* name : kNames) {
            series_.push_back(
                {{"__name__", name}, {"a", a}, {"b", b}, {"c", c}});
          }
        }
      }
    }
  }

  // Tries one selector with one policy. What does not hold, or nothing.
  std::string Try() {
    const Clauses policy = Policy();
    Clause selector;
    for (int i = Below(3); i > 0; --i) selector.push_back(RandomMatcher());
    if (Below(2) == 0) selector.push_back(Make("__name__", "=", Name()));
    if (!CheckClauses({selector}).ok()) return "";

    const Clauses simple = SimplifyClauses(policy);
    const Clauses residuals = Residuals(selector, simple);
    const Clauses arms = UniteSelector(selector, policy);
    const std::string context =
        absl::StrCat(PrintSelector(selector), " under ", Text(policy),
                     " becomes ", Text(arms));
    for (const Series& series : series_) {
      const bool visible = Passes(series, policy);
      if (Passes(series, simple) != visible) {
        return absl::StrCat(context, "; simplified to ", Text(simple));
      }
      if (Passes(series, arms) != (visible && Passes(series, selector))) {
        return absl::StrCat(context, "; differs for ", Text(series));
      }
    }
    if (const auto separate = Separate(residuals, 64)) {
      std::string fault = Separation(selector, residuals, *separate);
      if (!fault.empty()) return absl::StrCat(context, "; ", fault);
      ++separated_;
    }
    for (const Clause& arm : arms) {
      if (!IsCovered(arm, simple)) {
        return absl::StrCat(context, "; no proof for ", PrintSelector(arm));
      }
    }
    const auto text = ConfineQueryToUnion(PrintSelector(selector), policy);
    if (!text.ok() &&
        text.status().code() != absl::StatusCode::kInvalidArgument) {
      return absl::StrCat(context, "; ", text.status().ToString());
    }
    if (arms.size() > 1) ++several_;
    return "";
  }

  // How often there were several arms, and how often they were separated.
  int several() const { return several_; }
  int separated() const { return separated_; }

 private:
  using Series = std::map<std::string, std::string>;

  static constexpr const char* kValues[] = {"", "1", "2", "\xc3\xb6"};
  static constexpr const char* kNames[] = {"x", "y", "xy"};

  static bool Passes(const Series& series, const Clause& clause) {
    for (const labels::Matcher& matcher : clause) {
      if (!matcher.Matches(series.at(matcher.name()))) return false;
    }
    return true;
  }
  static bool Passes(const Series& series, const Clauses& clauses) {
    for (const Clause& clause : clauses) {
      if (Passes(series, clause)) return true;
    }
    return false;
  }

  static std::string Text(const Clauses& clauses) {
    return absl::StrJoin(clauses, " or ",
                         [](std::string* out, const Clause& clause) {
                           out->append(PrintSelector(clause));
                         });
  }
  static std::string Text(const Series& series) {
    return absl::StrJoin(series, ",", absl::PairFormatter("="));
  }

  // What is wrong with `separate`: it selects something else, or series that
  // differ in their names only are not in one part.
  std::string Separation(const Clause& selector, const Clauses& residuals,
                         const Clauses& separate) const {
    std::map<Series, size_t> part_of;
    for (const Series& series : series_) {
      if (!Passes(series, selector)) continue;
      if (Passes(series, residuals) != Passes(series, separate)) {
        return absl::StrCat("separated into ", Text(separate),
                            ", which differs for ", Text(series));
      }
      Series nameless = series;
      nameless.erase("__name__");
      for (size_t i = 0; i < separate.size(); ++i) {
        if (!Passes(series, separate[i])) continue;
        if (part_of.emplace(nameless, i).first->second == i) continue;
        return absl::StrCat("separated into ", Text(separate),
                            ", two of which hold ", Text(series));
      }
    }
    return "";
  }

  int Below(int n) { return static_cast<int>(random_() % n); }
  std::string Name() { return kNames[Below(3)]; }

  static labels::Matcher Make(const std::string& name, const std::string& op,
                              const std::string& value) {
    const labels::MatchType type = op == "="    ? labels::MatchType::kEqual
                                   : op == "!=" ? labels::MatchType::kNotEqual
                                   : op == "=~" ? labels::MatchType::kRegex
                                                : labels::MatchType::kNotRegex;
    return *labels::Matcher::Create(type, name, value);
  }

  labels::Matcher RandomMatcher() {
    const std::vector<std::string> ops = {
        "=", "=", "=", "!=", "=~", "=~", "!~"};
    const std::string op = ops[Below(7)];
    if (Below(4) == 0) {
      const std::vector<std::string> patterns = {"x|y", "x.*", "xy?", "y|xy",
                                                 "[xy]"};
      return Make("__name__", op,
                  op.size() == 2 && op[1] == '~' ? patterns[Below(5)] : Name());
    }
    const std::vector<std::string> patterns = {
        "1|2", "2|1", "[12]", "1", ".+", "(?i)1", "1?", "\\Q2\\E", ".|", "2.*"};
    return Make(std::string(1, static_cast<char>('a' + Below(3))), op,
                op.back() == '~' ? patterns[Below(10)] : kValues[Below(4)]);
  }

  Clauses Policy() {
    Clauses clauses;
    for (int i = 2 + Below(4); i > 0; --i) {
      Clause clause;
      for (int j = 1 + Below(3); j > 0; --j) clause.push_back(RandomMatcher());
      if (CheckClauses({clause}).ok()) clauses.push_back(clause);
    }
    return clauses;
  }

  std::mt19937 random_;
  std::vector<Series> series_;
  int several_ = 0;
  int separated_ = 0;
};

// The first fault in `count` tries, or nothing.
inline std::string FindUnionFault(unsigned seed, int count) {
  UnionProperty property(seed);
  for (int i = 0; i < count; ++i) {
    std::string fault = property.Try();
    if (!fault.empty()) return absl::StrCat("try ", i, ": ", fault);
  }
  if (property.several() < count / 10 || property.separated() < count / 10) {
    return absl::StrCat("several arms in only ", property.several(),
                        " tries, separated in ", property.separated());
  }
  return "";
}

}  // namespace insula::promql
