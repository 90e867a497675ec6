// Kinds of objects as people write them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/resources/object_key.h"

namespace insula::insulactl {

namespace v1 = ::insula::registry::v1;

// "tenant", "Tenants", "claim-rule", "policies". INVALID_ARGUMENT names those
// that there are.
absl::StatusOr<v1::Kind> ParseKindWord(absl::string_view word);

// "Tenant/red". INVALID_ARGUMENT.
absl::StatusOr<resources::ObjectKey> ParseObjectName(absl::string_view name);

// "tenant", "claim-rule": all that there are.
std::vector<std::string> KindWords();

}  // namespace insula::insulactl
