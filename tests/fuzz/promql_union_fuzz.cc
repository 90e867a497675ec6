// A query that is confined to a union of clauses selects what it selected
// before and the clauses grant, no more and no less, on every series that the
// matchers at hand can tell apart.

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/labels/matcher.h"
#include "libs/promql/clause_union.h"
#include "libs/promql/confine_union.h"
#include "libs/promql/dialect.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/promql/visit.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

using labels::Matcher;
using labels::MatchType;
using promql::Clause;
using promql::Clauses;

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

// Values that a label of the series gets beside those of the query.
constexpr size_t kValuesOfQuery = 3;

Matcher Make(MatchType type, absl::string_view name, absl::string_view value) {
  return *Matcher::Create(type, name, value);
}

// What clauses are made of.
const std::vector<Matcher>& Parts() {
  static const auto* const parts = new std::vector<Matcher>{
      Make(MatchType::kEqual, "a", "1"),
      Make(MatchType::kEqual, "a", "2"),
      Make(MatchType::kNotEqual, "a", "1"),
      Make(MatchType::kRegex, "a", "1|2"),
      Make(MatchType::kRegex, "a", "[12]"),
      Make(MatchType::kNotRegex, "a", "1?"),
      Make(MatchType::kEqual, "b", "1"),
      Make(MatchType::kEqual, "b", ""),
      Make(MatchType::kRegex, "b", "\\Q2\\E"),
      Make(MatchType::kRegex, "b", ".+"),
      Make(MatchType::kEqual, "b", "\"\\\n\xc3\xb6"),
      Make(MatchType::kEqual, "__name__", "x"),
      Make(MatchType::kRegex, "__name__", "x.*"),
      Make(MatchType::kRegex, "__name__", "x|y"),
      Make(MatchType::kNotEqual, "__name__", "y"),
      Make(MatchType::kNotEqual, "c", ""),
  };
  return *parts;
}

// Up to four clauses of up to three matchers each.
Clauses TakeClauses(uint8_t count, fuzz::Input* bytes) {
  const auto& parts = Parts();
  Clauses clauses(count);
  for (Clause& clause : clauses) {
    const uint8_t choice = bytes->Byte();
    clause.push_back(parts[choice % parts.size()]);
    for (int more = choice / parts.size() % 3; more > 0; --more) {
      clause.push_back(parts[bytes->Byte() % parts.size()]);
    }
  }
  return clauses;
}

using Series = std::map<std::string, std::string>;

std::vector<Series> SeriesFor(const std::vector<Clause>& selectors) {
  std::map<std::string, std::vector<std::string>> values = {
      {"__name__", {"x", "y", "xy"}},
      {"a", {"", "1", "2"}},
      {"b", {"", "1", "2"}},
      {"c", {"", "1"}}};
  std::map<std::string, size_t> taken;
  for (const Clause& selector : selectors) {
    for (const Matcher& matcher : selector) {
      const auto known = values.find(matcher.name());
      if (known == values.end() || matcher.name() == "c") continue;
      std::vector<std::string>& list = known->second;
      if (taken[matcher.name()] == kValuesOfQuery ||
          std::find(list.begin(), list.end(), matcher.value()) != list.end()) {
        continue;
      }
      list.push_back(matcher.value());
      ++taken[matcher.name()];
    }
  }
  std::vector<Series> all = {{}};
  for (const auto& [name, list] : values) {
    std::vector<Series> longer;
    for (const Series& series : all) {
      for (const std::string& value : list) {
        longer.push_back(series);
        longer.back()[name] = value;
      }
    }
    all = std::move(longer);
  }
  return all;
}

bool Passes(const Series& series, const Clauses& clauses) {
  return std::any_of(
      clauses.begin(), clauses.end(), [&series](const Clause& clause) {
        return std::all_of(
            clause.begin(), clause.end(), [&series](const Matcher& matcher) {
              const auto label = series.find(matcher.name());
              return matcher.Matches(label == series.end() ? absl::string_view()
                                                           : label->second);
            });
      });
}

// The matchers of each selector of `query`, which was accepted before.
Clauses SelectorsOf(absl::string_view query,
                    const promql::ParseOptions& options) {
  const auto parsed = promql::Parse(query, options);
  FUZZ_CHECK(parsed.ok(), absl::StrCat(query, ": ", parsed.status().message()));
  const auto selectors = promql::Selectors(**parsed);
  FUZZ_CHECK(selectors.ok(), query);
  Clauses found;
  for (const auto* selector : *selectors) found.push_back(selector->matchers);
  return found;
}

std::string Text(const Clauses& clauses) {
  return absl::StrJoin(clauses, " or ",
                       [](std::string* out, const Clause& clause) {
                         out->append(promql::PrintSelector(clause));
                       });
}

FUZZ_TARGET(promql_union) {
  fuzz::Input bytes(input);
  const uint8_t first = bytes.Byte();
  const Clauses policy = TakeClauses(first % 5, &bytes);
  const promql::ParseOptions options = Options(DialectOf(first / 5 % 2 > 0));
  const promql::ParseOptions again = Again(options.dialect);
  const absl::string_view query = bytes.rest();
  const auto texts = promql::ConfineQueryToTexts(query, policy, options);
  const auto kept = promql::ConfineQueryToTexts(
      query, policy, options, promql::AbsentLabels::kOfPolicy);
  const auto one = promql::ConfineQueryToUnion(query, policy, options);
  if (!texts.ok()) {
    FUZZ_CHECK(texts.status().code() == absl::StatusCode::kInvalidArgument,
               texts.status().ToString());
    FUZZ_CHECK(!one.ok() && !kept.ok(), std::string(query));
    return;
  }
  FUZZ_CHECK(promql::CheckClauses(policy).ok(), Text(policy));
  if (one.ok()) {
    FUZZ_CHECK(kept.ok() && kept->size() == 1 && kept->front() == *one, *one);
  } else {
    // One text cannot hold what a range selector becomes.
    FUZZ_CHECK(one.status().code() == absl::StatusCode::kInvalidArgument &&
                   texts->size() > 1,
               one.status().ToString());
  }

  const Clauses before = SelectorsOf(query, options);
  Clauses after;
  for (const std::string& text : *texts) {
    for (Clause& selector : SelectorsOf(text, again)) {
      after.push_back(std::move(selector));
    }
  }
  const std::string context = absl::StrCat(query, " under ", Text(policy),
                                           " is ", absl::StrJoin(*texts, "; "));
  for (const Series& series : SeriesFor(before)) {
    const std::string where = absl::StrCat(
        absl::StrJoin(series, ",", absl::PairFormatter("=")), " in ", context);
    const bool selected = Passes(series, after);
    FUZZ_CHECK(!selected || Passes(series, policy), where);
    FUZZ_CHECK(selected == (Passes(series, before) && Passes(series, policy)),
               where);
  }
}

}  // namespace
}  // namespace insula
