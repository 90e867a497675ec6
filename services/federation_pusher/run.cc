#include "services/federation_pusher/run.h"

#include <array>
#include <cstddef>

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"

namespace insula::federation_pusher {
namespace {

constexpr absl::string_view kPayload = "insula.federation/result";

struct Description {
  absl::string_view name;
  absl::StatusCode code;
};

// In the order of the enumerators.
constexpr std::array<Description, kResultCount> kDescriptions = {{
    {"success", absl::StatusCode::kOk},
    {"tenant", absl::StatusCode::kFailedPrecondition},
    {"source_address", absl::StatusCode::kPermissionDenied},
    {"source_unreachable", absl::StatusCode::kUnavailable},
    {"source_timeout", absl::StatusCode::kDeadlineExceeded},
    {"source_status", absl::StatusCode::kFailedPrecondition},
    {"source_content_type", absl::StatusCode::kInvalidArgument},
    {"source_too_large", absl::StatusCode::kResourceExhausted},
    {"source_truncated", absl::StatusCode::kDataLoss},
    {"source_malformed", absl::StatusCode::kInvalidArgument},
    {"source_duplicate", absl::StatusCode::kInvalidArgument},
    {"gateway_token", absl::StatusCode::kUnauthenticated},
    {"gateway_unavailable", absl::StatusCode::kUnavailable},
    {"gateway_refused", absl::StatusCode::kFailedPrecondition},
    {"partly_refused", absl::StatusCode::kFailedPrecondition},
    {"interrupted", absl::StatusCode::kCancelled},
    {"internal", absl::StatusCode::kInternal},
}};
static_assert(static_cast<int>(Result::kInternal) + 1 == kResultCount);

}  // namespace

absl::string_view ResultName(Result result) {
  return kDescriptions[static_cast<size_t>(result)].name;
}

absl::Status Failure(Result result, absl::string_view message) {
  absl::Status status(kDescriptions[static_cast<size_t>(result)].code, message);
  status.SetPayload(kPayload, absl::Cord(ResultName(result)));
  return status;
}

Result ResultOf(const absl::Status& status) {
  if (status.ok()) return Result::kSuccess;
  const absl::optional<absl::Cord> name = status.GetPayload(kPayload);
  for (size_t i = 0; name.has_value() && i < kDescriptions.size(); ++i) {
    if (*name == kDescriptions[i].name) return static_cast<Result>(i);
  }
  return Result::kInternal;
}

std::string Shown(absl::string_view text, size_t max_bytes) {
  const bool cut = text.size() > max_bytes;
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, max_bytes)),
                      cut ? "...'" : "'");
}

}  // namespace insula::federation_pusher
