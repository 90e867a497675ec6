#include "libs/http/body_reader.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <utility>

#include "libs/http/body.h"
#include "libs/status/status_macros.h"

namespace insula::http {

namespace asio = boost::asio;

BodyReader::BodyReader(Stream* stream, InputBuffer* input, Framing framing)
    : stream_(stream),
      input_(input),
      body_(framing.body),
      left_(framing.length) {}

absl::StatusOr<absl::string_view> BodyReader::Take() {
  if (body_ == Framing::Body::kNone) {
    done_ = true;
    return absl::string_view();
  }
  if (body_ == Framing::Body::kLength) {
    done_ = left_ == 0;
    returned_ = std::min<uint64_t>(left_, input_->view().size());
    left_ -= returned_;
    return input_->view().substr(0, returned_);
  }
  if (body_ == Framing::Body::kUntilClose) {
    returned_ = input_->view().size();
    return input_->view();
  }
  while (true) {
    done_ = decoder_.done();
    ASSIGN_OR_RETURN(const ChunkedDecoder::Piece piece,
                     decoder_.Next(input_->view()));
    if (piece.consumed == 0) return absl::string_view();
    if (!piece.data.empty()) {
      returned_ = piece.consumed;
      return piece.data;
    }
    input_->Consume(piece.consumed);
  }
}

asio::awaitable<absl::StatusOr<absl::string_view>> BodyReader::Next() {
  input_->Consume(std::exchange(returned_, 0));
  while (true) {
    CO_ASSIGN_OR_RETURN(const absl::string_view piece, Take());
    if (done_ || !piece.empty()) co_return piece;
    const Stream::ErrorCode error =
        co_await input_->ReadMore(stream_, body_internal::kPiece);
    if (!error) continue;
    // In TLS only its goodbye tells the end from a cut.
    if (body_ != Framing::Body::kUntilClose || error != asio::error::eof) {
      co_return body_internal::ReadError(error);
    }
    done_ = true;
    co_return absl::string_view();
  }
}

}  // namespace insula::http
