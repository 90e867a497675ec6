// Blocks of snappy, decoded.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace insula::remote_write {

// What SnappyDecode() may write behind the end of what it decodes.
constexpr size_t kSnappySlack = 64;

// Decodes the elements of a block, those behind the length that it declares, to
// exactly `size` bytes at `out`, where there is room for kSnappySlack more.
// False if `elements` are no such bytes: of hostile ones none is read behind
// their end, nor written elsewhere. The format is "Snappy compressed format
// description", 2011; a literal of 2^32 bytes, which it can express, is
// refused.
//
// The library does the same by a call of memmove for each element.
bool SnappyDecode(absl::string_view elements, char* out, size_t size);

}  // namespace insula::remote_write
