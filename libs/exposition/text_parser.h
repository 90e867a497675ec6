// Reads the exposition formats of Prometheus while they arrive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/sample.h"

namespace insula::exposition {

struct ParserOptions {
  Format format = Format::kPrometheus;

  // The longest line, without its line feed. A parser holds no more than twice
  // this.
  size_t max_line_bytes = 256 << 10;
  size_t max_labels = 128;            // Of a sample, and of an exemplar.
  size_t max_name_bytes = 1024;       // Of metrics, families and labels.
  size_t max_value_bytes = 64 << 10;  // Of a label.

  // Take names in quotes, which may be any UTF-8: `{"http.requests",a="b"} 1`.
  // Without it names are [a-zA-Z_:][a-zA-Z0-9_:]*, of labels without the colon.
  bool utf8_names = false;
};

// Feeds a sink from a text that comes in pieces. Where the pieces are cut makes
// no difference.
//
//   TextParser parser({.format = Format::kPrometheus}, &sink);
//   while (... more of the body ...) RETURN_IF_ERROR(parser.Feed(piece));
//   RETURN_IF_ERROR(parser.Finish());
//
// Takes what Prometheus takes, and gives it the same meaning, except that it
// refuses where Prometheus is lenient by accident or only later:
// - a last line without line feed: the text may have been cut off (`# EOF` of
//   OpenMetrics is an end even without);
// - a label name twice in one sample, `__name__` among the labels, and a name
// in
//   quotes that is empty or not UTF-8;
// - labels without a comma between them, line feeds inside of label values, and
//   NUL outside of label values, help texts and comments;
// - names of families with anything but a blank behind them;
// - numbers and timestamps too large for their type.
// Prometheus' own format takes a timestamp with a sign and blanks at the start
// of a line, as its description says. OpenMetrics takes a comma behind the last
// label, as newer Prometheus do, and nothing else that its grammar does not
// have; its timestamps are cut to milliseconds, exactly. An unknown escape in a
// string stays as it is, with its backslash. `\r` is no line end.
//
// Whether families are complete and in one place, names fit their type, or a
// series comes twice (see DuplicateCheck) is not looked at.
//
// After an error everything fails with the same error. No allocation for a
// sample, once the buffers have grown. Not thread-safe.
class TextParser {
 public:
  // `sink` outlives the parser.
  TextParser(const ParserOptions& options, Sink* sink);
  ~TextParser();

  // INVALID_ARGUMENT if malformed, RESOURCE_EXHAUSTED over a limit:
  // "line 12, column 5: what, cure". What the sink returned, with "line 12: "
  // in front. What came before the error has gone to the sink.
  absl::Status Feed(absl::string_view piece);

  // To be called at the end of the text: DATA_LOSS if it was cut off, by a last
  // line that does not end or by a missing `# EOF`. Nothing may follow.
  absl::Status Finish();

  // Lines so far, complete ones.
  int64_t lines() const { return lines_; }
  int64_t samples() const { return samples_; }

 private:
  class SampleReader;

  absl::Status TakePiece(absl::string_view piece);
  absl::Status Carry(absl::string_view text);
  absl::Status TakeLine(absl::string_view line);
  absl::Status TakeSample(absl::string_view line);
  absl::Status TakeComment(absl::string_view line);
  absl::Status TooLong() const;
  absl::Status DataAfterEof() const;
  absl::Status AtLine(absl::string_view separator,
                      const absl::Status& status) const;

  const ParserOptions options_;
  Sink* const sink_;
  std::unique_ptr<SampleReader> reader_;
  std::string carry_;  // The begin of a line, of an earlier piece.
  absl::Status status_;
  int64_t lines_ = 0;
  int64_t samples_ = 0;
  bool eof_ = false;  // `# EOF` was read.
  bool finished_ = false;
};

}  // namespace insula::exposition
