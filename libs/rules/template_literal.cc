#include "libs/rules/template_literal.h"

#include <cmath>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "libs/promql/lexer.h"
#include "libs/promql/quote.h"
#include "libs/promql/token.h"

namespace insula::rules::internal {
namespace {

// PromQL has the strings of Go.
bool IsString(absl::string_view token) {
  const promql::Token read = promql::Lexer(token).Next();
  return read.type == promql::TokenType::kString &&
         read.text.size() == token.size();
}

bool IsOf(absl::string_view text, absl::string_view digits, size_t max) {
  return !text.empty() && text.size() <= max &&
         text.find_first_not_of(digits) == absl::string_view::npos;
}

bool HasPrefix(absl::string_view text, absl::string_view prefix) {
  return absl::StartsWithIgnoreCase(text, prefix);
}

}  // namespace

bool IsTemplateString(absl::string_view token) {
  return !token.empty() && token.front() != '\'' && IsString(token);
}

bool IsTemplateCharacter(absl::string_view token) {
  if (token.size() < 3 || token.front() != '\'' || !IsString(token)) {
    return false;
  }
  const absl::string_view inner = token.substr(1, token.size() - 2);
  if (inner.front() != '\\') {
    char32_t c = 0;
    return promql::DecodeCharacter(inner, &c) == inner.size();
  }
  size_t length = 2;
  if (inner[1] == 'x' || (inner[1] >= '0' && inner[1] <= '7')) length = 4;
  if (inner[1] == 'u') length = 6;
  if (inner[1] == 'U') length = 10;
  return inner.size() == length;
}

bool IsTemplateNumber(absl::string_view token) {
  const bool negative = absl::ConsumePrefix(&token, "-");
  if (!negative) absl::ConsumePrefix(&token, "+");
  if (HasPrefix(token, "0x")) {
    return IsOf(token.substr(2), "0123456789abcdefABCDEF", negative ? 15 : 16);
  }
  if (HasPrefix(token, "0o")) return IsOf(token.substr(2), "01234567", 21);
  if (HasPrefix(token, "0b")) return IsOf(token.substr(2), "01", 63);
  constexpr absl::string_view kDigits = "0123456789";
  if (IsOf(token, kDigits, token.size())) {
    if (token.size() > 1 && token.front() == '0') {
      return IsOf(token, "01234567", 22);
    }
    uint64_t value = 0;
    return absl::SimpleAtoi(token, &value) &&
           (!negative || value <= uint64_t{1} << 63);
  }
  double value = 0;
  return IsOf(token, "0123456789.eE+-", token.size()) &&
         token.find_first_of(kDigits) != absl::string_view::npos &&
         absl::SimpleAtod(token, &value) && std::isfinite(value);
}

}  // namespace insula::rules::internal
