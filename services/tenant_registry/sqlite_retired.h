// The table of what former tenants were known by in stores.
#pragma once

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/tenant_registry/object.h"
#include "services/tenant_registry/sqlite.h"

namespace insula::tenant_registry {

// As of Store. For use with one connection, within its transactions.
class SqliteRetired {
 public:
  static absl::StatusOr<SqliteRetired> Prepare(sqlite3* database);

  absl::Status Write(const Retirement& retirement);
  absl::Status Forget(absl::Time until);

  // DATA_LOSS: what is stored can't be right.
  static absl::Status Load(sqlite3* database,
                           const std::function<void(const Retirement&)>& visit);

 private:
  SqliteRetired(sqlite::Statement put, sqlite::Statement remove,
                sqlite::Statement forget)
      : put_(std::move(put)),
        remove_(std::move(remove)),
        forget_(std::move(forget)) {}

  sqlite::Statement put_;
  sqlite::Statement remove_;
  sqlite::Statement forget_;
};

}  // namespace insula::tenant_registry
