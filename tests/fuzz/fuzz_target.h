// What a fuzz target is: a function of bytes that must hold whatever they are.
//
//   FUZZ_TARGET(url) {
//     fuzz::Input bytes(input);
//     ...
//     FUZZ_CHECK(again == url, text);
//   }
//
// A target stands alone in the program `fuzz_NAME` of the preset `fuzz`, beside
// libFuzzer. Under every other preset fuzz_corpus_test runs all of them over
// tests/fuzz/corpus/NAME.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace insula::fuzz {

struct Target {
  const char* name;
  void (*run)(absl::string_view input);
};

// Those of this program.
std::vector<Target>& Targets();

struct Registration {
  Registration(const char* name, void (*run)(absl::string_view)) {
    Targets().push_back({name, run});
  }
};

// Says what did not hold, and aborts.
[[noreturn]] void Fail(const char* file, int line, const char* condition,
                       absl::string_view detail);

// Takes the choices of a target off the front of its input; 0 when there is
// nothing left.
class Input {
 public:
  explicit Input(absl::string_view bytes) : rest_(bytes) {}

  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const uint8_t byte = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return byte;
  }
  absl::string_view rest() const { return rest_; }

 private:
  absl::string_view rest_;
};

// `text` in pieces of `size` bytes (at least 1), each in a heap block of its
// own so that ASan guards its end.
std::vector<std::vector<char>> Pieces(absl::string_view text, size_t size);

}  // namespace insula::fuzz

#define FUZZ_TARGET(name)                                                     \
  static void Fuzz_##name(absl::string_view input);                           \
  static const ::insula::fuzz::Registration registration_##name(#name,        \
                                                                Fuzz_##name); \
  static void Fuzz_##name(absl::string_view input)

#define FUZZ_CHECK(condition, detail)                               \
  do {                                                              \
    if (!(condition)) {                                             \
      ::insula::fuzz::Fail(__FILE__, __LINE__, #condition, detail); \
    }                                                               \
  } while (false)
