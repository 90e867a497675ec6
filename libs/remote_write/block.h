// Snappy blocks, decompressed within bounds.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::remote_write {

// Memory for one decompressed body, used again for the next. Not thread-safe.
class Arena {
 public:
  // At least `size` bytes; their content is undefined.
  char* Get(size_t size);

  // Gives memory back if there is more of it than ordinary requests need.
  void Shrink();

  size_t capacity() const { return capacity_; }

 private:
  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0;
};

// Decompresses a snappy block into `arena`; the result lies there until the
// arena's next use. The length that the block declares is looked at before
// anything is allocated: RESOURCE_EXHAUSTED if it is above `max_bytes`,
// INVALID_ARGUMENT if the block can't be that long or is corrupt.
absl::StatusOr<absl::string_view> Decompress(absl::string_view block,
                                             size_t max_bytes, Arena* arena);

// Compresses `data` into one block. `arena` is scratch space.
std::string Compress(absl::string_view data, Arena* arena);

}  // namespace insula::remote_write
