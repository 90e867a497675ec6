// The tables of the SQLite store, and how a file comes to have them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/tenant_registry/sqlite.h"

namespace insula::tenant_registry {

// Opens the store at `path`, made if there is none and brought up to date if an
// earlier version made it, and takes it for this process alone. A file that was
// made as a backup gets a new epoch. DATA_LOSS: damaged. FAILED_PRECONDITION:
// not a registry's, or of a later version. UNAVAILABLE: can't be opened.
absl::StatusOr<sqlite::Database> OpenStoreFile(const std::string& path);

// Finishes a copy of a store that was made with SQLite's backup: one file, and
// marked as a backup. Returns its revision.
absl::StatusOr<int64_t> FinishBackup(sqlite3* copy);

// Single values, by name. DATA_LOSS: there is none, or not such a one.
absl::StatusOr<std::string> ReadMeta(sqlite3* database, absl::string_view name);
absl::StatusOr<int64_t> ReadMetaInt(sqlite3* database, absl::string_view name);
absl::Status WriteMeta(sqlite3* database, absl::string_view name,
                       absl::string_view value);

}  // namespace insula::tenant_registry
