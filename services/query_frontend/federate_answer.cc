#include "services/query_frontend/federate_answer.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "libs/exposition/text_parser.h"
#include "libs/exposition/text_printer.h"
#include "libs/labels/matcher.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/query_limits.h"

namespace insula::query_frontend {
namespace {

using exposition::Format;

constexpr absl::string_view kTextType =
    "text/plain; version=0.0.4; charset=utf-8";
constexpr absl::string_view kOpenMetricsType =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

// Hands on what the tenant may read, and stops at what it may not.
class Lock : public exposition::Sink {
 public:
  Lock(exposition::Sink* next, const tenancy::ReadPolicy& reads,
       uint64_t max_series)
      : next_(*next), reads_(reads), max_series_(max_series) {}

  absl::Status OnSample(const exposition::Sample& sample) override {
    const bool visible = reads_.Allows([&](absl::string_view name) {
      if (name == labels::kMetricName) return sample.name;
      for (const exposition::Label& label : sample.labels) {
        if (label.name == name) return label.value;
      }
      return absl::string_view();
    });
    if (!visible) {
      return absl::DataLossError("a series that the tenant may not read");
    }
    if (++series_ > max_series_ && max_series_ > 0) {
      too_many_ = true;
      return TooManySeries();
    }
    // A type is said of what is shown, and of nothing else.
    if (!type_of_.empty() && sample.name == type_of_) {
      RETURN_IF_ERROR(next_.OnType(type_of_, type_));
    }
    type_of_.clear();
    exposition::Sample shown = sample;
    shown.exemplar = nullptr;
    return next_.OnSample(shown);
  }

  absl::Status OnType(absl::string_view name,
                      exposition::MetricType type) override {
    type_of_ = std::string(name);
    type_ = type;
    return absl::OkStatus();
  }

  bool too_many() const { return too_many_; }

 private:
  exposition::Sink& next_;
  const tenancy::ReadPolicy& reads_;
  const uint64_t max_series_;
  uint64_t series_ = 0;
  bool too_many_ = false;
  std::string type_of_;  // Of a family without samples so far.
  exposition::MetricType type_ = exposition::MetricType::kUnknown;
};

// The parser says at which line, in words that hold bytes of it.
absl::Status WithoutWords(const absl::Status& status) {
  if (absl::IsDataLoss(status)) {
    return absl::DataLossError("a series that the tenant may not read");
  }
  if (absl::IsResourceExhausted(status)) {
    return absl::ResourceExhaustedError("a line of it is too long");
  }
  return absl::InternalError("it is no exposition");
}

Answer InFormat(Format format, std::string body) {
  Answer answer;
  answer.content_type = std::string(
      format == Format::kOpenMetrics ? kOpenMetricsType : kTextType);
  answer.body = std::move(body);
  return answer;
}

}  // namespace

Format FormatFor(absl::string_view accept) {
  for (const absl::string_view range : absl::StrSplit(accept, ',')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(range, absl::MaxSplits(';', 1));
    if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts.first),
                               "application/openmetrics-text")) {
      return Format::kOpenMetrics;
    }
  }
  return Format::kPrometheus;
}

absl::StatusOr<Answer> ReadExposition(const http::Response& response,
                                      Format format,
                                      const tenancy::ReadPolicy& reads,
                                      uint64_t max_series) {
  if (response.status != 200 || response.headers.Count("Content-Type") != 1 ||
      !absl::StartsWithIgnoreCase(*response.headers.Get("Content-Type"),
                                  "text/plain")) {
    return absl::InternalError("it is no exposition");
  }
  std::string body;
  exposition::PrinterOptions options;
  options.format = format;
  exposition::TextPrinter printer(options, &body);
  Lock lock(&printer, reads, max_series);
  exposition::TextParser parser(exposition::ParserOptions(), &lock);
  absl::Status status = parser.Feed(response.body);
  if (lock.too_many()) return TooManySeries();
  // A cut text is no leak, whatever the parser calls it.
  if (!status.ok()) return WithoutWords(status);
  if (!parser.Finish().ok()) {
    return absl::InternalError("it is an exposition that was cut off");
  }
  printer.Finish();
  return InFormat(format, std::move(body));
}

Answer EmptyExposition(Format format) {
  std::string body;
  exposition::PrinterOptions options;
  options.format = format;
  exposition::TextPrinter(options, &body).Finish();
  return InFormat(format, std::move(body));
}

}  // namespace insula::query_frontend
