// What asking Kubernetes for tokens and for rights have in common. For
// libs/auth alone.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/auth/kube_review.h"

namespace insula::auth {

// Of the names of attributes that hold a user's extras.
inline constexpr absl::string_view kReviewExtraPrefix = "extra/";

absl::Status ReviewUnavailable(absl::string_view why);

// After a call for `reviews` that came to `error`. Callers see this: what the
// API server writes may hold the token that it was asked about, or our own.
absl::Status ReviewFailed(const absl::Status& error, absl::string_view reviews);

// For messages.
std::string ClusterName(const KubeReviewOptions& options);

}  // namespace insula::auth
