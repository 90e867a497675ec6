#include "tools/insulactl/console.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libs/resources/resource_printer.h"

namespace insula::insulactl {

std::string Console::Colored(Color color, absl::string_view text) const {
  if (!options_.color) return std::string(text);
  const absl::string_view code = color == Color::kRed     ? "31"
                                 : color == Color::kGreen ? "32"
                                                          : "2";
  return absl::StrCat("\x1b[", code, "m", text, "\x1b[0m");
}

void Console::Error(absl::string_view text) { ErrLines("insulactl: ", text); }

void Console::Note(absl::string_view text) { ErrLines("", text); }

void Console::ErrLines(absl::string_view prefix, absl::string_view text) {
  ClearProgress();
  out_.flush();  // Results and errors in the order in which they came.
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    err_ << prefix << resources::Printable(line) << '\n';
  }
  err_.flush();
}

void Console::Progress(absl::string_view what, size_t done, size_t of) {
  if (!options_.err_terminal || of == 0) return;
  constexpr size_t kWidth = 30;
  const size_t full = kWidth * done / of;
  err_ << "\r\x1b[K" << what << " [" << std::string(full, '#')
       << std::string(kWidth - full, '.') << "] " << done << "/" << of;
  err_.flush();
  progress_shown_ = true;
}

void Console::ClearProgress() {
  if (!progress_shown_) return;
  err_ << "\r\x1b[K";
  err_.flush();
  progress_shown_ = false;
}

bool Console::Flush() {
  ClearProgress();
  out_.flush();
  return out_.good();
}

}  // namespace insula::insulactl
