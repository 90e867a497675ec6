#include "libs/labels/matcher.h"

#include <re2/re2.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/labels/compiled_regexes.h"
#include "libs/labels/regex_cost.h"
#include "libs/labels/validity.h"

namespace insula::labels {
namespace {

constexpr int64_t kMaxAutomatonBytes = int64_t{64} << 20;
constexpr size_t kMaxShown = 200;

// Lists of values that are longer are looked up faster by an automaton.
constexpr size_t kMaxValueList = 256;

// What means more than itself in an expression, but for the bar.
constexpr std::array<bool, 256> MakeSpecial() {
  std::array<bool, 256> special{};
  for (const char c :
       {'\\', '.', '+', '*', '?', '(', ')', '[', ']', '{', '}', '^', '$'}) {
    special[static_cast<uint8_t>(c)] = true;
  }
  return special;
}
constexpr std::array<bool, 256> kSpecial = MakeSpecial();

// The beginning of `text`, always as UTF-8, for an error's text.
std::string Shown(absl::string_view text) {
  const absl::string_view part = text.substr(0, kMaxShown);
  return absl::StrCat(
      "`", IsValidUtf8(part) ? std::string(part) : absl::CHexEscape(part),
      text.size() > kMaxShown ? "...`" : "`");
}

// What Go refuses of `pattern` and RE2 takes. Empty if nothing.
std::string RefusedByGo(absl::string_view pattern) {
  for (size_t i = 0; i + 1 < pattern.size(); ++i) {
    if (pattern[i] != '\\') continue;
    ++i;
    if (pattern[i] == 'C') return "invalid escape sequence: `\\C`";
    if (pattern[i] != 'Q') continue;
    const size_t end = pattern.find("\\E", i + 1);
    if (end == absl::string_view::npos) {
      // It quotes the `)$` that Prometheus puts behind the expression, too.
      return absl::StrCat("missing closing ): ", Shown(pattern),
                          " leaves \\Q open; put \\E behind it");
    }
    i = end + 1;
  }
  return "";
}

std::shared_ptr<const re2::RE2> CompileWithin(const std::string& pattern,
                                              int64_t max_bytes) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_dot_nl(true);
  options.set_never_capture(true);
  options.set_max_mem(max_bytes);
  return std::make_shared<const re2::RE2>(pattern, options);
}

// Whether `pattern` is a value, or some with bars between them. Of one that is,
// whether the empty value is among them.
bool IsValueList(absl::string_view pattern, bool* has_empty) {
  bool bars = false;
  *has_empty = false;
  char last = '|';
  for (const char c : pattern) {
    if (kSpecial[static_cast<uint8_t>(c)]) return false;
    bars |= c == '|';
    *has_empty |= c == '|' && last == '|';
    last = c;
  }
  *has_empty |= last == '|';
  return !bars || pattern.size() <= kMaxValueList;
}

// Whether `list`, values with bars between them, holds `value`.
bool HoldsValue(absl::string_view list, absl::string_view value) {
  while (true) {
    const size_t bar = list.find('|');
    if (list.substr(0, bar) == value) return true;
    if (bar == absl::string_view::npos) return false;
    list.remove_prefix(bar + 1);
  }
}

}  // namespace

absl::string_view MatchOperator(MatchType type) {
  switch (type) {
    case MatchType::kEqual:
      return "=";
    case MatchType::kNotEqual:
      return "!=";
    case MatchType::kRegex:
      return "=~";
    case MatchType::kNotRegex:
      return "!~";
  }
  return "?";
}

absl::StatusOr<Matcher> Matcher::Create(MatchType type, absl::string_view name,
                                        absl::string_view value,
                                        size_t max_regex_cost) {
  absl::StatusOr<Matcher> created = Matcher(type, name, value);
  Matcher& matcher = *created;
  if (type == MatchType::kEqual || type == MatchType::kNotEqual) {
    matcher.matches_empty_ = value.empty();
  } else if (absl::Status status = matcher.Compile(max_regex_cost);
             !status.ok()) {
    return status;
  }
  if (type == MatchType::kNotEqual || type == MatchType::kNotRegex) {
    matcher.matches_empty_ = !matcher.matches_empty_;
  }
  return created;
}

