#include "libs/http/request_id.h"

#include <algorithm>
#include <cstdint>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace insula::http {

std::string RequestId(const Headers& headers) {
  const auto id = headers.Get("x-request-id");
  const bool sane =
      id && !id->empty() && id->size() <= 64 &&
      headers.Count("x-request-id") == 1 &&
      std::all_of(id->begin(), id->end(), [](char c) {
        return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
      });
  return sane ? std::string(*id) : RandomRequestId();
}

std::string RandomRequestId() {
  thread_local absl::InsecureBitGen random;
  const auto number = absl::Uniform<uint64_t>(random);
  return absl::StrCat(absl::Hex(number, absl::kZeroPad16));
}

}  // namespace insula::http
