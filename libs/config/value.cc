// The text form of values, and Fields.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/config/config.h"

namespace insula::config {
namespace {

struct Unit {
  absl::string_view name;
  uint64_t bytes;
};
constexpr Unit kUnits[] = {{"TiB", uint64_t{1} << 40},
                           {"GiB", uint64_t{1} << 30},
                           {"MiB", uint64_t{1} << 20},
                           {"KiB", uint64_t{1} << 10}};

// A value in a message: escaped, and cut to fit a line.
std::string Quoted(absl::string_view text) {
  constexpr size_t kShown = 60;
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, kShown)),
                      text.size() > kShown ? "...'" : "'");
}

absl::Status Wrong(absl::string_view text, absl::string_view cure) {
  return absl::InvalidArgumentError(
      absl::StrCat(Quoted(text), " must be ", cure));
}

absl::Status SetText(absl::string_view text, std::string* value) {
  if (absl::StrContains(text, '\0')) {
    return Wrong(text, "text without a NUL character");
  }
  value->assign(text.data(), text.size());
  return absl::OkStatus();
}

// Sets a whole number of any width.
template <typename Int>
absl::Status SetInt(absl::string_view text, Int* value) {
  Int parsed = 0;
  if (!absl::SimpleAtoi(text, &parsed)) {
    return Wrong(text, absl::StrCat("a whole number from ",
                                    std::numeric_limits<Int>::min(), " to ",
                                    std::numeric_limits<Int>::max()));
  }
  *value = parsed;
  return absl::OkStatus();
}

// A field of a value that prints with `get`.
Field MakeField(absl::string_view type,
                std::function<absl::Status(absl::string_view)> set,
                std::function<std::string()> get) {
  Field field;
  field.type = std::string(type);
  field.set = std::move(set);
  field.get = std::move(get);
  field.default_value = field.get();
  return field;
}

[[noreturn]] void Die(absl::string_view key, const char* what) {
  std::fprintf(stderr, "setting '%.*s' %s\n", static_cast<int>(key.size()),
               key.data(), what);
  std::abort();
}

bool IsKey(absl::string_view key) {
  return !key.empty() && absl::ascii_islower(key[0]) &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
         });
}

}  // namespace

absl::StatusOr<Bytes> ParseBytes(absl::string_view text) {
  absl::string_view digits = text;
  uint64_t unit = 1;
  for (const Unit& u : kUnits) {
    if (absl::ConsumeSuffix(&digits, u.name)) {
      unit = u.bytes;
      break;
    }
  }
  uint64_t count = 0;
  if (digits.empty() || !absl::ascii_isdigit(digits[0]) ||
      !absl::ascii_isdigit(digits.back()) ||
      !absl::SimpleAtoi(digits, &count) ||
      count > std::numeric_limits<uint64_t>::max() / unit) {
    return Wrong(text,
                 "a whole number of bytes, KiB, MiB, GiB or TiB, for example "
                 "16MiB");
  }
  return Bytes{count * unit};
}

std::string FormatBytes(Bytes bytes) {
  for (const Unit& unit : kUnits) {
    if (bytes.value != 0 && bytes.value % unit.bytes == 0) {
      return absl::StrCat(bytes.value / unit.bytes, unit.name);
    }
  }
  return absl::StrCat(bytes.value);
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  absl::Duration value;
  double number = 0;
  if (absl::ParseDuration(text, &value) && value >= absl::ZeroDuration() &&
      value != absl::InfiniteDuration()) {
    return value;
  }
  if (absl::SimpleAtod(text, &number) && std::isfinite(number) && number > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(text), " needs a unit, for example ", text, "s"));
  }
  return Wrong(text, "a duration such as 250ms, 20s, 1m30s or 2h");
}

absl::Status CheckAddress(absl::string_view address) {
  const size_t colon = address.rfind(':');
  const absl::string_view host = address.substr(0, colon);
  const bool brackets =
      absl::StartsWith(host, "[") && absl::EndsWith(host, "]");
  uint32_t port = 0;
  if (colon == absl::string_view::npos || host.empty() ||
      (absl::StrContains(host, ':') && !brackets) ||
      !std::all_of(address.begin() + colon + 1, address.end(),
                   absl::ascii_isdigit) ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port > 65535) {
    return Wrong(address, "HOST:PORT, for example 127.0.0.1:9801 or [::]:9801");
  }
  return absl::OkStatus();
}