// Sets matches_empty_ to whether the expression does.
absl::Status Matcher::Compile(size_t max_cost) {
  if (value_ == ".*") {
    form_ = Form::kAnything;
    matches_empty_ = true;
    return absl::OkStatus();
  }
  if (value_ == ".+") {
    form_ = Form::kSomething;
    return absl::OkStatus();
  }
  if (!IsValidUtf8(value_)) {
    return absl::InvalidArgumentError(
        absl::StrCat("error parsing regexp: invalid UTF-8: ", Shown(value_)));
  }
  if (IsValueList(value_, &matches_empty_)) return absl::OkStatus();
  CompiledRegexes& known = CompiledRegexes::Global();
  const bool small = value_.size() <= CompiledRegexes::kLongest;
  CompiledRegexes::Compiled compiled;
  if (small) compiled = known.Find(value_);
  const bool found = compiled.automaton != nullptr;
  if (!found) {
    if (const std::string why = RefusedByGo(value_); !why.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("error parsing regexp: ", why));
    }
    compiled.cost = RegexCost(value_);
  }
  regex_cost_ = compiled.cost;
  if (regex_cost_ > max_cost) {
    return absl::InvalidArgumentError(absl::StrCat(
        "error parsing regexp: expression too large: ", Shown(value_),
        " costs ", regex_cost_, ", more than the ", max_cost,
        " allowed; shorten it"));
  }
  form_ = Form::kAutomaton;
  if (found) {
    automaton_ = std::move(compiled.automaton);
    matches_empty_ = compiled.matches_empty;
    return absl::OkStatus();
  }
  if (small && compiled.cost <= CompiledRegexes::kMostCost) {
    auto automaton = CompileWithin(value_, CompiledRegexes::kMostBytes);
    if (automaton->ok()) {
      automaton_ = compiled.automaton = std::move(automaton);
      matches_empty_ = compiled.matches_empty = MatchesPattern("");
      known.Keep(value_, std::move(compiled));
      return absl::OkStatus();
    }
  }
  auto automaton = CompileWithin(value_, kMaxAutomatonBytes);
  if (automaton->error_code() == re2::RE2::ErrorPatternTooLarge) {
    return absl::InvalidArgumentError(absl::StrCat(
        "error parsing regexp: expression too large: ", Shown(value_),
        " needs more than ", kMaxAutomatonBytes >> 20, " MiB; shorten it"));
  }
  if (!automaton->ok()) {
    // RE2 ends its message with the part at fault, which may be all of it.
    absl::string_view why = automaton->error();
    if (absl::ConsumeSuffix(&why, automaton->error_arg())) {
      absl::ConsumeSuffix(&why, ": ");
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "error parsing regexp: ", why, ": ", Shown(automaton->error_arg())));
  }
  automaton_ = std::move(automaton);
  matches_empty_ = MatchesPattern("");
  return absl::OkStatus();
}

bool Matcher::MatchesPattern(absl::string_view value) const {
  switch (form_) {
    case Form::kLiteral:  // Or a list of them.
      return HoldsValue(value_, value);
    case Form::kAnything:
      return true;
    case Form::kSomething:
      return !value.empty();
    case Form::kAutomaton:
      return re2::RE2::FullMatch(re2::StringPiece(value.data(), value.size()),
                                 *automaton_);
  }
  return false;
}

bool Matcher::Matches(absl::string_view value) const {
  switch (type_) {
    case MatchType::kEqual:
      return value == value_;
    case MatchType::kNotEqual:
      return value != value_;
    case MatchType::kRegex:
      return MatchesPattern(value);
    case MatchType::kNotRegex:
      return !MatchesPattern(value);
  }
  return false;
}

}  // namespace insula::labels
