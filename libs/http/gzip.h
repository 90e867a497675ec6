// The gzip content coding. For libs/http alone.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/message.h"

namespace insula::http {

// Whether Accept-Encoding admits gzip.
bool AcceptsGzip(const Headers& headers);

// Whether Content-Encoding is gzip and nothing else.
bool IsGzip(const Headers& headers);

// Decodes the gzip members in `input`, which outlives it.
class GzipDecoder {
 public:
  explicit GzipDecoder(absl::string_view input);
  ~GzipDecoder();

  // Decodes at most `size` bytes to `to`. Returns how many; 0 at the end.
  // INVALID_ARGUMENT if the input is malformed or ends early.
  absl::StatusOr<size_t> Read(char* to, size_t size);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Encodes a text that comes in pieces.
class GzipEncoder {
 public:
  GzipEncoder();
  ~GzipEncoder();

  // What there is to send after `piece`, perhaps nothing yet, until the next
  // call; after the last piece, all that is left.
  absl::string_view Encode(absl::string_view piece, bool last);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// `text` as gzip, or nullopt if that is not shorter. Large ones let others run
// in between; `text` must stay.
boost::asio::awaitable<std::optional<std::string>> Gzip(absl::string_view text);

}  // namespace insula::http
