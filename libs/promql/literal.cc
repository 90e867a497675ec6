#include "libs/promql/literal.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/charconv.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/promql/quote.h"

namespace insula::promql {
namespace {

struct Unit {
  absl::string_view name;
  int64_t milliseconds;
  bool exact;  // Written only if nothing remains.
};

constexpr Unit kUnits[] = {
    {"y", int64_t{1000} * 60 * 60 * 24 * 365, true},
    {"w", int64_t{1000} * 60 * 60 * 24 * 7, true},
    {"d", int64_t{1000} * 60 * 60 * 24, false},
    {"h", int64_t{1000} * 60 * 60, false},
    {"m", int64_t{1000} * 60, false},
    {"s", 1000, false},
    {"ms", 1, false},
};

// What fits 63 bits of nanoseconds.
constexpr int64_t kMaxMilliseconds =
    std::numeric_limits<int64_t>::max() / 1'000'000;

// `text` as a 64-bit integer by Go's rules for prefixes, if it is one.
std::optional<int64_t> ParseInteger(absl::string_view text) {
  int base = 10;
  if (absl::StartsWithIgnoreCase(text, "0x")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
    text.remove_prefix(1);
  }
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

constexpr double kPowersOfTen[] = {1e0,  1e1,  1e2,  1e3, 1e4,  1e5,
                                   1e6,  1e7,  1e8,  1e9, 1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15};

// `text` if it is at most 15 decimal digits with a point among or behind them,
// as most numbers are: both sides of the division are exact then, and so it
// rounds as the number itself does. Otherwise nothing, which says nothing.
std::optional<double> ParseShortNumber(absl::string_view text) {
  constexpr size_t kMaxDigits = 15;
  if (text.size() > kMaxDigits || text.empty() ||
      !absl::ascii_isdigit(static_cast<unsigned char>(text[0])) ||
      (text[0] == '0' && text.size() > 1 && text[1] != '.')) {
    return std::nullopt;
  }
  int64_t digits = 0;
  size_t point = text.size();
  for (size_t i = 0; i < text.size(); ++i) {
    if (absl::ascii_isdigit(static_cast<unsigned char>(text[i]))) {
      digits = 10 * digits + (text[i] - '0');
    } else if (text[i] == '.' && point == text.size()) {
      point = i;
    } else {
      return std::nullopt;
    }
  }
  const size_t behind = point == text.size() ? 0 : text.size() - point - 1;
  return static_cast<double>(digits) / kPowersOfTen[behind];
}

// Appends the shortest text of a number below 1e6 that has at most three
// decimals; false for others. Of at most 15 digits no two texts are the same
// number, so that what reads as `value` is the only one.
bool AppendShortNumber(double value, std::string* out) {
  constexpr int kMaxDecimals = 3;
  for (int decimals = 0; decimals <= kMaxDecimals; ++decimals) {
    const double power = kPowersOfTen[decimals];
    const auto digits = static_cast<int64_t>(std::abs(value) * power + 0.5);
    if (static_cast<double>(digits) / power != std::abs(value)) continue;
    // Backwards.
    char buffer[16];
    char* const end = std::end(buffer);
    char* begin = end;
    int64_t left = digits;
    for (int written = 0; left > 0 || written <= decimals; ++written) {
      if (written == decimals && decimals > 0) *--begin = '.';
      *--begin = static_cast<char>('0' + left % 10);
      left /= 10;
    }
    if (value < 0) *--begin = '-';
    out->append(begin, end);
    return true;
  }
  return false;
}

absl::Status BadNumber(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("error parsing number: strconv.ParseFloat: parsing ",
                   Quoted(text), ": ", why));
}

}  // namespace

absl::StatusOr<double> ParseNumber(absl::string_view text) {
  if (const std::optional<double> number = ParseShortNumber(text)) {
    return *number;
  }
  if (absl::EqualsIgnoreCase(text, "inf")) {
    return std::numeric_limits<double>::infinity();
  }
  if (absl::EqualsIgnoreCase(text, "nan")) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (const std::optional<int64_t> integer = ParseInteger(text)) {
    return static_cast<double>(*integer);
  }
  if (absl::StartsWithIgnoreCase(text, "0x")) {
    return BadNumber(text, "invalid syntax");
  }
  double value = 0;
  const char* end = text.data() + text.size();
  const absl::from_chars_result result =
      absl::from_chars(text.data(), end, value);
  if (result.ptr != end || result.ec == std::errc::invalid_argument) {
    return BadNumber(text, "invalid syntax");
  }
  if (result.ec == std::errc::result_out_of_range && std::abs(value) > 1) {
    return BadNumber(text, "value out of range");
  }
  return value;
}

absl::StatusOr<double> ParseSeparatedNumber(absl::string_view text) {
  if (!absl::StrContains(text, '_')) return ParseNumber(text);
  const bool hex = absl::StartsWithIgnoreCase(text, "0x");
  const auto is_digit = [&](size_t i) {
    const auto c = static_cast<unsigned char>(text[i]);
    return hex ? i == 1 || absl::ascii_isxdigit(c) : absl::ascii_isdigit(c);
  };
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits.push_back(text[i]);
    } else if (i == 0 || i + 1 == text.size() || !is_digit(i - 1) ||
               !is_digit(i + 1)) {
      return BadNumber(text, "invalid syntax");
    }
  }
  return ParseNumber(digits);
}

