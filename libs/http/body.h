// Reads the body of a message into a Buffer or a string, within bounds. For
// libs/http alone.
#pragma once

#include <algorithm>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/http/buffer.h"
#include "libs/http/chunked.h"
#include "libs/http/framing.h"
#include "libs/http/gzip.h"
#include "libs/http/stream.h"
#include "libs/status/status_macros.h"

namespace insula::http {

// Bytes that all bodies of a server may hold together. Thread-safe.
class Budget {
 public:
  explicit Budget(size_t max_bytes) : max_(max_bytes) {}

  bool Take(size_t bytes) {
    if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= max_) {
      return true;
    }
    Return(bytes);
    return false;
  }
  void Return(size_t bytes) {
    used_.fetch_sub(bytes, std::memory_order_relaxed);
  }

 private:
  const size_t max_;
  std::atomic<size_t> used_ = 0;
};

// What one request has taken from a budget. Without a budget all is granted.
class Reservation {
 public:
  explicit Reservation(Budget* budget) : budget_(budget) {}
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation() { Release(); }

  bool Add(size_t bytes) {
    if (budget_ == nullptr) return true;
    if (!budget_->Take(bytes)) return false;
    bytes_ += bytes;
    return true;
  }
  void Release() {
    if (budget_ != nullptr) budget_->Return(bytes_);
    bytes_ = 0;
  }

 private:
  Budget* const budget_;
  size_t bytes_ = 0;
};

namespace body_internal {

// Taken before a body's first byte; more follows as bytes really come, four
// times as much each time, so that a peer can't make us hold memory by
// announcing a length.
constexpr size_t kFirstBytes = 16 << 10;
constexpr size_t kMostAtOnce = 1 << 20;
constexpr size_t kLeastBytes = 4 << 10;  // Where the length is unknown.
constexpr size_t kSlice = 1 << 20;       // Decoded between two yields.

inline void Resize(Buffer* out, size_t size) { out->Resize(size); }
inline void Resize(std::string* out, size_t size) { out->resize(size); }

inline absl::Status TooLarge(size_t max_bytes) {
  return absl::ResourceExhaustedError(
      absl::StrCat("body of more than ", max_bytes, " bytes"));
}

inline absl::Status ReadError(const Stream::ErrorCode& error) {
  return absl::AbortedError(
      absl::StrCat("connection ended within the body: ", error.message()));
}

// Makes `*out` `size` bytes large, at most `most`.
template <typename Out>
absl::Status Grow(size_t size, size_t most, Reservation* reservation,
                  Out* out) {
  size = std::min(size, most);
  if (!reservation->Add(size - out->size())) {
    return absl::UnavailableError(
        "too many request bodies are held at the moment, try again");
  }
  Resize(out, size);
  return absl::OkStatus();
}

inline size_t NextSize(size_t filled) {
  return std::max(
      {kFirstBytes, 2 * filled, std::min(4 * filled, filled + kMostAtOnce)});
}

template <typename Out>
boost::asio::awaitable<absl::Status> ReadLength(Stream* stream,
                                                InputBuffer* input,
                                                size_t length,
                                                Reservation* reservation,
                                                Out* out) {
  size_t filled = 0;
  while (filled < length) {
    size_t size = NextSize(filled);
    if (size < length) {
      // What has come already is there, announced or not.
      const size_t here = input->view().size() + stream->Available();
      size = std::max(size, filled + here);
    }
    CO_RETURN_IF_ERROR(Grow(size, length, reservation, out));
    const size_t ahead = std::min(input->view().size(), out->size() - filled);
    std::memcpy(out->data() + filled, input->view().data(), ahead);
    input->Consume(ahead);
    filled += ahead;
    if (filled == out->size()) continue;
    const boost::asio::mutable_buffer rest(out->data() + filled,
                                           out->size() - filled);
    const auto [error, bytes] = co_await stream->ReadAll(rest);
    filled += bytes;
    if (error) co_return ReadError(error);
  }
  co_return absl::OkStatus();
}

template <typename Out>
absl::Status Append(absl::string_view data, size_t max_bytes, size_t* filled,
                    Reservation* reservation, Out* out) {
  if (data.size() > max_bytes - *filled) return TooLarge(max_bytes);
  const size_t needed = *filled + data.size();
  if (needed > out->size()) {
    const size_t size = std::max({needed, 2 * out->size(), kLeastBytes});
    RETURN_IF_ERROR(Grow(size, max_bytes, reservation, out));
  }
  if (!data.empty()) {
    std::memcpy(out->data() + *filled, data.data(), data.size());
  }
  *filled += data.size();
  return absl::OkStatus();
}

constexpr size_t kPiece = 32 << 10;  // Read at once of an unknown length.

template <typename Out>
boost::asio::awaitable<absl::Status> ReadChunked(Stream* stream,
                                                 InputBuffer* input,
                                                 size_t max_bytes,
                                                 Reservation* reservation,
                                                 Out* out) {
  ChunkedDecoder decoder;
  size_t filled = 0;
  while (!decoder.done()) {
    CO_ASSIGN_OR_RETURN(const ChunkedDecoder::Piece piece,
                        decoder.Next(input->view()));
    if (piece.consumed == 0) {
      const Stream::ErrorCode error = co_await input->ReadMore(stream, kPiece);
      if (error) co_return ReadError(error);
      continue;
    }
    CO_RETURN_IF_ERROR(
        Append(piece.data, max_bytes, &filled, reservation, out));
    input->Consume(piece.consumed);
  }
  Resize(out, filled);
  co_return absl::OkStatus();
}

template <typename Out>
boost::asio::awaitable<absl::Status> ReadUntilClose(Stream* stream,
                                                    InputBuffer* input,
                                                    size_t max_bytes,
                                                    Reservation* reservation,
                                                    Out* out) {
  size_t filled = 0;
  Stream::ErrorCode error;
  while (!error) {
    CO_RETURN_IF_ERROR(
        Append(input->view(), max_bytes, &filled, reservation, out));
    input->Consume(input->view().size());
    error = co_await input->ReadMore(stream, kPiece);
  }
  // In TLS only its goodbye tells the end from a cut.
  if (error != boost::asio::error::eof) co_return ReadError(error);
  Resize(out, filled);
  co_return absl::OkStatus();
}

}  // namespace body_internal

