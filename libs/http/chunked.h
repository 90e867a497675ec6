// The chunked transfer coding. For libs/http alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::http {

// Decodes a chunked body piece by piece. Strict: sizes are 1 to 15 hex digits,
// lines end in CR LF; extensions and trailers are checked, bounded and dropped.
//
//   while (!decoder.done()) {
//     ASSIGN_OR_RETURN(const auto piece, decoder.Next(bytes));
//     Use(piece.data);
//     bytes.remove_prefix(piece.consumed);   // More bytes if it is 0.
//   }
class ChunkedDecoder {
 public:
  struct Piece {
    size_t consumed = 0;     // Of the input; 0 if a line is not complete yet.
    absl::string_view data;  // Part of the input, may be empty.
  };

  // INVALID_ARGUMENT if malformed. Nothing that follows can be trusted then.
  absl::StatusOr<Piece> Next(absl::string_view input);

  bool done() const { return state_ == State::kDone; }

 private:
  enum class State { kSize, kData, kDataEnd, kTrailer, kDone };

  absl::Status TakeSize(absl::string_view line);
  absl::Status TakeTrailer(absl::string_view line);

  State state_ = State::kSize;
  uint64_t left_ = 0;         // Of the current chunk.
  size_t trailer_bytes_ = 0;  // Seen so far.
};

}  // namespace insula::http
