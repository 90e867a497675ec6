// A matcher, with its short cuts, matches what RE2 does alone, and an
// expression that is cheap by its estimate is cheap to compile.

#include <re2/re2.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "libs/labels/matcher.h"
#include "libs/labels/regex_cost.h"
#include "libs/labels/validity.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

constexpr size_t kMaxCost = 16 << 10;

FUZZ_TARGET(label_matcher) {
  fuzz::Input bytes(input);
  const size_t length = bytes.Byte();
  const absl::string_view pattern = bytes.rest().substr(0, length);
  const absl::string_view value = bytes.rest().substr(pattern.size());
  const auto matcher = labels::Matcher::Create(labels::MatchType::kRegex, "a",
                                               pattern, kMaxCost);
  if (!matcher.ok()) {
    FUZZ_CHECK(labels::IsValidUtf8(matcher.status().message()),
               matcher.status().message());
    return;
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  const std::string anchored = absl::StrCat("^(?s:", pattern, ")$");
  const re2::RE2 oracle(anchored, options);
  FUZZ_CHECK(oracle.ok(), anchored);
  FUZZ_CHECK(static_cast<size_t>(oracle.ProgramSize()) <=
                 2 * labels::RegexCost(pattern) + 100,
             anchored);
  for (const absl::string_view text : {value, absl::string_view(), pattern}) {
    if (!labels::IsValidUtf8(text)) continue;
    const std::string copy(text);
    FUZZ_CHECK(matcher->Matches(copy) == re2::RE2::PartialMatch(copy, oracle),
               absl::StrCat(anchored, "\n", text));
  }
  FUZZ_CHECK(matcher->MatchesEmpty() == re2::RE2::PartialMatch("", oracle),
             anchored);
}

}  // namespace
}  // namespace insula
