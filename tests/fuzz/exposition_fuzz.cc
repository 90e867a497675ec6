// Where a text is cut makes no difference, and what is read prints as text that
// reads as the same.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/exposition/recorder.h"
#include "libs/exposition/text_parser.h"
#include "libs/exposition/text_printer.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

using exposition::Format;
using exposition::Recorder;
using exposition::TextParser;
using exposition::TextPrinter;

struct Outcome {
  std::vector<std::string> calls;
  absl::Status status;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

absl::Status Feed(const exposition::ParserOptions& options,
                  const std::vector<std::vector<char>>& pieces,
                  exposition::Sink* sink) {
  TextParser parser(options, sink);
  for (const std::vector<char>& piece : pieces) {
    const absl::Status status =
        parser.Feed(absl::string_view(piece.data(), piece.size()));
    if (!status.ok()) return status;
  }
  return parser.Finish();
}

Outcome Read(const exposition::ParserOptions& options,
             const std::vector<std::vector<char>>& pieces) {
  Recorder recorder;
  const absl::Status status = Feed(options, pieces, &recorder);
  return {recorder.calls(), status};
}

FUZZ_TARGET(exposition) {
  fuzz::Input bytes(input);
  const uint8_t choices = bytes.Byte();
  const size_t step = bytes.Byte();
  const absl::string_view text = bytes.rest();
  exposition::ParserOptions options;
  options.format =
      (choices & 1) != 0 ? Format::kOpenMetrics : Format::kPrometheus;
  options.utf8_names = (choices & 2) != 0;
  if ((choices & 4) != 0) {
    options.max_line_bytes = 64;
    options.max_labels = 2;
    options.max_name_bytes = options.max_value_bytes = 8;
  }

  const Outcome whole = Read(options, fuzz::Pieces(text, text.size()));
  FUZZ_CHECK(Read(options, fuzz::Pieces(text, 1)) == whole, text);
  FUZZ_CHECK(Read(options, fuzz::Pieces(text, step)) == whole, text);
  if (!whole.status.ok()) return;

  std::string printed;
  TextPrinter printer(
      {.format = options.format, .utf8_names = options.utf8_names}, &printed);
  const absl::Status status =
      Feed(options, fuzz::Pieces(text, text.size()), &printer);
  FUZZ_CHECK(status.ok(), status.ToString());
  printer.Finish();
  options.max_line_bytes = 1
                           << 20;  // Numbers and blanks may have become longer.
  const Outcome again = Read(options, fuzz::Pieces(printed, printed.size()));
  FUZZ_CHECK(again == whole, absl::StrCat(text, "\n", printed));
}

}  // namespace
}  // namespace insula
