#include "libs/promql/query_files.h"

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace insula::promql {
namespace {

// Takes the first word off `rest`.
absl::string_view TakeWord(absl::string_view& rest) {
  rest = absl::StripLeadingAsciiWhitespace(rest);
  size_t end = 0;
  while (end < rest.size() &&
         !absl::ascii_isspace(static_cast<unsigned char>(rest[end]))) {
    ++end;
  }
  const absl::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

// Takes `keyword` and the word behind it.
bool TakeClause(absl::string_view keyword, absl::string_view& rest) {
  absl::string_view after = rest;
  if (TakeWord(after) != keyword || TakeWord(after).empty()) return false;
  rest = after;
  return true;
}

// The expression of a line; empty if it has none.
absl::string_view Expression(absl::string_view line) {
  const absl::string_view command = TakeWord(line);
  if (command != "eval" && !absl::StartsWith(command, "eval_")) return "";
  const absl::string_view kind = TakeWord(line);
  if (kind == "instant") {
    TakeClause("at", line);  // May be absent.
  } else if (kind != "range" || !TakeClause("from", line) ||
             !TakeClause("to", line) || !TakeClause("step", line)) {
    return "";
  }
  return absl::StripAsciiWhitespace(line);
}

}  // namespace

std::vector<FileQuery> QueriesOfEvaluationTest(absl::string_view text) {
  std::vector<FileQuery> queries;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    const absl::string_view query = Expression(line);
    if (!query.empty()) queries.push_back({number, std::string(query)});
  }
  return queries;
}

}  // namespace insula::promql
