#include "libs/exposition/line_reader.h"

#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/exposition/escape.h"
#include "libs/labels/validity.h"

namespace insula::exposition {
namespace {

enum CharacterClass : unsigned char {
  kStart = 1,  // Of any name.
  kDigit = 2,
  kColon = 4,
};

constexpr std::array<unsigned char, 256> MakeClasses() {
  std::array<unsigned char, 256> classes{};
  for (int c = 0; c < 256; ++c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_') {
      classes[c] = kStart;
    } else if (c >= '0' && c <= '9') {
      classes[c] = kDigit;
    } else if (c == ':') {
      classes[c] = kColon;
    }
  }
  return classes;
}
constexpr std::array<unsigned char, 256> kClasses = MakeClasses();

bool Is(char c, unsigned char classes) {
  return (kClasses[static_cast<unsigned char>(c)] & classes) != 0;
}

}  // namespace

absl::string_view LineReader::TakeWord() {
  const char* const from = at_;
  if (is_open_metrics()) {
    while (at_ != end_ && *at_ != ' ') ++at_;
  } else {
    while (at_ != end_ && *at_ != ' ' && *at_ != '\t') ++at_;
  }
  return absl::string_view(from, static_cast<size_t>(at_ - from));
}

absl::string_view LineReader::TakeMetricName() {
  const char* const from = at_;
  if (!Is(Peek(), kStart | kColon)) return absl::string_view(from, 0);
  while (at_ != end_ && Is(*at_, kStart | kDigit | kColon)) ++at_;
  return absl::string_view(from, static_cast<size_t>(at_ - from));
}

absl::string_view LineReader::TakeLabelName() {
  const char* const from = at_;
  if (!Is(Peek(), kStart)) return absl::string_view(from, 0);
  while (at_ != end_ && Is(*at_, kStart | kDigit)) ++at_;
  return absl::string_view(from, static_cast<size_t>(at_ - from));
}

absl::Status LineReader::TakeString(absl::string_view* text) {
  const char* const from = ++at_;
  unsigned char bits = 0;
  bool escaped = false;
  for (; at_ != end_ && *at_ != '"'; ++at_) {
    bits |= static_cast<unsigned char>(*at_);
    if (*at_ == '\\') {
      escaped = true;
      if (++at_ == end_) break;
      bits |= static_cast<unsigned char>(*at_);
    }
  }
  if (at_ == end_) {
    return Error(from - 1,
                 "no closing quote, write a line feed as \\n and a quote as "
                 "\\\"");
  }
  *text = absl::string_view(from, static_cast<size_t>(at_ - from));
  ++at_;
  if ((bits & 0x80) != 0 && !labels::IsValidUtf8(*text)) {
    return Error(from, "the string is not valid UTF-8");
  }
  if (escaped) *text = Unescaped(*text, /*quotes=*/true);
  return absl::OkStatus();
}

absl::string_view LineReader::Unescaped(absl::string_view raw, bool quotes) {
  // Grows only while nothing of this line is in it.
  if (unescaped_ == 0) {
    const size_t line = static_cast<size_t>(end_ - begin_);
    if (memory_.size() < line) memory_.resize(line);
  }
  char* const out = memory_.data() + unescaped_;
  const size_t size =
      Unescape(raw, quotes ? Quote::kDouble : Quote::kNone, out);
  unescaped_ += size;
  return absl::string_view(out, size);
}

absl::Status LineReader::Error(const char* where,
                               absl::string_view what) const {
  return absl::InvalidArgumentError(
      absl::StrCat("column ", where - begin_ + 1, ": ", what));
}

absl::Status LineReader::TooLong(const char* where, absl::string_view what,
                                 size_t size, size_t limit) const {
  return absl::ResourceExhaustedError(
      absl::StrCat("column ", where - begin_ + 1, ": ", what, " of ", size,
                   " bytes, the limit is ", limit));
}

absl::Status LineReader::Expected(absl::string_view wanted) const {
  const absl::string_view found = Rest().substr(0, 1);
  const std::string shown =
      found.empty() ? "the line ends"
                    : absl::StrCat("found '", absl::CHexEscape(found), "'");
  return Error(at_, absl::StrCat("expected ", wanted, ", ", shown));
}

}  // namespace insula::exposition
