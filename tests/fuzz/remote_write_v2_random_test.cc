// Runs the target remote_write_v2 on random choices; built once more with an
// off-by-one planted in the decoder (INSULA_BREAK_V2_REFS), which it must find.

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula::fuzz {
namespace {

// Aborts at the first input that does not hold.
void RunRandom(int inputs, absl::Time until) {
  ASSERT_EQ(Targets().size(), 1u);
  std::mt19937 random(20240);
  for (int i = 0; i < inputs && absl::Now() < until; ++i) {
    // A request made of choices, most of them with all symbols.
    std::string input = "\x01";
    input += static_cast<char>(random() % 4 == 0 ? random() : 8);
    for (size_t bytes = random() % 160; bytes > 0; --bytes) {
      input += static_cast<char>(random());
    }
    Targets()[0].run(input);
  }
}

#ifdef INSULA_BREAK_V2_REFS
TEST(RemoteWriteV2Test, AnOffByOneIsFoundWithinAMinute) {
  EXPECT_DEATH(RunRandom(1 << 30, absl::Now() + absl::Minutes(1)), "oracle");
}
#else
TEST(RemoteWriteV2Test, HoldsForRandomRequests) {
  RunRandom(20'000, absl::Now() + absl::Minutes(1));
}
#endif

}  // namespace
}  // namespace insula::fuzz
