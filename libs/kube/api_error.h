// What the Kubernetes API says when it does not do as asked.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/message.h"
#include "libs/kube/json.h"

namespace insula::kube {

// The error that `answer`, which is not 2xx, is: OUT_OF_RANGE for 410 (what was
// asked for is no longer kept: list again), ALREADY_EXISTS or ABORTED for 409
// (made twice, changed meanwhile), else by http::FromHttpStatus. The message is
// "`what`: " and the API's own.
absl::Status ErrorOf(const http::Response& answer, absl::string_view what);

// The same for the Status object of a watch.
absl::Status ErrorOf(const Json& status, absl::string_view what);

// The HTTP status behind an error of above; 0 for any other status.
int HttpStatusOf(const absl::Status& error);

// How long the server wants to be left alone; zero if it did not say.
absl::Duration RetryAfterOf(const absl::Status& error);

}  // namespace insula::kube
