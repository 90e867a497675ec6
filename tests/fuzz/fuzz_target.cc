#include "tests/fuzz/fuzz_target.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/escaping.h"

namespace insula::fuzz {

std::vector<Target>& Targets() {
  static std::vector<Target>* const targets = new std::vector<Target>;
  return *targets;
}

void Fail(const char* file, int line, const char* condition,
          absl::string_view detail) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n%s\n", file, line, condition,
               absl::CHexEscape(detail).c_str());
  std::abort();
}

std::vector<std::vector<char>> Pieces(absl::string_view text, size_t size) {
  std::vector<std::vector<char>> pieces;
  size = std::max<size_t>(size, 1);
  for (size_t at = 0; at < text.size(); at += size) {
    const absl::string_view piece = text.substr(at, size);
    pieces.emplace_back(piece.begin(), piece.end());
  }
  return pieces;
}

}  // namespace insula::fuzz
