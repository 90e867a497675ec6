// Records out of a store that can't be opened any more.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/spool/record.h"

namespace insula::spool {

// Reads the blob files and the write-ahead logs below `path` by themselves, as
// RocksDB 7 writes them, and calls `found` for each record that is sound under
// its key: perhaps twice for the same, and also for some that were removed.
// Ends with the first error of `found`. What can't be read is left out.
absl::Status Salvage(const std::string& path,
                     const std::function<absl::Status(
                         absl::string_view key, absl::string_view value,
                         const Record& record)>& found);

}  // namespace insula::spool
