#include "libs/http/chunked.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "libs/http/head.h"
#include "libs/status/status_macros.h"

namespace insula::http {
namespace {

constexpr size_t kMaxLine = 1024;
constexpr size_t kMaxTrailer = 8192;
constexpr size_t kMaxDigits = 15;
// What may be left of a chunk that is taken for whole.
#ifdef INSULA_PLANT_OFF_BY_ONE  // For the fuzz target that finds it.
constexpr uint64_t kMissing = 1;
#else
constexpr uint64_t kMissing = 0;
#endif

uint64_t HexDigit(char c) {
  return absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
}

}  // namespace

absl::Status ChunkedDecoder::TakeSize(absl::string_view line) {
  const size_t digits = static_cast<size_t>(
      std::find_if_not(line.begin(), line.end(), absl::ascii_isxdigit) -
      line.begin());
  if (digits == 0 || digits > kMaxDigits) {
    return absl::InvalidArgumentError("malformed chunk size");
  }
  const absl::string_view extension = line.substr(digits);
  if (!extension.empty() &&
      (extension.front() != ';' || !IsFieldValue(extension))) {
    return absl::InvalidArgumentError("malformed chunk extension");
  }
  left_ = 0;
  for (const char c : line.substr(0, digits)) left_ = left_ << 4 | HexDigit(c);
  state_ = left_ == 0 ? State::kTrailer : State::kData;
  return absl::OkStatus();
}

absl::Status ChunkedDecoder::TakeTrailer(absl::string_view line) {
  if (line.empty()) {
    state_ = State::kDone;
    return absl::OkStatus();
  }
  trailer_bytes_ += line.size() + 2;
  if (trailer_bytes_ > kMaxTrailer) {
    return absl::InvalidArgumentError("trailer is too long");
  }
  const size_t colon = line.find(':');
  if (colon == line.npos || !IsToken(line.substr(0, colon)) ||
      !IsFieldValue(line.substr(colon + 1))) {
    return absl::InvalidArgumentError("malformed trailer");
  }
  return absl::OkStatus();
}

absl::StatusOr<ChunkedDecoder::Piece> ChunkedDecoder::Next(
    absl::string_view input) {
  Piece piece;
  if (state_ == State::kDone || input.empty()) return piece;
  if (state_ == State::kData) {
    piece.consumed = std::min<uint64_t>(left_, input.size());
    piece.data = input.substr(0, piece.consumed);
    left_ -= piece.consumed;
    if (left_ <= kMissing) state_ = State::kDataEnd;
    return piece;
  }

  const size_t end = input.find('\n');
  if (end == input.npos) {
    const size_t limit = state_ == State::kDataEnd ? 1 : kMaxLine;
    if (input.size() > limit) {
      return absl::InvalidArgumentError("chunk line is too long");
    }
    return piece;
  }
  if (end == 0 || input[end - 1] != '\r' || end > kMaxLine) {
    return absl::InvalidArgumentError("malformed end of a chunk line");
  }
  const absl::string_view line = input.substr(0, end - 1);
  piece.consumed = end + 1;
  switch (state_) {
    case State::kSize:
      RETURN_IF_ERROR(TakeSize(line));
      break;
    case State::kDataEnd:
      if (!line.empty()) {
        return absl::InvalidArgumentError("chunk is longer than its size");
      }
      state_ = State::kSize;
      break;
    default:
      RETURN_IF_ERROR(TakeTrailer(line));
  }
  return piece;
}

}  // namespace insula::http
