// The audit's tables of the SQLite store.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/tenant_registry/sqlite.h"
#include "services/tenant_registry/store.h"

namespace insula::tenant_registry {

// As of the methods of Store. Not thread-safe; the database outlives it.
class SqliteAudit {
 public:
  static absl::StatusOr<SqliteAudit> Prepare(sqlite3* database);

  // Within a transaction of the caller's.
  absl::Status Write(const AuditRecord& record, int64_t sequence);

  absl::StatusOr<Store::AuditPage> Read(const Store::AuditQuery& query);
  absl::StatusOr<int> Compact(absl::Time before, int limit);

 private:
  struct Statements {
    sqlite::Statement insert, insert_subject;
    sqlite::Statement remove, remove_subject;
    sqlite::Statement oldest;
    sqlite::Statement all, of_subject;
  };
  SqliteAudit(sqlite3* database, Statements statements)
      : database_(database), statements_(std::move(statements)) {}

  absl::Status WriteSubject(int64_t kind, const std::string& id,
                            int64_t revision, int64_t sequence);
  absl::StatusOr<int> RemoveOldest(absl::Time before, int limit);

  sqlite3* database_;
  Statements statements_;
};

}  // namespace insula::tenant_registry
