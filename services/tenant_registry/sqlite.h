// The little of SQLite that the store needs, with statuses.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::tenant_registry::sqlite {

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;

// Opens a file for one thread at a time, and makes it if there is none.
absl::StatusOr<Database> Open(const std::string& path);

// The database's last error, with the code that the caller can act on.
absl::Status Error(sqlite3* database, absl::string_view doing);

// Runs statements without results.
absl::Status Execute(sqlite3* database, const char* sql);

// A prepared statement. Parameters count from 1, columns from 0; bound text
// must live until the statement is stepped.
class Statement {
 public:
  static absl::StatusOr<Statement> Prepare(sqlite3* database, const char* sql);

  Statement& Bind(int index, int64_t value);
  Statement& Bind(int index, absl::string_view text);
  Statement& BindBlob(int index, absl::string_view bytes);
  Statement& BindNull(int index);

  // True: a row is there. False: done.
  absl::StatusOr<bool> Step();
  // Steps a statement without rows and makes it ready for the next use.
  absl::Status Run();
  void Reset();

  int64_t Int(int column) const;
  absl::string_view Bytes(int column) const;  // Until the next step.
  bool IsNull(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const {
      sqlite3_finalize(statement);
    }
  };
  Statement(sqlite3* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}

  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// Rolls back unless committed.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(sqlite3* database);
  ~Transaction();
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;

  absl::Status Commit();

 private:
  explicit Transaction(sqlite3* database) : database_(database) {}
  sqlite3* database_;  // Null once committed.
};

}  // namespace insula::tenant_registry::sqlite
