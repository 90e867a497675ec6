#include "libs/remote_write/block.h"

#include <gmock/gmock.h>
#include <snappy.h>

#include <string>

#include "libs/status/status_matchers.h"

namespace insula::remote_write {
namespace {

using testing::HasSubstr;

constexpr absl::StatusCode kCorrupt = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kTooLarge = absl::StatusCode::kResourceExhausted;

std::string Compressed(const std::string& text) {
  std::string block;
  snappy::Compress(text.data(), text.size(), &block);
  return block;
}

TEST(BlockTest, GivesBackWhatWasCompressed) {
  Arena arena;
  for (const size_t size : {0u, 1u, 100u, 100'000u, 20'000'000u}) {
    const std::string text(size, 'x');
    const std::string block = Compress(text, &arena);
    const auto result = Decompress(block, 32 << 20, &arena);
    ASSERT_THAT(result, IsOk()) << size;
    EXPECT_EQ(*result, text) << size;
    arena.Shrink();
  }
}

TEST(BlockTest, LooksAtTheDeclaredLengthFirst) {
  Arena arena;
  // 2.5 GB, then 4 GB less one, each declared by a few bytes.
  EXPECT_THAT(Decompress("\x80\xe4\x97\xd0\x09zz", 32 << 20, &arena),
              StatusIs(kTooLarge, HasSubstr("2584080896")));
  EXPECT_THAT(Decompress("\xff\xff\xff\xff\x0fzz", 32 << 20, &arena),
              StatusIs(kTooLarge));
  EXPECT_THAT(
      Decompress(Compressed(std::string(160 << 20, 'x')), 32 << 20, &arena),
      StatusIs(kTooLarge, HasSubstr("167772160")));
  EXPECT_EQ(arena.capacity(), 0u);
}

TEST(BlockTest, DoesNotAllocateWhatABlockCanNotHold) {
  Arena arena;
  // 32 MiB out of three bytes.
  EXPECT_THAT(
      Decompress(std::string("\x80\x80\x80\x10\x00zz", 7), 32 << 20, &arena),
      StatusIs(kCorrupt, HasSubstr("can't decompress")));
  EXPECT_EQ(arena.capacity(), 0u);
}

TEST(BlockTest, TakesTheDensestBlockThereIs) {
  // One literal, then copies of 64 bytes in three bytes each.
  const std::string text(1 << 20, 'a');
  Arena arena;
  EXPECT_THAT(Decompress(Compressed(text), 1 << 20, &arena), IsOk());
}

TEST(BlockTest, RefusesCorruptBlocks) {
  const std::string good = Compressed(std::string(1000, 'a') + "bcd");
  const std::string cases[] = {
      "",
      "\x80",                              // Length without an end.
      "\x80\x80\x80\x80\x80\x01",          // Length of six bytes.
      "\xff\x06\x00\x00sNaPpY",            // Framed format.
      good.substr(0, good.size() - 1),     // Cut.
      good + "x",                          // More than declared.
      std::string("\x04\x01\x00\x00", 4),  // Copy from offset 0.
      std::string("\x08\x00"
                  "a\x11\x05",
                  5),  // Copy from before the start.
      "\x0a\x08"
      "abc",  // Declares more than there is.
  };
  Arena arena;
  for (const std::string& block : cases) {
    EXPECT_THAT(Decompress(block, 32 << 20, &arena), StatusIs(kCorrupt))
        << testing::PrintToString(block);
  }
}

}  // namespace
}  // namespace insula::remote_write
