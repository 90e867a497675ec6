#include "services/rule_sync/rule_file_name.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/http/url.h"

namespace insula::rule_sync {
namespace {

constexpr absl::string_view kPrefix = "insula-";
constexpr absl::string_view kSuffix = ".yaml";
constexpr size_t kUidDigits = 32;
// Leaves room for the endings of files that are on trial.
constexpr size_t kMaxEncodedStem = 200;

bool IsLowerHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

}  // namespace

std::string FormatRuleFileName(const RuleFileName& name) {
  return absl::StrCat(kPrefix, absl::BytesToHexString(name.uid), "-",
                      http::PercentEncode(name.stem), kSuffix);
}

std::optional<RuleFileName> ParseRuleFileName(absl::string_view text) {
  const absl::string_view whole = text;
  if (!absl::ConsumePrefix(&text, kPrefix) ||
      !absl::ConsumeSuffix(&text, kSuffix) || text.size() <= kUidDigits + 1 ||
      text[kUidDigits] != '-' || !IsLowerHex(text.substr(0, kUidDigits))) {
    return std::nullopt;
  }
  const auto stem = http::PercentDecode(text.substr(kUidDigits + 1));
  if (!stem.ok()) return std::nullopt;
  RuleFileName name{absl::HexStringToBytes(text.substr(0, kUidDigits)), *stem};
  // One name for one file: other spellings of it are somebody else's.
  if (FormatRuleFileName(name) != whole) return std::nullopt;
  return name;
}

bool IsUsableStem(absl::string_view stem) {
  return !stem.empty() && http::PercentEncode(stem).size() <= kMaxEncodedStem;
}

}  // namespace insula::rule_sync
