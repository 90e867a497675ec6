#include "libs/runtime/version.h"

namespace insula::runtime {

absl::string_view Version() { return INSULA_VERSION; }

}  // namespace insula::runtime
