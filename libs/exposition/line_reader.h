// Reads one line. For libs/exposition alone.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/text_parser.h"

namespace insula::exposition {

// A place in a line, and what may stand there. Errors say "column 5: what".
class LineReader {
 public:
  explicit LineReader(const ParserOptions& options) : options_(options) {}

  // Strings that were read of the line before are gone.
  void Start(absl::string_view line) {
    begin_ = at_ = line.data();
    end_ = at_ + line.size();
    unescaped_ = 0;
  }

  const char* at() const { return at_; }
  bool AtEnd() const { return at_ == end_; }
  // The next character; at the end a line feed, which no line has.
  char Peek() const { return at_ == end_ ? '\n' : *at_; }
  void Skip(size_t count) { at_ += count; }
  absl::string_view Rest() const {
    return absl::string_view(at_, static_cast<size_t>(end_ - at_));
  }

  // Blanks and tabs.
  void SkipBlanks() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t')) ++at_;
  }

  // Up to the next blank or tab (OpenMetrics: blank), or the end.
  absl::string_view TakeWord();

  // [a-zA-Z_:][a-zA-Z0-9_:]*, of labels without the colon; empty if there is
  // none.
  absl::string_view TakeMetricName();
  absl::string_view TakeLabelName();

  // A string in double quotes, which start here. A view of the line or of the
  // reader's memory.
  absl::Status TakeString(absl::string_view* text);

  // `raw`, a part of the line, without its escapes.
  absl::string_view Unescaped(absl::string_view raw, bool quotes);

  absl::Status Error(const char* where, absl::string_view what) const;
  // Over a limit: "... of 300 bytes is longer than the limit of 256".
  absl::Status TooLong(const char* where, absl::string_view what, size_t size,
                       size_t limit) const;
  // What stands at the current place is not `wanted`.
  absl::Status Expected(absl::string_view wanted) const;

  const ParserOptions& options() const { return options_; }
  bool is_open_metrics() const {
    return options_.format == Format::kOpenMetrics;
  }

 private:
  const ParserOptions& options_;
  const char* begin_ = nullptr;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  std::string memory_;    // As large as a line, once one had an escape.
  size_t unescaped_ = 0;  // Used of it.
};

}  // namespace insula::exposition