void Fields::Add(absl::string_view key, std::string& value,
                 absl::string_view help) {
  AddField(
      key, help,
      MakeField(
          "string",
          [&value](absl::string_view text) { return SetText(text, &value); },
          [&value] { return value; }));
}

void Fields::Add(absl::string_view key, bool& value, absl::string_view help) {
  AddField(key, help,
           MakeField(
               "bool",
               [&value](absl::string_view text) -> absl::Status {
                 if (text != "true" && text != "false") {
                   return Wrong(text, "true or false");
                 }
                 value = text == "true";
                 return absl::OkStatus();
               },
               [&value] { return std::string(value ? "true" : "false"); }));
}

void Fields::Add(absl::string_view key, int& value, absl::string_view help) {
  AddField(
      key, help,
      MakeField(
          "integer",
          [&value](absl::string_view text) { return SetInt(text, &value); },
          [&value] { return absl::StrCat(value); }));
}

void Fields::Add(absl::string_view key, int64_t& value,
                 absl::string_view help) {
  AddField(
      key, help,
      MakeField(
          "integer",
          [&value](absl::string_view text) { return SetInt(text, &value); },
          [&value] { return absl::StrCat(value); }));
}

void Fields::Add(absl::string_view key, double& value, absl::string_view help) {
  AddField(
      key, help,
      MakeField(
          "number",
          [&value](absl::string_view text) -> absl::Status {
            double parsed = 0;
            if (!absl::SimpleAtod(text, &parsed) || !std::isfinite(parsed)) {
              return Wrong(text, "a number");
            }
            value = parsed;
            return absl::OkStatus();
          },
          [&value] { return absl::StrCat(value); }));
}

void Fields::Add(absl::string_view key, absl::Duration& value,
                 absl::string_view help) {
  AddField(key, help,
           MakeField(
               "duration",
               [&value](absl::string_view text) -> absl::Status {
                 const absl::StatusOr<absl::Duration> parsed =
                     ParseDuration(text);
                 if (parsed.ok()) value = *parsed;
                 return parsed.status();
               },
               [&value] { return absl::FormatDuration(value); }));
}

void Fields::Add(absl::string_view key, Bytes& value, absl::string_view help) {
  AddField(key, help,
           MakeField(
               "size",
               [&value](absl::string_view text) -> absl::Status {
                 const absl::StatusOr<Bytes> parsed = ParseBytes(text);
                 if (parsed.ok()) value = *parsed;
                 return parsed.status();
               },
               [&value] { return FormatBytes(value); }));
}

void Fields::Add(absl::string_view key, Secret& value, absl::string_view help) {
  AddField(key, help,
           MakeField(
               kSecretType,
               [&value](absl::string_view text) -> absl::Status {
                 if (absl::StrContains(text, '\0')) {
                   return absl::InvalidArgumentError(
                       "must not hold a NUL character");
                 }
                 value = Secret(std::string(text));
                 return absl::OkStatus();
               },
               [&value]() -> std::string {
                 return value.empty() ? "" : std::string(Secret::kShown);
               }));
}

void Fields::Add(absl::string_view key, std::vector<std::string>& value,
                 absl::string_view help) {
  Field field;
  field.type = "list of strings";
  field.strings = &value;
  for (const std::string& element : value) {
    absl::StrAppend(&field.default_value,
                    field.default_value.empty() ? "" : ", ", element);
  }
  AddField(key, help, std::move(field));
}

void Fields::AddField(absl::string_view key, absl::string_view help,
                      Field field) {
  if (!IsKey(key)) Die(key, "must be named of [a-z0-9_]");
  field.key = absl::StrCat(prefix_, key);
  field.help = std::string(help);
  // Also refuses a value beside a group of its name, and two keys that would
  // share a variable.
  const auto variable = [](absl::string_view path) {
    std::string name(path);
    std::replace(name.begin(), name.end(), '.', '_');
    return name;
  };
  for (const Field& other : fields_) {
    if (variable(other.key) == variable(field.key) ||
        absl::StartsWith(other.key, field.key + ".") ||
        absl::StartsWith(field.key, other.key + ".")) {
      Die(field.key, "is there twice");
    }
  }
  fields_.push_back(std::move(field));
}

}  // namespace insula::config
