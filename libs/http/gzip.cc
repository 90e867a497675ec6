#include "libs/http/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;

constexpr int kGzipWindow = 15 + 16;  // 32 KiB; the gzip format.
constexpr size_t kSlice = 256 << 10;  // Encoded between two yields.
constexpr size_t kMinRoom = 4 << 10;  // Least output space for a call.

// Streams are costly to set up (256 KiB to encode), so each thread keeps some.
template <int (*End)(z_stream*)>
struct EndStream {
  void operator()(z_stream* stream) const {
    End(stream);
    delete stream;
  }
};
using InflateStream = std::unique_ptr<z_stream, EndStream<inflateEnd>>;
using DeflateStream = std::unique_ptr<z_stream, EndStream<deflateEnd>>;

constexpr size_t kKeptStreams = 2;
thread_local std::vector<InflateStream> kept_inflaters;
thread_local std::vector<DeflateStream> kept_deflaters;

template <typename Stream>
Stream TakeKept(std::vector<Stream>* kept) {
  if (kept->empty()) return nullptr;
  Stream stream = std::move(kept->back());
  kept->pop_back();
  return stream;
}

template <typename Stream>
void Keep(Stream stream, std::vector<Stream>* kept) {
  if (kept->size() < kKeptStreams) kept->push_back(std::move(stream));
}

InflateStream TakeInflater() {
  if (InflateStream kept = TakeKept(&kept_inflaters)) {
    if (inflateReset(kept.get()) == Z_OK) return kept;
  }
  auto stream = std::make_unique<z_stream>();
  if (inflateInit2(stream.get(), kGzipWindow) != Z_OK) std::abort();
  return InflateStream(stream.release());
}

