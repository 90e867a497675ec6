// Every selector of a confined query holds the policy, and but for that what it
// held before.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/labels/matcher.h"
#include "libs/promql/confine.h"
#include "libs/promql/dialect.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/promql/visit.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

using labels::Matcher;
using labels::MatchType;
using Matchers = std::vector<Matcher>;

promql::ParseOptions Options(const promql::Dialect& dialect) {
  return {.max_bytes = 4 << 10, .max_regex_cost = 8 << 10, .dialect = dialect};
}

promql::ParseOptions Again(const promql::Dialect& dialect) {
  return {.max_bytes = 1 << 20,
          .max_tokens = 1 << 20,
          .max_depth = 1000,
          .max_regex_cost = 1 << 30,
          .dialect = dialect};
}

// Of every second choice the newest.
promql::Dialect DialectOf(bool newest) {
  return newest ? promql::NewestDialect() : promql::Dialect();
}

Matcher Make(MatchType type, absl::string_view name, absl::string_view value) {
  return *Matcher::Create(type, name, value);
}

const std::vector<Matchers>& Policies() {
  static const auto* const policies = new std::vector<Matchers>{
      {Make(MatchType::kEqual, "namespace", "red")},
      {Make(MatchType::kRegex, "tenant", "a|b.+")},
      {Make(MatchType::kEqual, "__name__", "up"),
       Make(MatchType::kEqual, "a", "\"\\\n\xc3\xb6")},
      {Make(MatchType::kNotEqual, "x", ""), Make(MatchType::kEqual, "y", "1"),
       Make(MatchType::kNotRegex, "z", "|a")},
  };
  return *policies;
}

bool Contains(const Matchers& matchers, const Matcher& wanted) {
  return std::find(matchers.begin(), matchers.end(), wanted) != matchers.end();
}

FUZZ_TARGET(promql_confine) {
  fuzz::Input bytes(input);
  const uint8_t choice = bytes.Byte();
  const Matchers& policy = Policies()[choice % Policies().size()];
  const promql::Dialect dialect = DialectOf(choice / Policies().size() % 2 > 0);
  const absl::string_view query = bytes.rest();
  const auto confined = promql::ConfineQuery(query, policy, Options(dialect));
  const auto before = promql::Parse(query, Options(dialect));
  if (!confined.ok()) {
    FUZZ_CHECK(confined.status().code() == absl::StatusCode::kInvalidArgument,
               confined.status().ToString());
    FUZZ_CHECK(
        !before.ok() || !promql::CheckExplicitSelectors(**before, query).ok(),
        confined.status().ToString());
    return;
  }
  const auto after = promql::Parse(*confined, Again(dialect));
  FUZZ_CHECK(before.ok() && after.ok(), *confined);
  const auto old_selectors = promql::Selectors(**before);
  const auto new_selectors = promql::Selectors(**after);
  FUZZ_CHECK(old_selectors.ok() && new_selectors.ok(), *confined);
  FUZZ_CHECK(old_selectors->size() == new_selectors->size(), *confined);
  for (size_t i = 0; i < new_selectors->size(); ++i) {
    const Matchers& now = (*new_selectors)[i]->matchers;
    const Matchers& was = (*old_selectors)[i]->matchers;
    for (const Matcher& matcher : policy) {
      FUZZ_CHECK(Contains(now, matcher), *confined);
    }
    for (const Matcher& matcher : was) {
      FUZZ_CHECK(Contains(now, matcher), *confined);
    }
    for (const Matcher& matcher : now) {
      FUZZ_CHECK(Contains(was, matcher) || Contains(policy, matcher),
                 *confined);
    }
  }
}

}  // namespace
}  // namespace insula
