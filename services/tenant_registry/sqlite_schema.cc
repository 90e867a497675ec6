#include "services/tenant_registry/sqlite_schema.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/random.h"

namespace insula::tenant_registry {
namespace {

constexpr int64_t kApplicationId = 0x494e5355;  // "INSU", in the file's header.

// What leads from each version of the schema to the next. A body is a
// serialized Object; a null body in `change` is a deletion. Times are
// nanoseconds since 1970, but in `request`, where they are seconds.
constexpr std::array<const char*, 3> kSteps = {
    R"sql(
CREATE TABLE meta(
  name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE object(
  kind INTEGER NOT NULL, id TEXT NOT NULL, mod_revision INTEGER NOT NULL,
  body BLOB NOT NULL, PRIMARY KEY(kind, id)) WITHOUT ROWID;
CREATE TABLE change(
  revision INTEGER NOT NULL, sequence INTEGER NOT NULL, kind INTEGER NOT NULL,
  id TEXT NOT NULL, body BLOB, PRIMARY KEY(revision, sequence)) WITHOUT ROWID;
CREATE TABLE request(
  id TEXT PRIMARY KEY, revision INTEGER NOT NULL,
  at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX request_at ON request(at);
)sql",
    // `tenants` are one a line. `audit_subject` finds the entries of an object,
    // and with kind 0 those that concern a tenant.
    R"sql(
ALTER TABLE change ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE request ADD COLUMN digest BLOB NOT NULL DEFAULT x'';
CREATE TABLE audit(
  revision INTEGER NOT NULL, sequence INTEGER NOT NULL, at INTEGER NOT NULL,
  actor TEXT NOT NULL, source TEXT NOT NULL, request_id TEXT NOT NULL,
  kind INTEGER NOT NULL, id TEXT NOT NULL, before BLOB, after BLOB,
  tenants TEXT NOT NULL, PRIMARY KEY(revision, sequence)) WITHOUT ROWID;
CREATE TABLE audit_subject(
  kind INTEGER NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY(kind, id, revision, sequence)) WITHOUT ROWID;
)sql",
    // What former tenants were known by in stores; see sqlite_retired.h.
    R"sql(
CREATE TABLE retired(
  identity BLOB PRIMARY KEY, tenant TEXT NOT NULL, uid BLOB NOT NULL,
  at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX retired_at ON retired(at);
)sql"};

constexpr int64_t kSchemaVersion = kSteps.size();

absl::StatusOr<int64_t> Pragma(sqlite3* database, const char* sql) {
  ASSIGN_OR_RETURN(sqlite::Statement statement,
                   sqlite::Statement::Prepare(database, sql));
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  return row ? statement.Int(0) : 0;
}

absl::Status Create(sqlite3* database) {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                   sqlite::Transaction::Begin(database));
  for (const char* step : kSteps) {
    RETURN_IF_ERROR(sqlite::Execute(database, step));
  }
  RETURN_IF_ERROR(sqlite::Execute(
      database,
      absl::StrCat("PRAGMA application_id=", kApplicationId).c_str()));
  RETURN_IF_ERROR(
      WriteMeta(database, "schema_version", absl::StrCat(kSchemaVersion)));
  RETURN_IF_ERROR(WriteMeta(database, "epoch", RandomEpoch()));
  RETURN_IF_ERROR(WriteMeta(database, "revision", "0"));
  RETURN_IF_ERROR(WriteMeta(database, "compacted_revision", "0"));
  return transaction.Commit();
}

absl::Status CheckHealth(sqlite3* database) {
  ASSIGN_OR_RETURN(
      sqlite::Statement check,
      sqlite::Statement::Prepare(database, "PRAGMA quick_check(1)"));
  ASSIGN_OR_RETURN(const bool row, check.Step());
  if (!row || check.Bytes(0) != "ok") {
    return absl::DataLossError(absl::StrCat(
        "the store is damaged (", row ? check.Bytes(0) : "no answer", ")"));
  }
  return absl::OkStatus();
}

absl::Status Update(sqlite3* database) {
  ASSIGN_OR_RETURN(const int64_t application,
                   Pragma(database, "PRAGMA application_id"));
  if (application != kApplicationId) {
    return absl::FailedPreconditionError(
        "the file is a database, but not one of a tenant-registry");
  }
  ASSIGN_OR_RETURN(const int64_t version,
                   ReadMetaInt(database, "schema_version"));
  if (version > kSchemaVersion || version < 1) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the store has schema version ", version, ", this program knows ",
        kSchemaVersion, " at most; run a newer one"));
  }
  if (version == kSchemaVersion) return absl::OkStatus();
  ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                   sqlite::Transaction::Begin(database));
  for (auto step = static_cast<size_t>(version); step < kSteps.size(); ++step) {
    RETURN_IF_ERROR(sqlite::Execute(database, kSteps[step]));
  }
  RETURN_IF_ERROR(
      WriteMeta(database, "schema_version", absl::StrCat(kSchemaVersion)));
  return transaction.Commit();
}