DeflateStream TakeDeflater() {
  if (DeflateStream kept = TakeKept(&kept_deflaters)) {
    if (deflateReset(kept.get()) == Z_OK) return kept;
  }
  auto stream = std::make_unique<z_stream>();
  if (deflateInit2(stream.get(), Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, 8,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    std::abort();
  }
  return DeflateStream(stream.release());
}

Bytef* ZlibInput(absl::string_view text) {
  // zlib does not write to its input.
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

uInt Clamp(size_t size) {
  return static_cast<uInt>(
      std::min<size_t>(size, std::numeric_limits<uInt>::max()));
}

// The weight of one Accept-Encoding element, "gzip;q=0.5".
double Weight(absl::string_view parameters) {
  for (absl::string_view parameter : absl::StrSplit(parameters, ';')) {
    parameter = absl::StripAsciiWhitespace(parameter);
    if (!absl::ConsumePrefix(&parameter, "q=")) continue;
    double weight = 0;
    return absl::SimpleAtod(parameter, &weight) ? weight : 0;
  }
  return 1;
}

}  // namespace

bool AcceptsGzip(const Headers& headers) {
  std::optional<bool> gzip;
  bool any = false;
  for (const auto& [name, value] : headers) {
    if (!absl::EqualsIgnoreCase(name, "accept-encoding")) continue;
    for (const absl::string_view element : absl::StrSplit(value, ',')) {
      const size_t end = std::min(element.find(';'), element.size());
      const absl::string_view coding =
          absl::StripAsciiWhitespace(element.substr(0, end));
      const bool wanted = Weight(element.substr(end)) > 0;
      if (absl::EqualsIgnoreCase(coding, "gzip")) gzip = wanted;
      if (coding == "*") any = wanted;
    }
  }
  return gzip.value_or(any);
}

bool IsGzip(const Headers& headers) {
  const auto coding = headers.Get("content-encoding");
  return coding && headers.Count("content-encoding") == 1 &&
         (absl::EqualsIgnoreCase(*coding, "gzip") ||
          absl::EqualsIgnoreCase(*coding, "x-gzip"));
}

struct GzipDecoder::State {
  absl::string_view input;
  InflateStream stream;
  bool member_ended = false;
};

GzipDecoder::GzipDecoder(absl::string_view input)
    : state_(new State{input, TakeInflater(), false}) {}

GzipDecoder::~GzipDecoder() {
  Keep(std::move(state_->stream), &kept_inflaters);
}

absl::StatusOr<size_t> GzipDecoder::Read(char* to, size_t size) {
  z_stream& stream = *state_->stream;
  absl::string_view& input = state_->input;
  const uInt room = Clamp(size);
  stream.next_out = reinterpret_cast<Bytef*>(to);
  stream.avail_out = room;
  while (stream.avail_out > 0) {
    if (state_->member_ended) {
      if (input.empty()) break;
      if (inflateReset(&stream) != Z_OK) std::abort();
      state_->member_ended = false;
    }
    const uInt available = Clamp(input.size());
    stream.next_in = ZlibInput(input);
    stream.avail_in = available;
    const int result = inflate(&stream, Z_NO_FLUSH);
    input.remove_prefix(available - stream.avail_in);
    if (result == Z_STREAM_END) {
      state_->member_ended = true;
    } else if (result == Z_BUF_ERROR) {
      return absl::InvalidArgumentError("gzip body ends early");
    } else if (result != Z_OK) {
      return absl::InvalidArgumentError("malformed gzip body");
    }
  }
  return room - stream.avail_out;
}

namespace {

// Encodes `slice` behind the first `*size` bytes of `*encoded`.
bool DeflateSlice(z_stream* stream, absl::string_view slice, bool last,
                  std::string* encoded, size_t* size) {
  stream->next_in = ZlibInput(slice);
  stream->avail_in = Clamp(slice.size());
  int result = Z_OK;
  do {
    if (encoded->size() - *size < kMinRoom) {
      encoded->resize(encoded->size() + slice.size() / 2 + kMinRoom);
    }
    const uInt room = Clamp(encoded->size() - *size);
    stream->next_out = reinterpret_cast<Bytef*>(&(*encoded)[*size]);
    stream->avail_out = room;
    result = deflate(stream, last ? Z_FINISH : Z_NO_FLUSH);
    *size += room - stream->avail_out;
    if (result == Z_STREAM_ERROR) return false;
  } while (stream->avail_out == 0 || (last && result != Z_STREAM_END));
  return true;
}

}  // namespace

struct GzipEncoder::State {
  DeflateStream stream;
  std::string encoded;
};

GzipEncoder::GzipEncoder() : state_(new State{TakeDeflater(), ""}) {}

// One that stopped in between is reset when it is taken again.
GzipEncoder::~GzipEncoder() {
  Keep(std::move(state_->stream), &kept_deflaters);
}

absl::string_view GzipEncoder::Encode(absl::string_view piece, bool last) {
  size_t size = 0;
  const bool sane =
      DeflateSlice(state_->stream.get(), piece, last, &state_->encoded, &size);
  if (!sane) std::abort();  // By zlib's manual, only if its state is damaged.
  return absl::string_view(state_->encoded).substr(0, size);
}

asio::awaitable<std::optional<std::string>> Gzip(absl::string_view text) {
  DeflateStream stream = TakeDeflater();
  const size_t plain_size = text.size();
  std::string encoded;
  size_t size = 0;
  while (true) {
    const absl::string_view slice = text.substr(0, kSlice);
    text.remove_prefix(slice.size());
    const bool last = text.empty();
    if (!DeflateSlice(stream.get(), slice, last, &encoded, &size)) {
      co_return std::nullopt;
    }
    if (last) break;
    const auto executor = co_await asio::this_coro::executor;
    co_await asio::post(executor, asio::use_awaitable);
  }
  Keep(std::move(stream), &kept_deflaters);
  if (size >= plain_size) co_return std::nullopt;
  encoded.resize(size);
  co_return encoded;
}

}  // namespace insula::http
