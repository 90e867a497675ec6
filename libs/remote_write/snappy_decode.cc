#include "libs/remote_write/snappy_decode.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace insula::remote_write {
namespace {

// The kind of an element is in the low two bits of its first byte, its tag.
constexpr uint8_t kLiteral = 0;
constexpr std::array<uint32_t, 4> kOffsetMask = {0, 0xff, 0xffff, 0xffffffff};
constexpr std::array<uint8_t, 4> kOffsetBytes = {0, 1, 2, 4};

// Of a copy, by its tag: how long it is, and the bits of its offset that stand
// there, above those of the byte that follows.
struct Copy {
  uint8_t size;
  uint16_t offset;
};
constexpr std::array<Copy, 256> MakeCopies() {
  std::array<Copy, 256> copies = {};
  for (unsigned tag = 0; tag < copies.size(); ++tag) {
    if ((tag & 3) == 1) {
      copies[tag] = {static_cast<uint8_t>(4 + (tag >> 2 & 7)),
                     static_cast<uint16_t>(tag >> 5 << 8)};
    } else {
      copies[tag] = {static_cast<uint8_t>(1 + (tag >> 2)), 0};
    }
  }
  return copies;
}
constexpr std::array<Copy, 256> kCopies = MakeCopies();

// What is short, at most 64 bytes, is copied in pieces.
constexpr size_t kPiece = 16;
// Behind a tag: so many bytes are looked at at once.
constexpr size_t kAhead = 64;
// Literals of more bytes have their size behind the tag.
constexpr size_t kMostInTag = 60;

inline uint32_t Load32(const char* from) {
  uint32_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

inline void CopyPiece(const char* from, char* to) {
  char piece[kPiece];
  std::memcpy(piece, from, kPiece);
  std::memcpy(to, piece, kPiece);
}

// Up to 64 bytes, and some more, which may be any.
inline void CopyShort(const char* from, char* to, size_t size) {
  CopyPiece(from, to);
  if (size <= kPiece) return;
  CopyPiece(from + kPiece, to + kPiece);
  if (size <= 2 * kPiece) return;
  CopyPiece(from + 2 * kPiece, to + 2 * kPiece);
  CopyPiece(from + 3 * kPiece, to + 3 * kPiece);
}

// From what was decoded; what is copied may be a part of what it becomes.
inline void CopyBack(size_t offset, char* to, size_t size) {
  const char* const from = to - offset;
  if (offset >= kPiece) {
    CopyShort(from, to, size);
    return;
  }
  if (offset < sizeof(uint64_t)) {
    for (size_t i = 0; i < size; ++i) to[i] = from[i];
    return;
  }
  for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, from + i, sizeof(word));
    std::memcpy(to + i, &word, sizeof(word));
  }
}

}  // namespace

bool SnappyDecode(absl::string_view elements, char* out, size_t size) {
  const char* p = elements.data();
  const char* const end = p + elements.size();
  char* to = out;
  char* const to_end = out + size;
  while (p != end) {
    const auto tag = static_cast<uint8_t>(*p++);
    const auto ahead = static_cast<size_t>(end - p);
    const auto room = static_cast<size_t>(to_end - to);
    if ((tag & 3) == kLiteral) {
      size_t length = (size_t{tag} >> 2) + 1;
      if (length <= kMostInTag && ahead >= kAhead) {
        if (length > room) return false;
        CopyShort(p, to, length);
      } else {
        if (length > kMostInTag) {
          const size_t bytes = length - kMostInTag;
          if (ahead < bytes) return false;
          length = 1;
          for (size_t i = 0; i < bytes; ++i) {
            length += size_t{static_cast<uint8_t>(p[i])} << (8 * i);
          }
          p += bytes;
        }
        if (length > static_cast<size_t>(end - p) || length > room) {
          return false;
        }
        std::memcpy(to, p, length);
      }
      p += length;
      to += length;
      continue;
    }
    const size_t bytes = kOffsetBytes[tag & 3];
    uint32_t word = 0;
    if (ahead >= sizeof(word)) {
      word = Load32(p);
    } else {
      if (ahead < bytes) return false;
      std::memcpy(&word, p, bytes);
    }
    p += bytes;
    const Copy copy = kCopies[tag];
    const size_t offset = (word & kOffsetMask[tag & 3]) + size_t{copy.offset};
    if (offset == 0 || offset > static_cast<size_t>(to - out) ||
        copy.size > room) {
      return false;
    }
    CopyBack(offset, to, copy.size);
    to += copy.size;
  }
  return to == to_end;
}

}  // namespace insula::remote_write
