// Blocks decompress within the bound as the snappy library has it, and bodies
// compress to blocks that decompress.

#include <snappy.h>

#include <string>

#include "absl/strings/match.h"
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
  // To the library a literal of 2^32 bytes is one of none.
  const bool wraps = absl::StrContains(input, "\xfc\xff\xff\xff\xff");
  FUZZ_CHECK(body.ok() == valid || (wraps && valid), input);
  if (body.ok()) FUZZ_CHECK(*body == expected, input);

  remote_write::Arena scratch;
  remote_write::Arena again;
  const std::string block = remote_write::Compress(input, &scratch);
  const auto same = remote_write::Decompress(block, input.size() + 1, &again);
  FUZZ_CHECK(same.ok() && *same == input, input);
}

}  // namespace
}  // namespace insula
