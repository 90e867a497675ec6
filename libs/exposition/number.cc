#include "libs/exposition/number.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace insula::exposition {
namespace {

constexpr int64_t kManyDigits = 1'000'000;  // More than any line has.

// A number as it is written: sign, digits, point, exponent.
struct Decimal {
  bool negative = false;
  absl::string_view digits;  // With the point, without sign and exponent.
  uint64_t mantissa = 0;     // If `exact`: all digits.
  bool exact = true;         // No more than 19 significant digits.
  int64_t fraction = 0;      // Digits behind the point.
  int64_t exponent = 0;      // Written; at most kManyDigits * 10.
  int64_t leading = 0;       // Digits from the first that is not 0 on.
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool TakeExponent(absl::string_view text, int64_t* exponent) {
  if (text.empty()) return true;
  if (text[0] != 'e' && text[0] != 'E') return false;
  text.remove_prefix(1);
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    text.remove_prefix(1);
  }
  if (text.empty()) return false;
  for (const char c : text) {
    if (!IsDigit(c)) return false;
    *exponent = std::min(*exponent * 10 + (c - '0'), kManyDigits * 10);
  }
  if (negative) *exponent = -*exponent;
  return true;
}

// False if `text` is not a decimal number.
bool ReadDecimal(absl::string_view text, Decimal* decimal) {
  size_t i = 0;
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) {
    decimal->negative = text[i++] == '-';
  }
  const size_t begin = i;
  bool point = false;
  bool any = false;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (!IsDigit(c)) break;
    any = true;
    if (point) ++decimal->fraction;
    if (c == '0' && decimal->leading == 0) continue;
    if (++decimal->leading <= 19) {
      decimal->mantissa =
          decimal->mantissa * 10 + static_cast<uint64_t>(c - '0');
    } else {
      decimal->exact = false;
    }
  }
  decimal->digits = text.substr(begin, i - begin);
  return any && TakeExponent(text.substr(i), &decimal->exponent);
}

constexpr double kPowersOfTen[] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// What is written but neither a number nor text that belongs into a message.
std::string Shown(absl::string_view text) {
  constexpr size_t kLongest = 40;
  const bool cut = text.size() > kLongest;
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, kLongest)),
                      cut ? "...'" : "'");
}

absl::Status NotAValue(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "value ", Shown(text),
      " is not a number, write decimal digits, NaN, +Inf or -Inf"));
}

// `digits` without sign, exact but for rounding to the nearest.
absl::StatusOr<double> Convert(const Decimal& decimal,
                               absl::string_view unsigned_text) {
  const int64_t power = decimal.exponent - decimal.fraction;
  if (decimal.exact && decimal.mantissa <= uint64_t{1} << 53 && power >= -22 &&
      power <= 22) {
    // Both operands are exact, so that the result is rounded once.
    const double mantissa = static_cast<double>(decimal.mantissa);
    return power < 0 ? mantissa / kPowersOfTen[-power]
                     : mantissa * kPowersOfTen[power];
  }
  double value = 0;
  const char* const end = unsigned_text.data() + unsigned_text.size();
  const auto [stop, error] = std::from_chars(unsigned_text.data(), end, value);
  if (error == std::errc::result_out_of_range) {
    if (decimal.leading + power <= 0) return 0.0;
    return absl::InvalidArgumentError(absl::StrCat(
        "value ", Shown(unsigned_text), " is too large for a double"));
  }
  if (error != std::errc() || stop != end) return NotAValue(unsigned_text);
  return value;
}

absl::Status NotMilliseconds(absl::string_view text, absl::string_view cure) {
  return absl::InvalidArgumentError(
      absl::StrCat("timestamp ", Shown(text), " ", cure));
}

}  // namespace

double NormalNaN() {
  double nan;
  std::memcpy(&nan, &kNormalNaNBits, sizeof(nan));
  return nan;
}

