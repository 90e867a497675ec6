#include "libs/promql/quote.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace insula::promql {
namespace {

struct Interval {
  char32_t first;
  char32_t last;
};

// What cannot be seen: controls, formats, spaces but U+0020, private use,
// surrogates, non-characters, and planes without characters.
constexpr Interval kInvisible[] = {
    {0x80, 0xA0},       {0xAD, 0xAD},       {0x600, 0x605},
    {0x61C, 0x61C},     {0x6DD, 0x6DD},     {0x70F, 0x70F},
    {0x890, 0x891},     {0x8E2, 0x8E2},     {0x1680, 0x1680},
    {0x180E, 0x180E},   {0x2000, 0x200F},   {0x2028, 0x202F},
    {0x205F, 0x206F},   {0x3000, 0x3000},   {0xD800, 0xF8FF},
    {0xFDD0, 0xFDEF},   {0xFEFF, 0xFEFF},   {0xFFF0, 0xFFFB},
    {0xFFFE, 0xFFFF},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD},
    {0x13430, 0x13438}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A},
    {0x1FFFE, 0x1FFFF}, {0x2FFFE, 0x2FFFF}, {0x3FFFE, 0xE00FF},
    {0xE01F0, 0x10FFFF}};

// Whether each byte stands for itself in double quotes.
constexpr std::array<bool, 256> MakePlain() {
  std::array<bool, 256> plain{};
  for (size_t c = ' '; c <= '~'; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}
constexpr std::array<bool, 256> kPlain = MakePlain();

// How many bytes at the start of `text` do.
size_t CountPlain(absl::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end && kPlain[static_cast<uint8_t>(*at)]) ++at;
  return static_cast<size_t>(at - text.data());
}

bool IsVisible(char32_t c) {
  if (c < 0x80) return c >= 0x20 && c != 0x7F;
  for (const Interval& interval : kInvisible) {
    if (c < interval.first) return true;
    if (c <= interval.last) return false;
  }
  return false;
}

// The letter behind the backslash of a short escape, 0 if there is none.
char ShortEscape(char32_t c) {
  switch (c) {
    case '\a':
      return 'a';
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\v':
      return 'v';
    default:
      return 0;
  }
}

void AppendEscaped(char32_t c, std::string* out) {
  if (const char letter = ShortEscape(c); letter != 0) {
    out->push_back('\\');
    out->push_back(letter);
  } else if (c < 0x80) {
    absl::StrAppendFormat(out, "\\x%02x", static_cast<uint32_t>(c));
  } else if (c < 0x10000) {
    absl::StrAppendFormat(out, "\\u%04x", static_cast<uint32_t>(c));
  } else {
    absl::StrAppendFormat(out, "\\U%08x", static_cast<uint32_t>(c));
  }
}

void AppendUtf8(char32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (c >> 6)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | (c >> 12)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | (c >> 18)));
    out->push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

// Takes `count` digits of `base` (8 or 16) off the front of `text`.
char32_t TakeDigits(absl::string_view* text, size_t count, char32_t base) {
  char32_t value = 0;
  for (size_t i = 0; i < count && i < text->size(); ++i) {
    const char c = (*text)[i];
    const char32_t digit = absl::ascii_isdigit(static_cast<unsigned char>(c))
                               ? static_cast<char32_t>(c - '0')
                               : static_cast<char32_t>((c | 0x20) - 'a' + 10);
    value = value * base + digit;
  }
  text->remove_prefix(count < text->size() ? count : text->size());
  return value;
}

// Appends what the escape at the start of `text`, behind its backslash, means.
void TakeEscape(absl::string_view* text, std::string* out) {
  const char c = text->front();
  if (c >= '0' && c <= '7') {
    out->push_back(static_cast<char>(TakeDigits(text, 3, 8)));
    return;
  }
  text->remove_prefix(1);
  switch (c) {
    case 'a':
      return out->push_back('\a');
    case 'b':
      return out->push_back('\b');
    case 'f':
      return out->push_back('\f');
    case 'n':
      return out->push_back('\n');
    case 'r':
      return out->push_back('\r');
    case 't':
      return out->push_back('\t');
    case 'v':
      return out->push_back('\v');
    case 'x':
      return out->push_back(static_cast<char>(TakeDigits(text, 2, 16)));
    case 'u':
      return AppendUtf8(TakeDigits(text, 4, 16), out);
    case 'U':
      return AppendUtf8(TakeDigits(text, 8, 16), out);
    default:
      return out->push_back(c);  // A backslash or a quote.
  }
}

}  // namespace

size_t DecodeCharacter(absl::string_view text, char32_t* c) {
  const auto byte = [&text](size_t i) -> uint32_t {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : 0;
  };
  const auto continues = [&byte](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const uint32_t lead = byte(0);
  if (lead < 0x80) {
    *c = lead;
    return 1;
  }
  if (lead >= 0xC2 && lead < 0xE0 && continues(1)) {
    *c = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    return 2;
  }
  if (lead >= 0xE0 && lead < 0xF0 && continues(1) && continues(2)) {
    *c = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    if (*c >= 0x800 && !(*c >= 0xD800 && *c < 0xE000)) return 3;
  }
  if (lead >= 0xF0 && lead < 0xF5 && continues(1) && continues(2) &&
      continues(3)) {
    *c = (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 |
         (byte(3) & 0x3F);
    if (*c >= 0x10000 && *c <= 0x10FFFF) return 4;
  }
  *c = kReplacement;
  return 1;
}

void AppendQuoted(absl::string_view text, std::string* out) {
  out->push_back('"');
  while (true) {
    const size_t plain = CountPlain(text);
    out->append(text.data(), plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    char32_t c;
    const size_t length = DecodeCharacter(text, &c);
    if (c == kReplacement && length == 1) {
      absl::StrAppendFormat(out, "\\x%02x", static_cast<uint8_t>(text[0]));
    } else if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(c));
    } else if (IsVisible(c) && c != kReplacement) {
      out->append(text.data(), length);
    } else {
      AppendEscaped(c, out);
    }
    text.remove_prefix(length);
  }
  out->push_back('"');
}

std::string Quoted(absl::string_view text) {
  std::string quoted;
  quoted.reserve(text.size() + 2);
  AppendQuoted(text, &quoted);
  return quoted;
}

std::string QuotedCharacter(char32_t c) {
  if (c > 0x10FFFF) c = kReplacement;
  std::string quoted = "'";
  if (c == '\'' || c == '\\') quoted.push_back('\\');
  if (IsVisible(c)) {
    AppendUtf8(c, &quoted);
  } else {
    AppendEscaped(c, &quoted);
  }
  quoted.push_back('\'');
  return quoted;
}

std::string Unquote(absl::string_view literal) {
  std::string buffer;
  const absl::string_view value = Unquote(literal, &buffer);
  return value.data() == buffer.data() ? buffer : std::string(value);
}

absl::string_view Unquote(absl::string_view literal, std::string* buffer) {
  const char quote = literal.front();
  absl::string_view text = literal.substr(1, literal.size() - 2);
  if (quote == '`' || text.find('\\') == absl::string_view::npos) return text;
  std::string& value = *buffer;
  value.clear();
  value.reserve(text.size());
  while (!text.empty()) {
    const size_t plain = text.find('\\');
    if (plain == absl::string_view::npos || plain + 1 == text.size()) {
      value.append(text.data(), text.size());
      break;
    }
    value.append(text.data(), plain);
    text.remove_prefix(plain + 1);
    TakeEscape(&text, &value);
  }
  return value;
}

}  // namespace insula::promql
