// A password, token or key, which no output shows.
#pragma once

#include <cstddef>
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/string_view.h"

namespace insula {

// Prints as <redacted> wherever it is printed; only Reveal() has the text, so a
// search for that word finds every place that uses one. Copies share the bytes,
// which are overwritten when the last of them goes. Thread-safe as a
// shared_ptr is.
//
//   Secret password(std::move(text));     // `text` is overwritten.
//   LOG << password;                      // <redacted>
//   Send(user, password.Reveal());
//
// What else has seen the text (a file's buffer, the caller's string) is the
// caller's to care about: see WipeString.
class Secret {
 public:
  static constexpr absl::string_view kShown = "<redacted>";

  Secret() = default;  // Empty.
  // Overwrites `text`.
  explicit Secret(std::string&& text);

  // Lives as long as a copy of this secret does.
  const std::string& Reveal() const;
  bool empty() const { return text_ == nullptr; }

  // In constant time for secrets of one length.
  friend bool operator==(const Secret& a, const Secret& b);
  friend std::ostream& operator<<(std::ostream& out, const Secret&) {
    return out << kShown;
  }
  // For absl::StrCat and StrFormat, from Abseil 2023 on; with older ones a
  // secret among their arguments does not compile.
  template <typename Sink>
  friend void AbslStringify(Sink& sink, const Secret&) {
    sink.Append(kShown);
  }

 private:
  std::shared_ptr<const std::string> text_;  // Null if empty.
};

// Overwrites `text`, which is empty then. A compiler does not leave it out.
void WipeString(std::string* text);

}  // namespace insula
