#include "services/federation_pusher/convert.h"

#include <xxhash.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/exposition/text_parser.h"
#include "libs/remote_write/encode.h"
#include "libs/status/status_macros.h"
#include "services/federation_pusher/run.h"

namespace insula::federation_pusher {
namespace {

namespace asio = boost::asio;

constexpr absl::string_view kMetricName = "__name__";
constexpr size_t kSlice = 256 << 10;  // Parsed between two yields.
constexpr size_t kMaxShownSeries = 300;

// What it means that the text does not parse.
absl::Status NotParsed(const absl::Status& status) {
  if (absl::IsDataLoss(status)) {
    return Failure(
        Result::kSourceTruncated,
        absl::StrCat("the source's answer is cut off: ", status.message()));
  }
  if (absl::IsResourceExhausted(status)) {
    return Failure(Result::kSourceTooLarge,
                   absl::StrCat("the source's answer: ", status.message()));
  }
  return Failure(Result::kSourceMalformed,
                 absl::StrCat("the source's answer is not Prometheus text: ",
                              status.message(), "; nothing of it is sent"));
}

}  // namespace

Converter::Converter(const ConvertOptions* options)
    : options_(options),
      scraped_at_ms_(absl::ToUnixMillis(options->scraped_at)) {}

absl::Status Converter::OnSample(const exposition::Sample& sample) {
  status_ = Add(sample);
  return status_;
}

absl::Status Converter::Add(const exposition::Sample& sample) {
  if (converted_.samples == options_->max_samples) {
    return Failure(Result::kSourceTooLarge,
                   absl::StrCat("the source's answer has more than ",
                                options_->max_samples,
                                " samples: ask for less (spec.matches), or "
                                "raise scrape.max_samples"));
  }
  ++converted_.samples;
  CollectLabels(sample);
  series_.clear();
  for (const auto& [name, value] : labels_) {
    remote_write::AppendLabel(name, value, &series_);
  }
  const XXH128_hash_t hash = XXH3_128bits(series_.data(), series_.size());
  if (!seen_.emplace(hash.high64, hash.low64).second) {
    return Failure(
        Result::kSourceDuplicate,
        absl::StrCat("the series ", Series(),
                     " comes twice: does a label in spec.labels replace one "
                     "that tells series apart? Nothing is sent"));
  }
  remote_write::AppendSample(
      sample.value, sample.timestamp_ms.value_or(scraped_at_ms_), &series_);
  remote_write::AppendSeries(series_, &request_);
  ++in_request_;
  if (static_cast<size_t>(in_request_) >= options_->max_series ||
      request_.size() >= options_->max_body_bytes) {
    CloseBatch();
  }
  return absl::OkStatus();
}

void Converter::CollectLabels(const exposition::Sample& sample) {
  labels_.clear();
  for (const auto& [name, value] : options_->labels) {
    labels_.emplace_back(name, value);
  }
  const auto replaced = [this](absl::string_view name) {
    const auto& labels = options_->labels;
    return std::any_of(labels.begin(), labels.end(), [name](const auto& label) {
      return label.first == name;
    });
  };
  if (!replaced(kMetricName)) labels_.emplace_back(kMetricName, sample.name);
  for (const exposition::Label& label : sample.labels) {
    if (!label.value.empty() && !replaced(label.name)) {
      labels_.emplace_back(label.name, label.value);
    }
  }
  std::sort(labels_.begin(), labels_.end());
}

std::string Converter::Series() const {
  std::string text = "{";
  for (const auto& [name, value] : labels_) {
    absl::StrAppend(&text, text.size() > 1 ? "," : "", absl::CHexEscape(name),
                    "=\"", absl::CHexEscape(value), "\"");
    if (text.size() > kMaxShownSeries) return text.substr(0, kMaxShownSeries);
  }
  return text + "}";
}

void Converter::CloseBatch() {
  Batch batch;
  batch.body = remote_write::Compress(request_, &scratch_);
  batch.samples = in_request_;
  converted_.batches.push_back(std::move(batch));
  request_.clear();
  in_request_ = 0;
}

Converted Converter::Finish() && {
  if (in_request_ > 0) CloseBatch();
  return std::move(converted_);
}

asio::awaitable<absl::StatusOr<Converted>> Convert(
    std::string text, const ConvertOptions* options) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  Converter converter(options);
  exposition::ParserOptions parser_options;
  parser_options.max_line_bytes = options->max_line_bytes;
  exposition::TextParser parser(parser_options, &converter);
  absl::Status status;
  for (size_t at = 0; status.ok() && at < text.size(); at += kSlice) {
    if (at > 0) co_await asio::post(executor, asio::use_awaitable);
    status = parser.Feed(absl::string_view(text).substr(at, kSlice));
  }
  if (status.ok()) status = parser.Finish();
  CO_RETURN_IF_ERROR(converter.status());
  if (!status.ok()) co_return NotParsed(status);
  co_return std::move(converter).Finish();
}

}  // namespace insula::federation_pusher
