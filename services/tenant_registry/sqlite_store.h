// The store in one SQLite file: write-ahead log, synced at each commit.
#pragma once

#include <memory>
#include <string>

#include "services/tenant_registry/store.h"

namespace insula::tenant_registry {

// Opens the file, and makes it if there is none; its directory must exist.
// UNAVAILABLE: another process has it open, or the medium fails.
// FAILED_PRECONDITION: a file of something else or of a newer version.
// DATA_LOSS: the file is damaged.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path);

}  // namespace insula::tenant_registry
