#include "libs/promql/alternatives.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace insula::promql {
namespace {

using labels::Matcher;
using labels::MatchType;

constexpr absl::string_view kMeta = "\\.+*?()|[]{}^$";

// As Go's QuoteMeta, which the fast paths of Prometheus know.
std::string QuoteMeta(absl::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (kMeta.find(c) != absl::string_view::npos) quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted;
}

// Where a class of characters ends, such as `[a-z]`, that starts at `start`.
// Nullopt for those that hold signs which mean something else outside.
std::optional<size_t> ClassEnd(absl::string_view pattern, size_t start) {
  size_t i = start + 1;
  if (i < pattern.size() && pattern[i] == '^') ++i;
  const size_t end = pattern.find_first_of("[]()|\\", i);
  if (end == absl::string_view::npos || end == i || pattern[end] != ']') {
    return std::nullopt;
  }
  return end;
}

// Where the group that `pattern` starts with, `(?:...)`, ends: behind its
// parenthesis. Nullopt if there is none, or none for certain.
std::optional<size_t> GroupEnd(absl::string_view pattern) {
  if (pattern.substr(0, 3) != "(?:") return std::nullopt;
  int depth = 0;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
      if (i < pattern.size() && pattern[i] == 'Q') return std::nullopt;
    } else if (pattern[i] == '[') {
      const std::optional<size_t> end = ClassEnd(pattern, i);
      if (!end.has_value()) return std::nullopt;
      i = *end;
    } else if (pattern[i] == '(') {
      ++depth;
    } else if (pattern[i] == ')' && --depth == 0) {
      return i + 1;
    }
  }
  return std::nullopt;
}

// The end of the plain value that `pattern` starts with; its escapes are those
// of QuoteMeta(). Nullopt if it starts with anything else.
std::optional<size_t> ValueEnd(absl::string_view pattern) {
  size_t i = 0;
  while (i < pattern.size() && pattern[i] != '|') {
    if (pattern[i] == '\\') {
      ++i;
      if (i == pattern.size() ||
          kMeta.find(pattern[i]) == absl::string_view::npos) {
        return std::nullopt;
      }
    } else if (kMeta.find(pattern[i]) != absl::string_view::npos) {
      return std::nullopt;
    }
    ++i;
  }
  if (i == 0) return std::nullopt;
  return i;
}

// The parts of an expression that is a list of values and groups.
std::optional<std::vector<std::string>> Split(absl::string_view pattern) {
  std::vector<std::string> parts;
  while (true) {
    std::optional<size_t> end = GroupEnd(pattern);
    if (!end.has_value()) end = ValueEnd(pattern);
    if (!end.has_value()) return std::nullopt;
    parts.emplace_back(pattern.substr(0, *end));
    pattern.remove_prefix(*end);
    if (pattern.empty()) return parts;
    if (pattern.front() != '|') return std::nullopt;
    pattern.remove_prefix(1);
  }
}

}  // namespace

bool IsCertainOn(const Matcher& matcher, absl::string_view value) {
  if (matcher.type() == MatchType::kEqual ||
      matcher.type() == MatchType::kNotEqual) {
    return true;
  }
  return std::all_of(value.begin(), value.end(), [](char c) {
    return absl::ascii_isascii(static_cast<unsigned char>(c)) && c != '\n';
  });
}

MatchType Negated(MatchType type) {
  switch (type) {
    case MatchType::kEqual:
      return MatchType::kNotEqual;
    case MatchType::kNotEqual:
      return MatchType::kEqual;
    case MatchType::kRegex:
      return MatchType::kNotRegex;
    case MatchType::kNotRegex:
      return MatchType::kRegex;
  }
  return type;
}

Matcher Negation(const Matcher& matcher) {
  // Compiled once already.
  return *Matcher::Create(Negated(matcher.type()), matcher.name(),
                          matcher.value(), static_cast<size_t>(-1));
}

bool IsMergeable(const Matcher& matcher) {
  if (matcher.MatchesEmpty()) return false;
  if (matcher.type() == MatchType::kEqual) return true;
  if (matcher.type() != MatchType::kRegex) return false;
  const std::string group = absl::StrCat("(?:", matcher.value(), ")");
  return GroupEnd(group) == group.size();
}

std::vector<std::string> Alternatives(const Matcher& matcher) {
  if (matcher.type() == MatchType::kEqual) return {QuoteMeta(matcher.value())};
  std::optional<std::vector<std::string>> parts = Split(matcher.value());
  if (!parts.has_value()) return {absl::StrCat("(?:", matcher.value(), ")")};
  std::sort(parts->begin(), parts->end());
  parts->erase(std::unique(parts->begin(), parts->end()), parts->end());
  return *std::move(parts);
}

std::optional<Matcher> JoinMatchers(const std::vector<Matcher>& parts) {
  std::vector<std::string> all;
  for (const Matcher& part : parts) {
    std::vector<std::string> some = Alternatives(part);
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  absl::StatusOr<Matcher> joined = Matcher::Create(
      MatchType::kRegex, parts.front().name(), absl::StrJoin(all, "|"));
  if (!joined.ok()) return std::nullopt;
  return *std::move(joined);
}

}  // namespace insula::promql
