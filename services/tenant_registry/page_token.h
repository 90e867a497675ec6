// Where a List goes on, as text that only the registry reads.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/registry.pb.h"

namespace insula::tenant_registry {

// What a token is good for.
struct PageToken {
  std::string epoch;
  int64_t revision = 0;  // Of the last change among what is listed.
  registry::v1::ListRequest request;
};

// The token of the page that ends with `last_id`.
std::string WritePageToken(const PageToken& token, absl::string_view last_id);

// The last id of the page before. INVALID_ARGUMENT: not a token, or one of
// another request. OUT_OF_RANGE: `now` is another revision.
absl::StatusOr<std::string> ReadPageToken(absl::string_view text,
                                          const PageToken& now);

}  // namespace insula::tenant_registry
