#include "tests/promql/mutations.h"

#include <cstddef>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace insula::promql {
namespace {

constexpr absl::string_view kBytes =
    "(){}[]=!~<>+-*/%^@:,.\"'`\\# \n\tabsxyzmhdw0159_eE\xc3\xa4";

constexpr absl::string_view kWords[] = {
    "and",
    "or",
    "unless",
    "atan2",
    "bool",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "by",
    "without",
    "offset",
    "start",
    "end",
    "sum",
    "topk",
    "count_values",
    "quantile",
    "group",
    "limitk",
    "rate",
    "absent",
    "abs",
    "round",
    "label_join",
    "vector",
    "time",
    "holt_winters",
    "info",
    "Inf",
    "NaN",
    "nan",
    "0x1F",
    "010",
    "08",
    "1e3",
    "1e",
    ".5",
    "5.",
    "1_000",
    "5m",
    "1h30m",
    "30m1h",
    "1d1s",
    "0s",
    "5ms",
    "300y",
    "[5m]",
    "[5m:1m]",
    "[5m:]",
    "[5]",
    "@ start()",
    "@ end()",
    "@ 1e3",
    "@ -1.5",
    "@ Inf",
    "offset 5m",
    "offset -5m",
    "{}",
    "{a=\"b\"}",
    "{a=~\"b.*\"}",
    "{a=~\"(\"}",
    "{__name__=\"a\"}",
    "{\"a\"}",
    "()",
    "(a)",
    "(1)",
    "\"x\"",
    "'\\x41'",
    "`r`",
    "\"\\q\"",
    "==",
    "!=",
    "=~",
    "!~",
    "<=",
    "^",
    "-",
    "+",
    "a:b",
    ":a",
    "__name__",
    "step()",
    "anchored",
    "fill(0)",
};

// Words, numbers, runs of spaces; each other byte by itself.
std::vector<std::string> Words(absl::string_view text) {
  std::vector<std::string> words;
  const auto in_word = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    if (in_word(text[i])) {
      while (end < text.size() && in_word(text[end])) ++end;
    }
    words.emplace_back(text.substr(i, end - i));
    i = end;
  }
  return words;
}

}  // namespace

void Mutator::MutateBytes(std::string& text) {
  const size_t at = Below(text.size() + 1);
  switch (Below(4)) {
    case 0:
      text.erase(at, 1 + Below(3));
      break;
    case 1:
      text.insert(at, 1, kBytes[Below(kBytes.size())]);
      break;
    case 2:
      if (at < text.size()) text[at] = kBytes[Below(kBytes.size())];
      break;
    default:
      if (at + 1 < text.size()) std::swap(text[at], text[at + 1]);
  }
}

void Mutator::MutateWords(std::string& text) {
  std::vector<std::string> words = Words(text);
  const size_t at = Below(words.size() + 1);
  const auto place = words.begin() + static_cast<std::ptrdiff_t>(at);
  const absl::string_view word = kWords[Below(std::size(kWords))];
  switch (Below(4)) {
    case 0:
      if (place != words.end()) words.erase(place);
      break;
    case 1:
      words.insert(place, " " + std::string(word) + " ");
      break;
    case 2:
      if (place != words.end()) *place = std::string(word);
      break;
    default:
      if (place != words.end()) std::swap(*place, words[Below(words.size())]);
  }
  text = absl::StrJoin(words, "");
}

std::string Mutator::Next() {
  std::string text = Seed();
  if (Below(8) == 0) {
    const std::string& other = Seed();
    text = text.substr(0, Below(text.size() + 1)) +
           other.substr(Below(other.size() + 1));
  }
  for (size_t i = Below(2) == 0 ? 1 : 1 + Below(3); i > 0; --i) {
    if (Below(2) == 0) {
      MutateBytes(text);
    } else {
      MutateWords(text);
    }
  }
  return text;
}

}  // namespace insula::promql
