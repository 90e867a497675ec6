#include "services/query_frontend/prometheus_time.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace insula::query_frontend {
namespace {

constexpr absl::string_view kMinTime = "-292273086-05-16T16:47:06Z";
constexpr absl::string_view kMaxTime = "292277025-08-18T07:12:54.999999999Z";

// A decimal number; nothing for all else that strtod takes.
std::optional<double> ParseDecimal(absl::string_view text) {
  if (text.empty() || !std::all_of(text.begin(), text.end(), [](char c) {
        return absl::ascii_isdigit(c) || absl::StrContains("+-.eE", c);
      })) {
    return std::nullopt;
  }
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

bool HasShape(absl::string_view text, absl::string_view shape) {
  if (text.size() != shape.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (shape[i] == '0' ? !absl::ascii_isdigit(text[i]) : text[i] != shape[i]) {
      return false;
    }
  }
  return true;
}

std::optional<absl::Time> ParseRfc3339(absl::string_view text) {
  constexpr absl::string_view kSeconds = "0000-00-00T00:00:00";
  if (!HasShape(text.substr(0, kSeconds.size()), kSeconds)) {
    return std::nullopt;
  }
  absl::string_view rest = text.substr(kSeconds.size());
  if (absl::StartsWith(rest, ".")) {
    size_t digits = 1;
    while (digits < rest.size() && absl::ascii_isdigit(rest[digits])) ++digits;
    if (digits == 1) return std::nullopt;
    rest.remove_prefix(digits);
  }
  if (rest != "Z" && !HasShape(rest, "+00:00") && !HasShape(rest, "-00:00")) {
    return std::nullopt;
  }
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    return std::nullopt;
  }
  return time;
}

constexpr std::pair<absl::string_view, absl::Duration> kUnits[] = {
    {"y", absl::Hours(24 * 365)},  {"w", absl::Hours(24 * 7)},
    {"d", absl::Hours(24)},        {"h", absl::Hours(1)},
    {"m", absl::Minutes(1)},       {"s", absl::Seconds(1)},
    {"ms", absl::Milliseconds(1)},
};

std::optional<absl::Duration> ParseUnits(absl::string_view text) {
  if (text.empty()) return std::nullopt;
  absl::Duration sum;
  size_t next_unit = 0;
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() && absl::ascii_isdigit(text[digits])) ++digits;
    size_t end = digits;
    while (end < text.size() && absl::ascii_isalpha(text[end])) ++end;
    int64_t count = 0;
    if (!absl::SimpleAtoi(text.substr(0, digits), &count)) return std::nullopt;
    const absl::string_view name = text.substr(digits, end - digits);
    while (next_unit < std::size(kUnits) && kUnits[next_unit].first != name) {
      ++next_unit;
    }
    if (next_unit == std::size(kUnits)) return std::nullopt;
    sum += count * kUnits[next_unit++].second;
    text.remove_prefix(end);
  }
  return sum;
}

}  // namespace

absl::StatusOr<absl::Time> ParseTime(absl::string_view text) {
  // So many digits are a double to the last.
  constexpr size_t kExactDigits = 15;
  int64_t second = 0;
  if (text.size() <= kExactDigits &&
      std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
      absl::SimpleAtoi(text, &second)) {
    return absl::FromUnixSeconds(second);
  }
  if (const std::optional<double> seconds = ParseDecimal(text)) {
    // Beyond this Go's conversion to int64 is undefined.
    if (std::abs(*seconds) < 9.2e18) {
      double whole = 0;
      const double fraction = std::modf(*seconds, &whole);
      return absl::FromUnixSeconds(static_cast<int64_t>(whole)) +
             absl::Milliseconds(std::llround(fraction * 1000));
    }
  } else if (const std::optional<absl::Time> time = ParseRfc3339(text)) {
    return *time;
  }
  if (text == kMinTime) return absl::InfinitePast();
  if (text == kMaxTime) return absl::InfiniteFuture();
  return absl::InvalidArgumentError(absl::StrCat(
      "cannot parse \"", absl::CHexEscape(text), "\" to a valid timestamp"));
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  std::optional<absl::Duration> duration;
  if (const std::optional<double> seconds = ParseDecimal(text)) {
    duration = absl::Seconds(*seconds);
  } else {
    duration = ParseUnits(text);
  }
  if (!duration) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot parse \"", absl::CHexEscape(text), "\" to a valid duration"));
  }
  // Prometheus keeps durations as nanoseconds in an int64.
  const absl::Duration most =
      absl::Nanoseconds(std::numeric_limits<int64_t>::max());
  if (*duration > most || *duration < -most) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot parse \"", absl::CHexEscape(text),
                     "\" to a valid duration. It overflows int64"));
  }
  return *duration;
}

}  // namespace insula::query_frontend