void AppendNumberText(double value, std::string* out) {
  if (std::isnan(value)) {
    out->append("NaN");
    return;
  }
  if (std::isinf(value)) {
    out->append(value > 0 ? "+Inf" : "-Inf");
    return;
  }
  // As most numbers are.
  constexpr double kPlain = 1e6;
  if (std::abs(value) < kPlain && !(value == 0 && std::signbit(value)) &&
      AppendShortNumber(value, out)) {
    return;
  }
  char buffer[64];
  const auto scientific = std::to_chars(buffer, buffer + sizeof(buffer), value,
                                        std::chars_format::scientific);
  const absl::string_view text(buffer, scientific.ptr - buffer);
  // Both sides write an exponent of at least two digits.
  int exponent = 0;
  const size_t e = text.find('e');
  const bool parsed = absl::SimpleAtoi(text.substr(e + 1), &exponent);
  if (!parsed || exponent < -4 || exponent > 5) {
    out->append(buffer, scientific.ptr);
    return;
  }
  const auto fixed = std::to_chars(buffer, buffer + sizeof(buffer), value,
                                   std::chars_format::fixed);
  out->append(buffer, fixed.ptr);
}

std::string NumberText(double value) {
  std::string text;
  AppendNumberText(value, &text);
  return text;
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text,
                                             bool allow_zero) {
  const auto invalid = [whole = text] {
    return absl::InvalidArgumentError(
        absl::StrCat("not a valid duration string: ", Quoted(whole)));
  };
  int64_t total = 0;
  bool too_long = false;
  const Unit* unit = kUnits;
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() &&
           absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) {
      ++digits;
    }
    size_t letters = digits;
    while (letters < text.size() &&
           absl::ascii_isalpha(static_cast<unsigned char>(text[letters]))) {
      ++letters;
    }
    const absl::string_view name = text.substr(digits, letters - digits);
    while (unit != std::end(kUnits) && unit->name != name) ++unit;
    if (digits == 0 || unit == std::end(kUnits)) return invalid();
    int64_t count = 0;
    if (!absl::SimpleAtoi(text.substr(0, digits), &count) ||
        count > (kMaxMilliseconds - total) / unit->milliseconds) {
      too_long = true;  // Unless something that follows is not even a unit.
    } else {
      total += count * unit->milliseconds;
    }
    ++unit;
    text.remove_prefix(letters);
  }
  if (too_long) return absl::InvalidArgumentError("duration out of range");
  if (total == 0 && !allow_zero) {
    return absl::InvalidArgumentError("duration must be greater than 0");
  }
  return absl::Milliseconds(total);
}

std::string DurationText(absl::Duration duration) {
  int64_t rest = absl::ToInt64Milliseconds(duration);
  if (rest == 0) return "0s";
  std::string text;
  for (const Unit& unit : kUnits) {
    if (unit.exact && rest % unit.milliseconds != 0) continue;
    if (const int64_t count = rest / unit.milliseconds; count > 0) {
      absl::StrAppend(&text, count, unit.name);
      rest -= count * unit.milliseconds;
    }
  }
  return text;
}

}  // namespace insula::promql
