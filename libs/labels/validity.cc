#include "libs/labels/validity.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace insula::labels {
namespace {

// What a character may be: bits of kUses.
enum : uint8_t { kStartsName = 1, kInName = 2, kColon = 4 };

constexpr std::array<uint8_t, 256> MakeUses() {
  std::array<uint8_t, 256> uses = {};
  for (int c = 'a'; c <= 'z'; ++c) {
    uses[static_cast<size_t>(c)] = kStartsName | kInName;
    uses[static_cast<size_t>(c - 'a' + 'A')] = kStartsName | kInName;
  }
  for (int c = '0'; c <= '9'; ++c) uses[static_cast<size_t>(c)] = kInName;
  uses['_'] = kStartsName | kInName;
  uses[':'] = kColon;
  return uses;
}
constexpr std::array<uint8_t, 256> kUses = MakeUses();

bool MayBe(char c, uint8_t uses) {
  return (kUses[static_cast<uint8_t>(c)] & uses) != 0;
}

// Of all of `name` without a jump for each character.
bool IsName(absl::string_view name, uint8_t more) {
  if (name.empty() || !MayBe(name[0], kStartsName | more)) return false;
  bool ok = true;
  for (const char c : name) ok &= MayBe(c, kInName | more);
  return ok;
}

bool IsAscii(absl::string_view text) {
  constexpr uint64_t kHighBits = 0x8080808080808080u;
  const auto load = [&text]<typename Word>(Word word, size_t at) {
    std::memcpy(&word, text.data() + at, sizeof(word));
    return word;
  };
  const size_t size = text.size();
  uint64_t bits = 0;
  if (size >= 8) {  // The last eight bytes may overlap with others.
    for (size_t i = 0; i + 8 < size; i += 8) bits |= load(uint64_t{}, i);
    bits |= load(uint64_t{}, size - 8);
  } else if (size >= 4) {
    bits = load(uint32_t{}, 0) | load(uint32_t{}, size - 4);
  } else {
    for (const char c : text) bits |= static_cast<uint8_t>(c);
  }
  return (bits & kHighBits) == 0;
}

// The length of the well-formed sequence at the start of `text`, 0 if none.
size_t SequenceLength(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  size_t length = 0;
  uint8_t lowest = 0x80;   // Bounds of the second byte: these alone rule out
  uint8_t highest = 0xBF;  // overlong forms, surrogates and what is too high.
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) lowest = 0xA0;
    if (lead == 0xED) highest = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) lowest = 0x90;
    if (lead == 0xF4) highest = 0x8F;
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  if (byte(1) < lowest || byte(1) > highest) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

bool IsLegacyMetricName(absl::string_view name) { return IsName(name, kColon); }

bool IsLegacyLabelName(absl::string_view name) { return IsName(name, 0); }

bool IsValidUtf8(absl::string_view text) {
  if (IsAscii(text)) return true;  // Nearly all labels are.
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace insula::labels
