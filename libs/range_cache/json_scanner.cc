#include "libs/range_cache/json_scanner.h"

#include <array>
#include <cstdint>

#include "absl/strings/ascii.h"

namespace insula::range_cache {
namespace {

constexpr std::array<bool, 256> MakeNumberCharacters() {
  std::array<bool, 256> of_number{};
  for (const char c : "0123456789-+.eE")
    of_number[static_cast<uint8_t>(c)] = true;
  of_number[0] = false;  // The end of the literal.
  return of_number;
}
constexpr std::array<bool, 256> kNumberCharacters = MakeNumberCharacters();

bool IsNumberCharacter(char c) {
  return kNumberCharacters[static_cast<uint8_t>(c)];
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The four hexadecimal digits at the start of `text`; -1 if they are not there.
int32_t HexUnit(absl::string_view text) {
  if (text.size() < 4) return -1;
  int32_t unit = 0;
  for (size_t i = 0; i < 4; ++i) {
    const int digit = HexValue(text[i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

void AppendUtf8(uint32_t rune, std::string* out) {
  if (rune < 0x80) {
    out->push_back(static_cast<char>(rune));
  } else if (rune < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (rune >> 6)));
    out->push_back(static_cast<char>(0x80 | (rune & 0x3F)));
  } else if (rune < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | (rune >> 12)));
    out->push_back(static_cast<char>(0x80 | ((rune >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (rune & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | (rune >> 18)));
    out->push_back(static_cast<char>(0x80 | ((rune >> 12) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | ((rune >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (rune & 0x3F)));
  }
}

// Reads what follows "\u" in `text` and removes it. False: malformed.
bool TakeUnicode(absl::string_view* text, std::string* out) {
  const int32_t unit = HexUnit(*text);
  if (unit < 0) return false;
  text->remove_prefix(4);
  auto rune = static_cast<uint32_t>(unit);
  if (rune >= 0xD800 && rune < 0xE000) {
    const int32_t low = rune < 0xDC00 && text->substr(0, 2) == "\\u"
                            ? HexUnit(text->substr(2))
                            : -1;
    if (low < 0xDC00 || low >= 0xE000) return false;
    text->remove_prefix(6);
    rune = 0x10000 + ((rune - 0xD800) << 10) +
           (static_cast<uint32_t>(low) - 0xDC00);
  }
  AppendUtf8(rune, out);
  return true;
}

}  // namespace

bool JsonScanner::AtEnd() {
  SkipSpace();
  return at_ == text_.size();
}

std::optional<absl::string_view> JsonScanner::String() {
  if (!Sees('"')) return std::nullopt;
  const size_t begin = at_++;
  const char* const text = text_.data();
  const size_t size = text_.size();
  size_t at = at_;
  while (at < size && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
  if (at >= size) return std::nullopt;
  at_ = at + 1;
  return From(begin);
}

std::optional<absl::string_view> JsonScanner::Number() {
  SkipSpace();
  const size_t begin = at_;
  const char* const text = text_.data();
  const size_t size = text_.size();
  size_t at = at_;
  while (at < size && IsNumberCharacter(text[at])) ++at;
  if (at == begin) return std::nullopt;
  at_ = at;
  return From(begin);
}

std::optional<absl::string_view> JsonScanner::Value() {
  SkipSpace();
  const size_t begin = at_;
  size_t depth = 0;
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '"') {
      if (!String().has_value()) return std::nullopt;
    } else if (c == '[' || c == '{') {
      ++depth;
      ++at_;
      continue;
    } else if (c == ']' || c == '}') {
      if (depth == 0) break;
      --depth;
      ++at_;
    } else if (c == ',' || c == ':' || IsSpace(c)) {
      if (depth == 0) break;
      ++at_;
      continue;
    } else {  // A number, true, false, null.
      while (at_ < text_.size() && (IsNumberCharacter(text_[at_]) ||
                                    absl::ascii_isalpha(text_[at_]))) {
        ++at_;
      }
      if (at_ == begin) return std::nullopt;
      if (at_ < text_.size() && depth > 0 && !IsSpace(text_[at_]) &&
          text_[at_] != ',' && text_[at_] != ']' && text_[at_] != '}') {
        return std::nullopt;
      }
    }
    if (depth == 0) break;
  }
  if (depth != 0 || at_ == begin) return std::nullopt;
  return From(begin);
}

std::optional<absl::string_view> JsonScanner::Key() {
  const auto quoted = String();
  if (!quoted.has_value() || !Eat(':')) return std::nullopt;
  const absl::string_view key = quoted->substr(1, quoted->size() - 2);
  if (key.find('\\') != absl::string_view::npos) return std::nullopt;
  return key;
}

std::optional<std::string> Unquote(absl::string_view quoted) {
  if (quoted.size() < 2) return std::nullopt;
  absl::string_view text = quoted.substr(1, quoted.size() - 2);
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t plain = std::min(text.find('\\'), text.size());
    out.append(text.data(), plain);
    text.remove_prefix(plain);
    if (text.size() < 2) {
      if (text.empty()) break;
      return std::nullopt;
    }
    const char escape = text[1];
    text.remove_prefix(2);
    constexpr absl::string_view kNames = "\"\\/bfnrt";
    constexpr absl::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const size_t which = kNames.find(escape);
    if (which != absl::string_view::npos) {
      out.push_back(kMeanings[which]);
    } else if (escape != 'u' || !TakeUnicode(&text, &out)) {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace insula::range_cache
