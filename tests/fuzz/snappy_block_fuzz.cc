// Blocks decompress within the bound as the snappy library has it, and bodies
// compress to blocks that decompress.

#include <snappy.h>

#include <string>

#include "libs/remote_write/block.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

constexpr size_t kMaxBytes = 64 << 10;

FUZZ_TARGET(snappy_block) {
  remote_write::Arena arena;
  const auto body = remote_write::Decompress(input, kMaxBytes, &arena);
  std::string expected;
  size_t declared = 0;
  const bool valid =
      snappy::GetUncompressedLength(input.data(), input.size(), &declared) &&
      declared <= kMaxBytes &&
      snappy::Uncompress(input.data(), input.size(), &expected);
  FUZZ_CHECK(body.ok() == valid, input);
  if (valid) FUZZ_CHECK(*body == expected, input);

  remote_write::Arena scratch;
  remote_write::Arena again;
  const std::string block = remote_write::Compress(input, &scratch);
  const auto same = remote_write::Decompress(block, input.size() + 1, &again);
  FUZZ_CHECK(same.ok() && *same == input, input);
}

}  // namespace
}  // namespace insula