// What follows from here on is another history than the one that the backup
// was taken of.
absl::Status LeaveBackup(sqlite3* database) {
  ASSIGN_OR_RETURN(
      const int64_t is_backup,
      Pragma(database, "SELECT count(*) FROM meta WHERE name='backup'"));
  if (is_backup == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                   sqlite::Transaction::Begin(database));
  RETURN_IF_ERROR(WriteMeta(database, "epoch", RandomEpoch()));
  RETURN_IF_ERROR(
      sqlite::Execute(database, "DELETE FROM meta WHERE name='backup'"));
  RETURN_IF_ERROR(transaction.Commit());
  logging::Warn("the store was restored from a backup and has a new epoch",
                {{"cure", "let the followers accept it, once"}});
  return absl::OkStatus();
}

// SQLite would let everybody read it.
absl::Status MakePrivately(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return absl::UnavailableError(strerror(errno));
  close(fd);
  return absl::OkStatus();
}

// SQLite applies any log that lies beside a file. A backup is in another mode
// than a store, so a log beside it is that of the store it took the place of.
absl::Status CheckLog(const std::string& path) {
  constexpr size_t kMode = 18;  // In the header: 1 without a log, 2 with one.
  std::ifstream file(path, std::ios::binary);
  std::string header(kMode + 1, '\0');
  file.read(header.data(), static_cast<std::streamsize>(header.size()));
  const std::string log = absl::StrCat(path, "-wal");
  if (!file || header[kMode] != 1 || !std::filesystem::exists(log)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the file is a backup, but ", log,
                   " is of the store that it replaces; remove that too"));
}

}  // namespace

absl::StatusOr<sqlite::Database> OpenStoreFile(const std::string& path) {
  RETURN_IF_ERROR(MakePrivately(path));
  RETURN_IF_ERROR(CheckLog(path));
  ASSIGN_OR_RETURN(sqlite::Database database, sqlite::Open(path));
  sqlite3* const raw = database.get();
  // Two registries on one file would each believe their own memory: the lock
  // is taken here and held to the end.
  RETURN_IF_ERROR(sqlite::Execute(raw,
                                  "PRAGMA locking_mode=EXCLUSIVE;"
                                  "PRAGMA journal_mode=WAL;"
                                  "PRAGMA synchronous=FULL;"
                                  "PRAGMA temp_store=MEMORY;"
                                  "BEGIN IMMEDIATE; COMMIT;"));
  ASSIGN_OR_RETURN(const int64_t tables,
                   Pragma(raw, "SELECT count(*) FROM sqlite_master"));
  if (tables == 0) RETURN_IF_ERROR(Create(raw));
  RETURN_IF_ERROR(Update(raw));
  RETURN_IF_ERROR(CheckHealth(raw));
  RETURN_IF_ERROR(LeaveBackup(raw));
  return database;
}

absl::StatusOr<int64_t> FinishBackup(sqlite3* copy) {
  RETURN_IF_ERROR(sqlite::Execute(copy, "PRAGMA journal_mode=DELETE"));
  RETURN_IF_ERROR(WriteMeta(copy, "backup", "1"));
  return ReadMetaInt(copy, "revision");
}

absl::StatusOr<std::string> ReadMeta(sqlite3* database,
                                     absl::string_view name) {
  ASSIGN_OR_RETURN(sqlite::Statement statement,
                   sqlite::Statement::Prepare(
                       database, "SELECT value FROM meta WHERE name=?"));
  ASSIGN_OR_RETURN(const bool row, statement.Bind(1, name).Step());
  if (!row) return absl::DataLossError(absl::StrCat("the store has no ", name));
  return std::string(statement.Bytes(0));
}

absl::StatusOr<int64_t> ReadMetaInt(sqlite3* database, absl::string_view name) {
  ASSIGN_OR_RETURN(const std::string text, ReadMeta(database, name));
  int64_t value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < 0) {
    return absl::DataLossError(
        absl::StrCat("the store's ", name, " is '", text, "', not a number"));
  }
  return value;
}

absl::Status WriteMeta(sqlite3* database, absl::string_view name,
                       absl::string_view value) {
  ASSIGN_OR_RETURN(
      sqlite::Statement statement,
      sqlite::Statement::Prepare(
          database, "INSERT OR REPLACE INTO meta(name, value) VALUES(?,?)"));
  return statement.Bind(1, name).Bind(2, value).Run();
}

}  // namespace insula::tenant_registry
