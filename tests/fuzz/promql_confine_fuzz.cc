// Every selector of a confined query holds the policy, and but for that what it
// held before. That it holds the policy is seen twice: in the tree that our
// parser makes of it, and by a scan of the text that knows nothing of trees.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
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

// Where the string ends that begins at `at`.
size_t EndOfString(absl::string_view text, size_t at) {
  const char quote = text[at];
  for (++at; at < text.size() && text[at] != quote; ++at) {
    if (text[at] == '\\' && quote != '`') ++at;
  }
  return std::min(at + 1, text.size());
}

bool IsWordByte(char c) {
  return absl::ascii_isalnum(c) || c == '_' || c == ':' || c == '.' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Goes over a printed query. All that may select series in PromQL are braces,
// and words that stand neither before '(' nor in a list of labels and are no
// keyword or number: such a word must have braces, and all braces the policy.
class Scan {
 public:
  Scan(absl::string_view text, const Matchers& policy) : text_(text) {
    for (const Matcher& matcher : policy) {
      const std::string selector = promql::PrintSelector({matcher});
      wanted_.push_back(selector.substr(1, selector.size() - 2));
    }
  }

  bool Holds() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'' || c == '`') {
        at_ = EndOfString(text_, at_);
      } else if (c == '{') {
        if (!BracesHold()) return false;
      } else if (c == '[') {
        // Durations and what they are reckoned from: nothing is selected.
        const size_t end = text_.find(']', at_);
        const absl::string_view range = text_.substr(at_, end - at_);
        if (range.find_first_of("{\"'`") != absl::string_view::npos)
          return false;
        at_ = std::min(end, text_.size());
      } else if (absl::ascii_isdigit(c) || c == '.') {
        TakeWord();  // A number or a duration.
      } else if (IsWordByte(c)) {
        if (!WordHolds()) return false;
      } else {
        ++at_;
      }
    }
    return true;
  }

 private:
  absl::string_view TakeWord() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsWordByte(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  char Next() {
    while (at_ < text_.size() && absl::ascii_isspace(text_[at_])) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  bool WordHolds() {
    const std::string word = absl::AsciiStrToLower(TakeWord());
    const char next = Next();
    if (next == '{') return BracesHold();
    for (const char* list :
         {"by", "without", "on", "ignoring", "group_left", "group_right"}) {
      if (word != list) continue;
      if (next != '(') return true;
      return SkipList();
    }
    if (next == '(') return true;  // A function, an aggregation, start().
    // An aggregation with its labels before its arguments.
    const absl::string_view rest = text_.substr(at_);
    if (absl::StartsWith(rest, "by (") || absl::StartsWith(rest, "without (")) {
      return true;
    }
    for (const char* known :
         {"and", "or", "unless", "atan2", "bool", "offset", "inf", "nan",
          "anchored", "smoothed", "fill", "fill_left", "fill_right"}) {
      if (word == known) return true;
    }
    return false;
  }

  // A list of labels has no braces and no brackets.
  bool SkipList() {
    while (at_ < text_.size() && text_[at_] != ')') {
      if (text_[at_] == '"') {
        at_ = EndOfString(text_, at_);
        continue;
      }
      if (text_[at_] == '{' || text_[at_] == '[') return false;
      ++at_;
    }
    return true;
  }

  // The matchers in braces are apart by commas.
  bool BracesHold() {
    std::vector<std::string> matchers(1);
    for (++at_; at_ < text_.size() && text_[at_] != '}';) {
      if (text_[at_] == '"') {
        const size_t end = EndOfString(text_, at_);
        absl::StrAppend(&matchers.back(), text_.substr(at_, end - at_));
        at_ = end;
      } else if (text_[at_] == ',') {
        matchers.emplace_back();
        ++at_;
      } else {
        matchers.back().push_back(text_[at_++]);
      }
    }
    ++at_;
    return std::all_of(
        wanted_.begin(), wanted_.end(), [&matchers](const std::string& one) {
          return std::find(matchers.begin(), matchers.end(), one) !=
                 matchers.end();
        });
  }

  const absl::string_view text_;
  std::vector<std::string> wanted_;
  size_t at_ = 0;
};

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
  // A name in the policy is printed before the braces, if it can be.
  if (policy[0].name() != "__name__") {
    FUZZ_CHECK(Scan(*confined, policy).Holds(), *confined);
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