// Reads what `framing` announces into the empty `*out`. RESOURCE_EXHAUSTED for
// more than `max_bytes`, at once if announced; INVALID_ARGUMENT if malformed;
// UNAVAILABLE if the reservation can't grow; ABORTED if the connection failed.
// After an error it can't be used any more.
template <typename Out>
boost::asio::awaitable<absl::Status> ReadBody(Stream* stream,
                                              InputBuffer* input,
                                              Framing framing, size_t max_bytes,
                                              Reservation* reservation,
                                              Out* out) {
  switch (framing.body) {
    case Framing::Body::kNone:
      break;
    case Framing::Body::kLength:
      if (framing.length > max_bytes) {
        co_return body_internal::TooLarge(max_bytes);
      }
      co_return co_await body_internal::ReadLength(
          stream, input, framing.length, reservation, out);
    case Framing::Body::kChunked:
      co_return co_await body_internal::ReadChunked(stream, input, max_bytes,
                                                    reservation, out);
    case Framing::Body::kUntilClose:
      co_return co_await body_internal::ReadUntilClose(stream, input, max_bytes,
                                                       reservation, out);
  }
  co_return absl::OkStatus();
}

// As ReadBody(), if all of the body has come already and its length is known:
// that takes no coroutine. Otherwise nothing, and nothing has happened.
template <typename Out>
std::optional<absl::Status> TakeBody(InputBuffer* input, Framing framing,
                                     size_t max_bytes, Reservation* reservation,
                                     Out* out) {
  if (framing.body == Framing::Body::kNone) return absl::OkStatus();
  if (framing.body != Framing::Body::kLength || framing.length > max_bytes ||
      framing.length > input->view().size()) {
    return std::nullopt;
  }
  const auto length = static_cast<size_t>(framing.length);
  const absl::Status grown =
      body_internal::Grow(length, length, reservation, out);
  if (!grown.ok()) return grown;
  std::memcpy(out->data(), input->view().data(), length);
  input->Consume(length);
  return absl::OkStatus();
}

// Decodes `encoded` (which must stay) into the empty `*out`, with the errors of
// ReadBody. Lets others run in between.
template <typename Out>
boost::asio::awaitable<absl::Status> Gunzip(absl::string_view encoded,
                                            size_t max_bytes,
                                            Reservation* reservation,
                                            Out* out) {
  GzipDecoder decoder(encoded);
  size_t filled = 0;
  size_t yielded_at = 0;
  while (true) {
    if (filled == max_bytes) {
      char one_more;
      CO_ASSIGN_OR_RETURN(const size_t bytes, decoder.Read(&one_more, 1));
      if (bytes > 0) co_return body_internal::TooLarge(max_bytes);
      break;
    }
    if (filled == out->size()) {
      const size_t size = std::max(
          {2 * filled, 4 * encoded.size(), body_internal::kLeastBytes});
      CO_RETURN_IF_ERROR(
          body_internal::Grow(size, max_bytes, reservation, out));
    }
    const size_t room = std::min(out->size() - filled, body_internal::kSlice);
    CO_ASSIGN_OR_RETURN(const size_t bytes,
                        decoder.Read(out->data() + filled, room));
    if (bytes == 0) break;
    filled += bytes;
    if (filled - yielded_at >= body_internal::kSlice) {
      yielded_at = filled;
      const auto executor = co_await boost::asio::this_coro::executor;
      co_await boost::asio::post(executor, boost::asio::use_awaitable);
    }
  }
  body_internal::Resize(out, filled);
  co_return absl::OkStatus();
}

}  // namespace insula::http
