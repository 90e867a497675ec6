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
  bool Eat(char c);
  // The same, without skipping `c`.
  bool Sees(char c);
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
    return text_.substr(place, at_ - place);
  }

 private:
  void SkipSpace();

  const absl::string_view text_;
  size_t at_ = 0;
};

// The UTF-8 that `quoted`, a JSON string with its quotes, stands for. Nullopt
// if an escape is malformed.
std::optional<std::string> Unquote(absl::string_view quoted);

}  // namespace insula::range_cache
