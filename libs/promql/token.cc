#include "libs/promql/token.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/promql/quote.h"

namespace insula::promql {
namespace {

struct Keyword {
  absl::string_view word;
  TokenType type;
};

// Sorted by word.
constexpr Keyword kKeywords[] = {
    {"anchored", TokenType::kAnchored},
    {"and", TokenType::kAnd},
    {"atan2", TokenType::kAtan2},
    {"avg", TokenType::kAvg},
    {"bool", TokenType::kBool},
    {"bottomk", TokenType::kBottomk},
    {"by", TokenType::kBy},
    {"count", TokenType::kCount},
    {"count_values", TokenType::kCountValues},
    {"end", TokenType::kEndKeyword},
    {"fill", TokenType::kFill},
    {"fill_left", TokenType::kFillLeft},
    {"fill_right", TokenType::kFillRight},
    {"group", TokenType::kGroup},
    {"group_left", TokenType::kGroupLeft},
    {"group_right", TokenType::kGroupRight},
    {"ignoring", TokenType::kIgnoring},
    {"inf", TokenType::kNumber},
    {"limit_ratio", TokenType::kLimitRatio},
    {"limitk", TokenType::kLimitk},
    {"max", TokenType::kMax},
    {"min", TokenType::kMin},
    {"nan", TokenType::kNumber},
    {"offset", TokenType::kOffset},
    {"on", TokenType::kOn},
    {"or", TokenType::kOr},
    {"quantile", TokenType::kQuantile},
    {"smoothed", TokenType::kSmoothed},
    {"start", TokenType::kStart},
    {"stddev", TokenType::kStddev},
    {"stdvar", TokenType::kStdvar},
    {"sum", TokenType::kSum},
    {"topk", TokenType::kTopk},
    {"unless", TokenType::kUnless},
    {"without", TokenType::kWithout},
};
constexpr size_t kLongestKeyword = 12;

}  // namespace

TokenType KeywordType(absl::string_view word) {
  if (word.size() > kLongestKeyword) return TokenType::kIdentifier;
  char lower[kLongestKeyword];
  std::transform(word.begin(), word.end(), lower,
                 [](unsigned char c) { return absl::ascii_tolower(c); });
  const absl::string_view wanted(lower, word.size());
  const Keyword* found = std::lower_bound(
      std::begin(kKeywords), std::end(kKeywords), wanted,
      [](const Keyword& k, absl::string_view w) { return k.word < w; });
  if (found == std::end(kKeywords) || found->word != wanted) {
    return TokenType::kIdentifier;
  }
  return found->type;
}

bool IsDurationFunction(absl::string_view word) {
  return absl::EqualsIgnoreCase(word, "step") ||
         absl::EqualsIgnoreCase(word, "range") ||
         absl::EqualsIgnoreCase(word, "min_of") ||
         absl::EqualsIgnoreCase(word, "max_of");
}

bool IsMetricName(TokenType type) {
  switch (type) {
    case TokenType::kAnchored:
    case TokenType::kAnd:
    case TokenType::kBy:
    case TokenType::kEndKeyword:
    case TokenType::kIdentifier:
    case TokenType::kMetricIdentifier:
    case TokenType::kOffset:
    case TokenType::kOr:
    case TokenType::kSmoothed:
    case TokenType::kStart:
    case TokenType::kUnless:
    case TokenType::kWithout:
      return true;
    default:
      return IsAggregator(type);
  }
}

bool IsGroupingLabel(TokenType type) {
  switch (type) {
    case TokenType::kAtan2:
    case TokenType::kBool:
    case TokenType::kGroupLeft:
    case TokenType::kGroupRight:
    case TokenType::kIgnoring:
    case TokenType::kOn:
      return true;
    case TokenType::kWithout:
      return false;
    default:
      return IsMetricName(type);
  }
}

bool StartsExpression(TokenType type) {
  switch (type) {
    case TokenType::kAdd:
    case TokenType::kLeftBrace:
    case TokenType::kLeftParen:
    case TokenType::kNumber:
    case TokenType::kString:
    case TokenType::kSubtract:
      return true;
    default:
      return IsMetricName(type);
  }
}

namespace {

// In quotes, and of long texts the first ten characters only.
std::string Shortened(absl::string_view text) {
  constexpr size_t kMaxBytes = 10;
  constexpr int kMaxCharacters = 10;
  if (text.size() <= kMaxBytes) return Quoted(text);
  size_t end = 0;
  for (int i = 0; i < kMaxCharacters && end < text.size(); ++i) {
    char32_t c;
    end += DecodeCharacter(text.substr(end), &c);
  }
  return absl::StrCat(Quoted(text.substr(0, end)), "...");
}

}  // namespace

std::string Describe(const Token& token) {
  const std::string quoted = Shortened(token.text);
  switch (token.type) {
    case TokenType::kEnd:
      return "end of input";
    case TokenType::kError:
      return "error";
    case TokenType::kIdentifier:
      return absl::StrCat("identifier ", Quoted(token.text));
    case TokenType::kMetricIdentifier:
      return absl::StrCat("metric identifier ", Quoted(token.text));
    case TokenType::kString:
      return absl::StrCat("string ", quoted);
    case TokenType::kNumber:
      return absl::StrCat("number ", quoted);
    case TokenType::kDuration:
      return absl::StrCat("duration ", quoted);
    case TokenType::kEqual:
      return quoted;
    default:
      break;
  }
  if (IsKeyword(token.type)) return absl::StrCat("<", token.text, ">");
  if (IsOperator(token.type)) return absl::StrCat("<op:", token.text, ">");
  if (IsAggregator(token.type)) return absl::StrCat("<aggr:", token.text, ">");
  return quoted;
}

}  // namespace insula::promql
