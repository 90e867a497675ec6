#include "libs/tenancy/access.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/labels/validity.h"
#include "libs/promql/parser.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/object_checks.h"

namespace insula::tenancy {
namespace {

using internal::Shown;
using internal::Wrong;

constexpr size_t kMaxSelectorBytes = 64 << 10;  // Of an access, together.
constexpr int kMaxSelectors = 1000;

bool Before(const labels::Matcher& a, const labels::Matcher& b) {
  if (a.name() != b.name()) return a.name() < b.name();
  if (a.type() != b.type()) return a.type() < b.type();
  return a.value() < b.value();
}

absl::StatusOr<Clause> ParseName(absl::string_view text,
                                 size_t max_regex_cost) {
  const bool regex =
      text.find_first_of(".*+?^$[]()|\\") != absl::string_view::npos;
  if (!regex && !labels::IsLegacyMetricName(text)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", Shown(text),
        "' is no metric name, no regular expression of names and no series "
        "selector; write up, node_.* or {job=\"a\"}"));
  }
  ASSIGN_OR_RETURN(
      labels::Matcher matcher,
      labels::Matcher::Create(
          regex ? labels::MatchType::kRegex : labels::MatchType::kEqual,
          labels::kMetricName, text, max_regex_cost));
  if (matcher.MatchesEmpty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", Shown(text),
                     "' matches the empty name and so series whatever they "
                     "are; write .+ for every metric"));
  }
  return Clause{std::move(matcher)};
}

}  // namespace

void Normalize(Clause* clause) {
  std::sort(clause->begin(), clause->end(), Before);
  clause->erase(std::unique(clause->begin(), clause->end()), clause->end());
}

absl::StatusOr<Clause> ParseSeriesSelector(absl::string_view text,
                                           size_t max_regex_cost) {
  if (text.empty() || !labels::IsValidUtf8(text)) {
    return absl::InvalidArgumentError("must be a series selector, in UTF-8");
  }
  promql::ParseOptions options;
  options.max_bytes = kMaxSelectorBytes;
  options.max_regex_cost = max_regex_cost;
  ASSIGN_OR_RETURN(Clause clause, promql::ParseMetricSelector(text, options));
  if (std::all_of(clause.begin(), clause.end(),
                  [](const auto& matcher) { return matcher.MatchesEmpty(); })) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", Shown(text),
        "' selects series whatever they are; add a matcher that does not match "
        "the empty string, as __name__=~\".+\" is one"));
  }
  Normalize(&clause);
  return clause;
}

absl::StatusOr<Clause> ParseAccessSelector(absl::string_view text,
                                           size_t max_regex_cost) {
  if (text.empty() || !labels::IsValidUtf8(text)) {
    return absl::InvalidArgumentError(
        "must be a metric name, a regular expression of names or a series "
        "selector, in UTF-8");
  }
  return text.find_first_of("{}") == absl::string_view::npos
             ? ParseName(text, max_regex_cost)
             : ParseSeriesSelector(text, max_regex_cost);
}

absl::StatusOr<std::vector<Clause>> ParseAccessSelectors(
    const registry::v1::Access& access) {
  if (access.selectors().empty() || access.selectors_size() > kMaxSelectors) {
    return Wrong("spec.selectors",
                 absl::StrCat("must have 1 to ", kMaxSelectors,
                              " selectors, has ", access.selectors_size()));
  }
  std::vector<Clause> clauses;
  clauses.reserve(static_cast<size_t>(access.selectors_size()));
  size_t bytes = 0;
  size_t budget = kMaxAccessRegexCost;
  for (int i = 0; i < access.selectors_size(); ++i) {
    const std::string& text = access.selectors(i);
    const std::string field = absl::StrCat("spec.selectors[", i, "]");
    bytes += text.size();
    if (bytes > kMaxSelectorBytes) {
      return Wrong(field, absl::StrCat("all of them may have at most ",
                                       kMaxSelectorBytes,
                                       " bytes; use several objects"));
    }
    absl::StatusOr<Clause> clause = ParseAccessSelector(text, budget);
    if (!clause.ok()) return Annotate(clause.status(), field);
    for (const labels::Matcher& matcher : *clause) {
      budget -= std::min(budget, matcher.regex_cost());
    }
    clauses.push_back(*std::move(clause));
  }
  return clauses;
}

const std::vector<Clause>& LazySelectors::Get(
    const registry::v1::Access& access) const {
  std::call_once(parsed_, [&] {
    // What can't be read grants nothing.
    auto clauses = ParseAccessSelectors(access);
    if (clauses.ok()) clauses_ = *std::move(clauses);
  });
  return clauses_;
}

}  // namespace insula::tenancy
