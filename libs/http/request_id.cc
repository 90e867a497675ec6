#include "libs/http/request_id.h"

#include <cstdint>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "libs/logging/request_id.h"

namespace insula::http {

std::string RequestId(const Headers& headers) {
  const auto id = headers.Get("x-request-id");
  const bool sane =
      id && headers.Count("x-request-id") == 1 && logging::IsRequestId(*id);
  return sane ? std::string(*id) : RandomRequestId();
}

std::string RandomRequestId() {
  thread_local absl::InsecureBitGen random;
  const auto number = absl::Uniform<uint64_t>(random);
  return absl::StrCat(absl::Hex(number, absl::kZeroPad16));
}

}  // namespace insula::http
