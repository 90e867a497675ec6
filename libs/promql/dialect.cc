#include "libs/promql/dialect.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace insula::promql {

Dialect NewestDialect() {
  Dialect dialect;
  dialect.version = Version{3, 14};
  dialect.experimental_functions = true;
  dialect.duration_expressions = true;
  dialect.extended_selectors = true;
  dialect.fill_modifiers = true;
  return dialect;
}

absl::StatusOr<Dialect> ParseDialect(absl::string_view text) {
  if (text == "newest") return NewestDialect();
  const std::vector<absl::string_view> parts =
      absl::StrSplit(absl::StripPrefix(text, "v"), '.');
  Dialect dialect;
  Version& version = dialect.version;
  if (text.size() > 32 || parts.size() < 2 ||
      !absl::SimpleAtoi(parts[0], &version.release) ||
      !absl::SimpleAtoi(parts[1], &version.minor_release) ||
      version.release < 2 || version.minor_release < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", absl::CHexEscape(text.substr(0, 32)),
        "\" is no version of Prometheus; give one such as 2.42, or newest"));
  }
  return dialect;
}

}  // namespace insula::promql
