#include "libs/http/retry_after.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/numbers.h"

namespace insula::http {

absl::Duration ParseRetryAfter(const Headers& headers, absl::Time now) {
  const auto value = headers.Get("Retry-After");
  if (!value) return absl::ZeroDuration();
  int64_t seconds;
  if (absl::SimpleAtoi(*value, &seconds)) {
    return std::max(absl::ZeroDuration(), absl::Seconds(seconds));
  }
  absl::Time date;
  if (absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", *value, &date, nullptr)) {
    return std::max(absl::ZeroDuration(), date - now);
  }
  return absl::ZeroDuration();
}

}  // namespace insula::http
