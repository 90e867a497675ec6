#include "libs/exposition/escape.h"

#include <cstring>

namespace insula::exposition {

size_t Unescape(absl::string_view text, Quote quote, char* out) {
  char* const begin = out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] != '\\') {
      *out++ = text[i];
    } else if (next == '\\' || (next == '"' && quote == Quote::kDouble)) {
      *out++ = next;
      ++i;
    } else if (next == 'n') {
      *out++ = '\n';
      ++i;
    } else {
      *out++ = '\\';
    }
  }
  return static_cast<size_t>(out - begin);
}

void AppendEscaped(absl::string_view text, Quote quote, std::string* out) {
  const absl::string_view special = quote == Quote::kDouble
                                        ? absl::string_view("\\\n\"")
                                        : absl::string_view("\\\n");
  while (true) {
    const size_t plain = text.find_first_of(special);
    out->append(text.data(),
                plain == absl::string_view::npos ? text.size() : plain);
    if (plain == absl::string_view::npos) return;
    out->push_back('\\');
    out->push_back(text[plain] == '\n' ? 'n' : text[plain]);
    text.remove_prefix(plain + 1);
  }
}

}  // namespace insula::exposition
