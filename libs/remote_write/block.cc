#include "libs/remote_write/block.h"

#include <snappy.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "libs/remote_write/snappy_decode.h"

namespace insula::remote_write {
namespace {

// The densest element is a copy of 64 bytes in three bytes.
constexpr size_t kMaxRatio = 22;

constexpr size_t kKeep = 8 << 20;

// Of the length in front of a block, which is there.
size_t PrefixSize(absl::string_view block) {
  size_t size = 1;
  while ((static_cast<uint8_t>(block[size - 1]) & 0x80) != 0) ++size;
  return size;
}

}  // namespace

char* Arena::Get(size_t size) {
  size = std::max<size_t>(size, 4096);
  if (size > capacity_) {
    data_.reset();  // First, so that old and new are never both there.
    capacity_ = 0;
    data_ = std::make_unique_for_overwrite<char[]>(size);
    capacity_ = size;
  }
  return data_.get();
}

void Arena::Shrink() {
  if (capacity_ <= kKeep) return;
  data_.reset();
  capacity_ = 0;
}

absl::StatusOr<absl::string_view> Decompress(absl::string_view block,
                                             size_t max_bytes, Arena* arena) {
  size_t length = 0;
  if (!snappy::GetUncompressedLength(block.data(), block.size(), &length)) {
    return absl::InvalidArgumentError(
        "body is not a snappy block: it does not begin with a length (the "
        "framed format of snappy is not remote write)");
  }
  if (length > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("body has ", length, " bytes when decompressed, at most ",
                     max_bytes, " are taken; send smaller requests"));
  }
  if (length / kMaxRatio > block.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "body is not a snappy block: ", block.size(),
        " bytes can't decompress to the ", length, " that it declares"));
  }
  char* const out = arena->Get(length + kSnappySlack);
  if (!SnappyDecode(block.substr(PrefixSize(block)), out, length)) {
    return absl::InvalidArgumentError("body is not a valid snappy block");
  }
  return absl::string_view(out, length);
}

std::string Compress(absl::string_view data, Arena* arena) {
  char* const out = arena->Get(snappy::MaxCompressedLength(data.size()));
  size_t length = 0;
  snappy::RawCompress(data.data(), data.size(), out, &length);
  return std::string(out, length);
}

}  // namespace insula::remote_write
