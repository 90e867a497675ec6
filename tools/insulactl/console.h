// Where a command writes.
#pragma once

#include <ostream>
#include <string>

#include "absl/strings/string_view.h"

namespace insula::insulactl {

enum class Color { kRed, kGreen, kFaint };

// Results go to `out`, all else to `err`. Not thread-safe.
class Console {
 public:
  struct Options {
    bool color = false;         // `out` takes colors.
    bool err_terminal = false;  // A bar of progress may be drawn on `err`.
  };

  // Both streams outlive it.
  Console(std::ostream* out, std::ostream* err, Options options)
      : out_(*out), err_(*err), options_(options) {}

  // A result. The text is written as it is: what comes from others must have
  // been made fit for a terminal by resources::Printable() or Quote().
  void Out(absl::string_view text) { out_ << text; }
  void OutLine(absl::string_view text) { out_ << text << '\n'; }
  // `text`, in color if colors are wanted.
  std::string Colored(Color color, absl::string_view text) const;

  // "insulactl: TEXT" on `err`; whatever is in `text`, it stays text. Lines of
  // it are kept.
  void Error(absl::string_view text);
  void Note(absl::string_view text);

  // Shows how far something has come, on a line that the next text on `err`
  // takes the place of. Nothing unless that is a terminal.
  void Progress(absl::string_view what, size_t done, size_t of);

  // Writes out what is buffered. False: some of the results were lost.
  bool Flush();

 private:
  void ClearProgress();
  void ErrLines(absl::string_view prefix, absl::string_view text);

  std::ostream& out_;
  std::ostream& err_;
  const Options options_;
  bool progress_shown_ = false;
};

}  // namespace insula::insulactl