absl::StatusOr<double> ParseValue(absl::string_view text) {
  Decimal decimal;
  if (ReadDecimal(text, &decimal)) {
    absl::string_view magnitude = text;
    if (!IsDigit(text[0]) && text[0] != '.') magnitude.remove_prefix(1);
    absl::StatusOr<double> value = Convert(decimal, magnitude);
    if (value.ok() && decimal.negative) *value = -*value;
    return value;
  }
  if (absl::EqualsIgnoreCase(text, "nan")) return NormalNaN();
  const bool negative = absl::StartsWith(text, "-");
  absl::string_view word = text;
  if (negative || absl::StartsWith(word, "+")) word.remove_prefix(1);
  if (absl::EqualsIgnoreCase(word, "inf") ||
      absl::EqualsIgnoreCase(word, "infinity")) {
    const double infinity = std::numeric_limits<double>::infinity();
    return negative ? -infinity : infinity;
  }
  return NotAValue(text);
}

absl::StatusOr<int64_t> ParseMilliseconds(absl::string_view text) {
  absl::string_view number = text;
  if (number.size() > 1 && number[0] == '+' && IsDigit(number[1])) {
    number.remove_prefix(1);
  }
  int64_t value = 0;
  const char* const end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, value);
  if (error == std::errc::result_out_of_range && stop == end) {
    return NotMilliseconds(text, "does not fit 64 bits");
  }
  if (error != std::errc() || stop != end) {
    return NotMilliseconds(text, "is not a whole number of milliseconds");
  }
  return value;
}

absl::StatusOr<int64_t> ParseSeconds(absl::string_view text) {
  Decimal decimal;
  if (!ReadDecimal(text, &decimal)) {
    return NotMilliseconds(text, "is not a decimal number of seconds");
  }
  // How many of the digits, from the first that is not 0, stand before the
  // point once it has moved by three.
  const int64_t wanted =
      decimal.leading - decimal.fraction + decimal.exponent + 3;
  if (decimal.leading == 0 || wanted <= 0) return 0;
  uint64_t value = 0;
  if (wanted <= 19) {
    int64_t taken = 0;
    for (const char c : decimal.digits) {
      if (c == '.' || (taken == 0 && c == '0')) continue;
      if (taken == wanted) break;
      value = value * 10 + static_cast<uint64_t>(c - '0');
      ++taken;
    }
    for (; taken < wanted; ++taken) value *= 10;
  }
  const uint64_t most =
      static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (wanted > 19 || value > most + (decimal.negative ? 1 : 0)) {
    return NotMilliseconds(text, "does not fit 64 bits of milliseconds");
  }
  return static_cast<int64_t>(decimal.negative ? 0 - value : value);
}

void AppendValue(double value, std::string* out) {
  if (std::isnan(value)) {
    out->append("NaN");
    return;
  }
  if (std::isinf(value)) {
    out->append(value > 0 ? "+Inf" : "-Inf");
    return;
  }
  char buffer[64];
  const auto scientific = std::to_chars(buffer, buffer + sizeof(buffer), value,
                                        std::chars_format::scientific);
  // Both Go and to_chars write a sign and at least two digits of exponent.
  const char* e = scientific.ptr;
  while (*--e != 'e') {
  }
  int exponent = 0;
  std::from_chars(e + (e[1] == '+' ? 2 : 1), scientific.ptr, exponent);
  if (exponent < -4 || exponent > 5) {
    out->append(buffer, static_cast<size_t>(scientific.ptr - buffer));
    return;
  }
  const auto fixed = std::to_chars(buffer, buffer + sizeof(buffer), value,
                                   std::chars_format::fixed);
  out->append(buffer, static_cast<size_t>(fixed.ptr - buffer));
}

void AppendSeconds(int64_t milliseconds, std::string* out) {
  const uint64_t magnitude = milliseconds < 0
                                 ? 0 - static_cast<uint64_t>(milliseconds)
                                 : static_cast<uint64_t>(milliseconds);
  absl::StrAppend(out, milliseconds < 0 ? "-" : "", magnitude / 1000);
  if (const uint64_t rest = magnitude % 1000; rest != 0) {
    absl::StrAppend(out, ".", absl::Dec(rest, absl::kZeroPad3));
  }
}

}  // namespace insula::exposition
