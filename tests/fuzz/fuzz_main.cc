// Lets libFuzzer run the one target of this program.

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  insula::fuzz::Targets().front().run(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
