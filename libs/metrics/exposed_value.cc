#include "libs/metrics/exposed_value.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace insula::metrics {

std::optional<double> ExposedValue(absl::string_view exposition,
                                   absl::string_view series) {
  for (absl::string_view line : absl::StrSplit(exposition, '\n')) {
    double value;
    if (absl::ConsumePrefix(&line, series) && absl::ConsumePrefix(&line, " ") &&
        absl::SimpleAtod(line, &value)) {
      return value;
    }
  }
  return std::nullopt;
}

}  // namespace insula::metrics
