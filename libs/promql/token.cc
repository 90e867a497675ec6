#include "libs/promql/token.h"

#include <array>
#include <cstddef>
#include <cstdint>
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

// For each letter, where the keywords begin that begin with it, and where they
// end.
struct Keywords {
  uint8_t begin = 0;
  uint8_t end = 0;
};
constexpr std::array<Keywords, 26> MakeIndex() {
  std::array<Keywords, 26> index{};
  for (size_t i = 0; i < std::size(kKeywords); ++i) {
    Keywords& of_letter =
        index[static_cast<size_t>(kKeywords[i].word[0] - 'a')];
    if (of_letter.end == 0) of_letter.begin = static_cast<uint8_t>(i);
    of_letter.end = static_cast<uint8_t>(i + 1);
  }
  return index;
}
constexpr std::array<Keywords, 26> kByLetter = MakeIndex();

// Whether `word` is `keyword`, which is as long, in any case of letters.
bool Reads(absl::string_view word, absl::string_view keyword) {
  for (size_t i = 0; i < keyword.size(); ++i) {
    const auto c = static_cast<unsigned char>(word.data()[i]);
    if (absl::ascii_tolower(c) != keyword.data()[i]) return false;
  }
  return true;
}

}  // namespace

TokenType KeywordType(absl::string_view word) {
  if (word.empty() || word.size() > kLongestKeyword) {
    return TokenType::kIdentifier;
  }
  const char first = absl::ascii_tolower(static_cast<unsigned char>(word[0]));
  if (first < 'a' || first > 'z') return TokenType::kIdentifier;
  const Keywords& of_letter = kByLetter[static_cast<size_t>(first - 'a')];
  for (size_t i = of_letter.begin; i < of_letter.end; ++i) {
    const Keyword& keyword = kKeywords[i];
    if (keyword.word.size() == word.size() && Reads(word, keyword.word)) {
      return keyword.type;
    }
  }
  return TokenType::kIdentifier;
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
