#include "services/query_frontend/plain_matrix.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace insula::query_frontend {
namespace {

constexpr absl::string_view kHead =
    R"({"status":"success","data":{"resultType":"matrix","result":[)";
constexpr absl::string_view kTail = "]}}";

// More may not fit a number of the reader.
constexpr int kMostDigits = 15;

// Of each byte, whether it stands for itself in a string.
constexpr std::array<bool, 256> MakePlain() {
  std::array<bool, 256> plain{};
  for (size_t c = ' '; c <= '~'; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}
constexpr std::array<bool, 256> kPlain = MakePlain();

// Eight bytes, the first of which is the lowest.
uint64_t Load(const char* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  if constexpr (std::endian::native == std::endian::big) {
    word = __builtin_bswap64(word);
  }
  return word;
}

// Eight times `byte`.
constexpr uint64_t All(uint8_t byte) { return ~uint64_t{0} / 255 * byte; }

// Nonzero if a byte of `word` does not stand for itself in a string; the lowest
// bit that is set is one of the first such byte.
uint64_t SpecialBytes(uint64_t word) {
  const auto less = [](uint64_t bytes, uint8_t than) {
    return (bytes - All(than)) & ~bytes;
  };
  return (less(word, ' ') | less(word ^ All('"'), 1) |
          less(word ^ All('\\'), 1) | less(word ^ All(0x7F), 1) | word) &
         All(0x80);
}

bool AreDigits(uint64_t word) {
  return ((word & All(0xF0)) | (((word + All(6)) & All(0xF0)) >> 4)) ==
         All(0x33);
}

// Steps over what it expects. Each function returns false, once the text is
// something else, and the place is of no use then.
class Scanner {
 public:
  explicit Scanner(absl::string_view text)
      : at_(text.data()), end_(text.data() + text.size()) {}

  bool Take(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }

  template <size_t size>
  bool Take(const char (&text)[size]) {
    constexpr size_t kLength = size - 1;  // Without the 0.
    if (static_cast<size_t>(end_ - at_) < kLength ||
        std::memcmp(at_, text, kLength) != 0) {
      return false;
    }
    at_ += kLength;
    return true;
  }

  bool String() {
    if (!Take('"')) return false;
    while (end_ - at_ >= 8) {
      const uint64_t special = SpecialBytes(Load(at_));
      if (special != 0) {
        at_ += std::countr_zero(special) / 8;
        return Take('"');
      }
      at_ += 8;
    }
    while (at_ != end_ && kPlain[static_cast<uint8_t>(*at_)]) ++at_;
    return Take('"');
  }

  // Not below 0, and without an exponent.
  bool Number() {
    const char* const begin = at_;
    const int whole = Digits();
    if (whole == 0 || (whole > 1 && *begin == '0')) return false;
    const bool point = Take('.');
    const int decimals = point ? Digits() : 0;
    return point == (decimals > 0) && whole + decimals <= kMostDigits;
  }

  bool Labels() {
    if (Take('}')) return true;
    do {
      if (!String() || !Take(':') || !String()) return false;
    } while (Take(','));
    return Take('}');
  }

  bool Points() {
    do {
      if (!Take('[') || !Number() || !Take(',') || !String() || !Take(']')) {
        return false;
      }
    } while (Take(','));
    return true;
  }

  bool Series() {
    return Take("{\"metric\":{") && Labels() && Take(",\"values\":[") &&
           Points() && Take("]}");
  }

  bool AtEnd() const { return at_ == end_; }

 private:
  // How many there are.
  int Digits() {
    const char* const begin = at_;
    const char* const end =
        end_ - at_ > kMostDigits ? at_ + kMostDigits + 1 : end_;
    if (end - at_ >= 8 && AreDigits(Load(at_))) at_ += 8;
    while (at_ != end && *at_ >= '0' && *at_ <= '9') ++at_;
    return static_cast<int>(at_ - begin);
  }

  const char* at_;
  const char* const end_;
};

}  // namespace

bool IsPlainMatrix(absl::string_view body) {
  if (body.size() < kHead.size() + kTail.size() ||
      body.substr(0, kHead.size()) != kHead ||
      body.substr(body.size() - kTail.size()) != kTail) {
    return false;
  }
  body.remove_prefix(kHead.size());
  body.remove_suffix(kTail.size());
  if (body.empty()) return true;
  Scanner scanner(body);
  do {
    if (!scanner.Series()) return false;
  } while (scanner.Take(','));
  return scanner.AtEnd();
}

}  // namespace insula::query_frontend
