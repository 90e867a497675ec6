#include "libs/exposition/text_parser.h"

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/exposition/metadata_reader.h"
#include "libs/exposition/sample_reader.h"
#include "libs/status/status_macros.h"

namespace insula::exposition {
namespace {

constexpr absl::string_view kEof = "# EOF";

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

TextParser::TextParser(const ParserOptions& options, Sink* sink)
    : options_(options),
      sink_(sink),
      reader_(std::make_unique<SampleReader>(options_)) {}

TextParser::~TextParser() = default;

absl::Status TextParser::Feed(absl::string_view piece) {
  if (finished_ && status_.ok()) {
    status_ = absl::FailedPreconditionError("the exposition has been finished");
  }
  if (status_.ok()) status_ = TakePiece(piece);
  return status_;
}

absl::Status TextParser::Finish() {
  finished_ = true;
  if (!status_.ok()) return status_;
  const bool open_metrics = options_.format == Format::kOpenMetrics;
  if (open_metrics && carry_ == kEof) {
    carry_.clear();
    eof_ = true;
  }
  if (!carry_.empty()) {
    status_ = absl::DataLossError(
        absl::StrCat("line ", lines_ + 1,
                     ": does not end in a line feed, the text was cut off"));
  } else if (open_metrics && !eof_) {
    status_ = absl::DataLossError(
        absl::StrCat("line ", lines_ + 1,
                     ": the text ends without '# EOF', it was cut off"));
  }
  return status_;
}

absl::Status TextParser::TakePiece(absl::string_view piece) {
  if (!carry_.empty()) {
    const size_t end = piece.find('\n');
    RETURN_IF_ERROR(Carry(piece.substr(0, end)));
    if (end == absl::string_view::npos) return absl::OkStatus();
    RETURN_IF_ERROR(TakeLine(carry_));
    carry_.clear();
    piece.remove_prefix(end + 1);
  }
  for (size_t end; (end = piece.find('\n')) != absl::string_view::npos;) {
    RETURN_IF_ERROR(TakeLine(piece.substr(0, end)));
    piece.remove_prefix(end + 1);
  }
  return Carry(piece);
}

absl::Status TextParser::Carry(absl::string_view text) {
  if (text.empty()) return absl::OkStatus();
  if (eof_) return DataAfterEof();
  if (text.size() > options_.max_line_bytes - carry_.size()) return TooLong();
  carry_.append(text.data(), text.size());
  return absl::OkStatus();
}

absl::Status TextParser::TakeLine(absl::string_view line) {
  if (eof_) return DataAfterEof();
  if (line.size() > options_.max_line_bytes) return TooLong();
  ++lines_;
  if (options_.format == Format::kOpenMetrics) {
    if (absl::StartsWith(line, "#")) return TakeComment(line);
    return TakeSample(line);
  }
  size_t first = 0;
  while (first < line.size() && IsBlank(line[first])) ++first;
  if (first == line.size()) return absl::OkStatus();
  return line[first] == '#' ? TakeComment(line) : TakeSample(line);
}

absl::Status TextParser::TakeSample(absl::string_view line) {
  if (absl::Status status = reader_->Read(line); !status.ok()) {
    return AtLine(", ", status);
  }
  ++samples_;
  absl::Status status = sink_->OnSample(reader_->sample());
  return status.ok() ? status : AtLine(": ", status);
}

// A line with a '#', perhaps behind blanks.
absl::Status TextParser::TakeComment(absl::string_view line) {
  Metadata metadata;
  if (absl::Status status = ReadComment(line, &reader_->line(), &metadata);
      !status.ok()) {
    return AtLine(", ", status);
  }
  absl::Status status;
  switch (metadata.kind) {
    case Metadata::Kind::kNone:
      break;
    case Metadata::Kind::kEof:
      eof_ = true;
      break;
    case Metadata::Kind::kHelp:
      status = sink_->OnHelp(metadata.name, metadata.text);
      break;
    case Metadata::Kind::kType:
      status = sink_->OnType(metadata.name, metadata.type);
      break;
    case Metadata::Kind::kUnit:
      status = sink_->OnUnit(metadata.name, metadata.text);
      break;
  }
  return status.ok() ? status : AtLine(": ", status);
}

absl::Status TextParser::TooLong() const {
  return absl::ResourceExhaustedError(
      absl::StrCat("line ", lines_ + 1, ": longer than the limit of ",
                   options_.max_line_bytes, " bytes"));
}

absl::Status TextParser::DataAfterEof() const {
  return absl::InvalidArgumentError(absl::StrCat(
      "line ", lines_ + 1, ": data behind '# EOF', which ends the text"));
}

absl::Status TextParser::AtLine(absl::string_view separator,
                                const absl::Status& status) const {
  return absl::Status(status.code(), absl::StrCat("line ", lines_, separator,
                                                  status.message()));
}

}  // namespace insula::exposition
