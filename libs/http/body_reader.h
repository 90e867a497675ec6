// Reads the body of a message piece by piece. For libs/http alone.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/chunked.h"
#include "libs/http/framing.h"
#include "libs/http/stream.h"

namespace insula::http {

// Takes what `framing` announces, as it comes. Holds no more than one piece.
class BodyReader {
 public:
  // `stream` and `input` outlive the reader.
  BodyReader(Stream* stream, InputBuffer* input, Framing framing);

  // The next bytes, at least one, or none at the end. They stay until the next
  // call. INVALID_ARGUMENT if malformed, ABORTED if the connection failed; then
  // it can't be used any more.
  boost::asio::awaitable<absl::StatusOr<absl::string_view>> Next();

  // Whether all of the body has been returned.
  bool done() const { return done_; }

 private:
  // What can be returned of the bytes that are there; nothing if there is too
  // little. Sets done_.
  absl::StatusOr<absl::string_view> Take();

  Stream* const stream_;
  InputBuffer* const input_;
  const Framing::Body body_;
  uint64_t left_;  // Of a known length.
  ChunkedDecoder decoder_;
  size_t returned_ = 0;  // Bytes of the input that the last call used.
  bool done_ = false;
};

}  // namespace insula::http
