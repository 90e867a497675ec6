// The protobuf wire format: reading fields out of bytes, and writing them.
//
// Strict: varints of more than ten bytes, tags and lengths of more than five,
// lengths that run over the end, field number 0 and groups are errors, as no
// encoder of remote write makes them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace insula::remote_write {

enum class WireType : uint8_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kFixed32 = 5,
};

// One field of a message, as it was found.
struct WireField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t varint = 0;      // Of kVarint.
  absl::string_view bytes;  // The value of the others.
  absl::string_view raw;    // All of it: tag, length and value.
};

// Reads a varint at `*p` and moves `*p` behind it. False if it is longer than
// ten bytes, does not fit 64 bits, or runs over `end`; `*p` is then undefined.
inline bool ReadVarint(const char** p, const char* end, uint64_t* value) {
  // Sizes, which are most of them, have one byte or two.
  if (*p < end && static_cast<uint8_t>(**p) < 0x80) {
    *value = static_cast<uint8_t>(*(*p)++);
    return true;
  }
  if (end - *p >= 2 && static_cast<uint8_t>((*p)[1]) < 0x80) {
    *value = (static_cast<uint8_t>((*p)[0]) & 0x7fu) |
             static_cast<uint64_t>(static_cast<uint8_t>((*p)[1])) << 7;
    *p += 2;
    return true;
  }
  uint64_t result = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (*p == end) return false;
    const uint8_t byte = static_cast<uint8_t>(*(*p)++);
    if (shift == 63 && byte > 1) return false;
    result |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = result;
      return true;
    }
  }
  return false;
}

// Walks the fields of one message.
//
//   WireReader reader(message);
//   WireField field;
//   while (reader.Next(&field)) { ... }
//   if (!reader.ok()) { ... }
class WireReader {
 public:
  explicit WireReader(absl::string_view message)
      : p_(message.data()), end_(message.data() + message.size()) {}

  // False at the end of the message and at the first error.
  bool Next(WireField* field) {
    if (p_ == end_) return false;
    ok_ = Read(field);
    return ok_;
  }

  bool ok() const { return ok_; }
  const char* position() const { return p_; }
  const char* end() const { return end_; }
  // Goes on behind bytes that the caller knows to be whole fields.
  void Skip(size_t bytes) { p_ += bytes; }

 private:
  bool Read(WireField* field) {
    const char* const start = p_;
    uint64_t tag;
    if (!ReadShortVarint(&tag) || (tag >> 3) == 0) return false;
    field->number = static_cast<uint32_t>(tag >> 3);
    size_t length = 0;
    switch (tag & 7) {
      case 0:
        field->type = WireType::kVarint;
        if (!ReadVarint(&p_, end_, &field->varint)) return false;
        break;
      case 1:
        field->type = WireType::kFixed64;
        length = 8;
        break;
      case 2: {
        field->type = WireType::kBytes;
        uint64_t declared;
        if (!ReadShortVarint(&declared)) return false;
        length = static_cast<size_t>(declared);
        break;
      }
      case 5:
        field->type = WireType::kFixed32;
        length = 4;
        break;
      default:
        return false;  // A group, or no wire type at all.
    }
    if (length > static_cast<size_t>(end_ - p_)) return false;
    field->bytes = absl::string_view(p_, length);
    p_ += length;
    field->raw = absl::string_view(start, static_cast<size_t>(p_ - start));
    return true;
  }

  // Of at most 32 bits in at most five bytes.
  bool ReadShortVarint(uint64_t* value) {
    const char* const start = p_;
    return ReadVarint(&p_, end_, value) && p_ - start <= 5 &&
           *value <= UINT32_MAX;
  }

  const char* p_;
  const char* end_;
  bool ok_ = true;
};

inline size_t VarintSize(uint64_t value) {
  size_t size = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++size;
  }
  return size;
}

// Returns where it ends. There is room for VarintSize(value) bytes at `to`.
inline char* WriteVarint(uint64_t value, char* to) {
  while (value >= 0x80) {
    *to++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<char>(value);
  return to;
}

inline void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

inline void AppendTag(uint32_t number, WireType type, std::string* out) {
  AppendVarint(static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(type),
               out);
}

// A field of type string, bytes or message.
inline void AppendBytesField(uint32_t number, absl::string_view value,
                             std::string* out) {
  AppendTag(number, WireType::kBytes, out);
  AppendVarint(value.size(), out);
  out->append(value.data(), value.size());
}

}  // namespace insula::remote_write
