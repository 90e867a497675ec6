#include "tools/insulactl/kinds.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/snapshot.h"

namespace insula::insulactl {
namespace {

// "claimrule" of "Claim-Rules".
std::string Simplified(absl::string_view word) {
  return absl::AsciiStrToLower(
      absl::StrReplaceAll(word, {{"-", ""}, {"_", ""}}));
}

std::vector<v1::Kind> Kinds() {
  std::vector<v1::Kind> kinds;
  for (int number = v1::Kind_MIN; number <= v1::Kind_MAX; ++number) {
    if (!v1::Kind_IsValid(number)) continue;
    const auto kind = static_cast<v1::Kind>(number);
    if (!tenancy::KindName(kind).empty()) kinds.push_back(kind);
  }
  return kinds;
}

// "claim-rule" of "ClaimRule".
std::string WordOf(v1::Kind kind) {
  std::string word;
  for (const char c : tenancy::KindName(kind)) {
    if (absl::ascii_isupper(c) && !word.empty()) word += '-';
    word += absl::ascii_tolower(c);
  }
  return word;
}

}  // namespace

absl::StatusOr<v1::Kind> ParseKindWord(absl::string_view word) {
  const std::string simple = Simplified(word);
  for (const v1::Kind kind : Kinds()) {
    const std::string name = Simplified(tenancy::KindName(kind));
    absl::string_view stem = name;
    const bool y = absl::ConsumeSuffix(&stem, "y");
    const bool s = absl::ConsumeSuffix(&stem, "s");
    if (simple == name || simple == name + "s" || simple == name + "es" ||
        (y && simple == absl::StrCat(stem, "ies")) ||
        (s && simple == std::string(stem))) {
      return kind;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", absl::Utf8SafeCEscape(word), "' is no kind; known are ",
                   absl::StrJoin(KindWords(), ", ")));
}

absl::StatusOr<resources::ObjectKey> ParseObjectName(absl::string_view name) {
  const size_t slash = name.find('/');
  if (slash == absl::string_view::npos || slash + 1 == name.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", absl::Utf8SafeCEscape(name),
                     "' names no object; write KIND/ID, such as tenant/red"));
  }
  ASSIGN_OR_RETURN(const v1::Kind kind, ParseKindWord(name.substr(0, slash)));
  return resources::ObjectKey{kind, std::string(name.substr(slash + 1))};
}

std::vector<std::string> KindWords() {
  std::vector<std::string> words;
  for (const v1::Kind kind : Kinds()) words.push_back(WordOf(kind));
  return words;
}

}  // namespace insula::insulactl
