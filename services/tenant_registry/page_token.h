// Where a list goes on, as text that only the registry reads.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::tenant_registry {

// What a token is good for. Neither part may have a NUL.
struct PageToken {
  std::string request;  // All fields of the request but the token.
  std::string state;    // What the pages are of: they end when it changes.
};

// The token of the page that goes on at, or after, `position`.
std::string WritePageToken(const PageToken& token, absl::string_view position);

// The position. INVALID_ARGUMENT: not a token, or one of another request.
// OUT_OF_RANGE: the state has changed.
absl::StatusOr<std::string> ReadPageToken(absl::string_view text,
                                          const PageToken& now);

}  // namespace insula::tenant_registry
