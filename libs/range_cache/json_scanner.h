// Steps through JSON without copying it. For libs/range_cache alone.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace insula::range_cache {

// Reads what stands at the place it has come to. A failure leaves the place
// undefined. Never reads beyond the end, whatever the text is.
class JsonScanner {
 public:
  explicit JsonScanner(absl::string_view text) : text_(text) {}

  // Skips white space, and then `c` if it is there.
  bool Eat(char c) {
    const bool there = Sees(c);
    at_ += there;
    return there;
  }
  // The same, without skipping `c`.
  bool Sees(char c) {
    SkipSpace();
    return at_ < text_.size() && text_.data()[at_] == c;
  }
  bool AtEnd();

  // A string, with its quotes.
  std::optional<absl::string_view> String();
  // A number, as far as characters go.
  std::optional<absl::string_view> Number();
  // Any value, by its brackets and quotes.
  std::optional<absl::string_view> Value();
  // A key and its colon. Without the quotes; nullopt also if it has escapes.
  std::optional<absl::string_view> Key();

  size_t place() const { return at_; }
  absl::string_view From(size_t place) const {
    return absl::string_view(text_.data() + place, at_ - place);
  }

 private:
  static bool IsSpace(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
  }
  void SkipSpace() {
    while (at_ < text_.size() && IsSpace(text_.data()[at_])) ++at_;
  }

  const absl::string_view text_;
  size_t at_ = 0;
};

// The UTF-8 that `quoted`, a JSON string with its quotes, stands for. Nullopt
// if an escape is malformed.
std::optional<std::string> Unquote(absl::string_view quoted);

}  // namespace insula::range_cache
