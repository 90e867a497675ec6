#include "libs/logging/line.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"

namespace insula::logging::internal {
namespace {

absl::string_view LevelName(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
  }
  return "error";
}

// The length of the UTF-8 character that `text` starts with, 0 if it does not
// start with a valid one. `text` is not empty.
size_t Utf8Length(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  size_t length = 0;
  uint32_t code = 0;
  uint32_t least = 0;
  if ((first & 0xE0) == 0xC0) {
    length = 2, code = first & 0x1F, least = 0x80;
  } else if ((first & 0xF0) == 0xE0) {
    length = 3, code = first & 0x0F, least = 0x800;
  } else if ((first & 0xF8) == 0xF0) {
    length = 4, code = first & 0x07, least = 0x10000;
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3F);
  }
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < least || code > 0x10FFFF || surrogate) return 0;
  return length;
}

// Whether a terminal or a line-based reader may take the character for a
// command or a line's end: C0, DEL, C1, U+2028, U+2029.
bool IsControl(absl::string_view character) {
  const auto first = static_cast<uint8_t>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  if (character.size() == 2) {
    return first == 0xC2 && static_cast<uint8_t>(character[1]) < 0xA0;
  }
  return character == "\u2028" || character == "\u2029";
}

// What a character needs, by its byte.
enum Need : uint8_t {
  kNothing,  // Stands for itself anywhere.
  kQuotes,   // Stands for itself between double quotes.
  kEscape,   // A look of its own.
};
constexpr std::array<Need, 256> MakeNeeds() {
  std::array<Need, 256> needs{};
  for (int c = 0; c < 256; ++c) {
    const bool escape = c < 0x20 || c >= 0x7F || c == '"' || c == '\\';
    needs[c] = escape ? kEscape : c == ' ' || c == '=' ? kQuotes : kNothing;
  }
  return needs;
}
constexpr std::array<Need, 256> kNeeds = MakeNeeds();

Need NeedOf(char c) { return kNeeds[static_cast<uint8_t>(c)]; }

// Whether it stands for itself between double quotes, as most do.
bool IsPlain(char c) { return NeedOf(c) != kEscape; }

// Appends `text` for the inside of double quotes. `hex` starts the escape of a
// byte that has no other: JSON knows no \x, there it becomes text.
void AppendEscaped(absl::string_view text, absl::string_view hex,
                   std::string* out) {
  while (!text.empty()) {
    const auto plain = static_cast<size_t>(
        std::find_if_not(text.begin(), text.end(), IsPlain) - text.begin());
    if (plain > 0) {
      out->append(text.data(), plain);
      text.remove_prefix(plain);
      continue;
    }
    const size_t length = Utf8Length(text);
    const absl::string_view character =
        text.substr(0, std::max<size_t>(length, 1));
    text.remove_prefix(character.size());
    if (length == 0 || IsControl(character)) {
      if (character == "\n") {
        out->append("\\n");
      } else if (character == "\r") {
        out->append("\\r");
      } else if (character == "\t") {
        out->append("\\t");
      } else {
        for (const char c : character) {
          absl::StrAppend(out, hex,
                          absl::Hex(static_cast<uint8_t>(c), absl::kZeroPad2));
        }
      }
    } else {
      if (character == "\"" || character == "\\") out->push_back('\\');
      out->append(character.data(), character.size());
    }
  }
}

bool IsBare(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return NeedOf(c) == kNothing;
  });
}

// Writes the pairs of one line.
class Writer {
 public:
  explicit Writer(Format format) : format_(format) {
    line_.reserve(512);
    if (format_ == Format::kJson) line_.push_back('{');
  }

  void Add(absl::string_view key, absl::string_view value) {
    const bool json = format_ == Format::kJson;
    if (!first_) line_.push_back(json ? ',' : ' ');
    first_ = false;
    std::string cut;
    if (value.size() > kMaxValueBytes) {
      cut = absl::StrCat(value.substr(0, kMaxValueBytes), "... (",
                         value.size() - kMaxValueBytes, " bytes more)");
      value = cut;
    }
    if (json) {
      line_.push_back('"');
      AppendEscaped(key, "\\\\x", &line_);
      line_.append("\":\"");
      AppendEscaped(value, "\\\\x", &line_);
      line_.push_back('"');
      return;
    }
    line_.append(key.data(), key.size());
    line_.push_back('=');
    if (IsBare(value)) {
      line_.append(value.data(), value.size());
      return;
    }
    line_.push_back('"');
    AppendEscaped(value, "\\x", &line_);
    line_.push_back('"');
  }

  std::string Finish() {
    if (format_ == Format::kJson) line_.push_back('}');
    return std::move(line_);
  }

 private:
  const Format format_;
  bool first_ = true;
  std::string line_;
};

// As RFC 3339, in UTC. Most lines are of the second of the one before.
std::string Timestamp(absl::Time now) {
  constexpr absl::string_view kFormat = "%Y-%m-%d%ET%H:%M:%S";
  thread_local absl::Time formatted = absl::InfinitePast();
  thread_local std::string text;
  if (now < formatted || now >= formatted + absl::Seconds(1)) {
    formatted = absl::FromUnixSeconds(absl::ToUnixSeconds(now));
    text = absl::FormatTime(kFormat, formatted, absl::UTCTimeZone());
  }
  const auto millis =
      static_cast<unsigned>(absl::ToInt64Milliseconds(now - formatted));
  const char digits[] = {'.', static_cast<char>('0' + millis / 100 % 10),
                         static_cast<char>('0' + millis / 10 % 10),
                         static_cast<char>('0' + millis % 10), 'Z'};
  return absl::StrCat(text, absl::string_view(digits, sizeof(digits)));
}

}  // namespace

std::string FormatLine(Format format, absl::Time now, Level level,
                       absl::string_view service, absl::string_view msg,
                       Fields fields) {
  Writer writer(format);
  writer.Add("ts", Timestamp(now));
  writer.Add("level", LevelName(level));
  if (!service.empty()) writer.Add("service", service);
  writer.Add("msg", msg);
  for (const Field& field : fields) writer.Add(field.key, field.value);
  return writer.Finish();
}

}  // namespace insula::logging::internal
