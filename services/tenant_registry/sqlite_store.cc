#include "services/tenant_registry/sqlite_store.h"

#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/sync/mutex.h"
#include "services/tenant_registry/random.h"
#include "services/tenant_registry/sqlite.h"

namespace insula::tenant_registry {
namespace {

constexpr int64_t kApplicationId = 0x494e5355;  // "INSU", in the file's header.
constexpr int64_t kSchemaVersion = 1;
constexpr absl::Duration kRequestMemory = absl::Hours(24);

// A body is a serialized Object; a null body in `change` is a deletion.
constexpr char kSchema[] = R"sql(
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
)sql";

absl::StatusOr<int64_t> Pragma(sqlite3* database, const char* sql) {
  ASSIGN_OR_RETURN(sqlite::Statement statement,
                   sqlite::Statement::Prepare(database, sql));
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  return row ? statement.Int(0) : 0;
}

class SqliteStore final : public Store {
 public:
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& path);

  absl::StatusOr<Head> Load(
      const std::function<void(v1::Object)>& visit) override;
  absl::Status Commit(const Change& change, absl::string_view request_id,
                      absl::Time now) override;
  absl::StatusOr<std::optional<int64_t>> FindRequest(
      absl::string_view request_id, absl::Time now) override;
  absl::StatusOr<std::vector<Change>> ChangesAfter(int64_t revision,
                                                   int limit) override;
  absl::Status Compact(int64_t revision) override;

 private:
  explicit SqliteStore(sqlite::Database database)
      : database_(std::move(database)) {}

  absl::Status Create() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Check() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status PrepareAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::string> ReadMeta(absl::string_view name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<int64_t> ReadMetaInt(absl::string_view name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WriteMeta(absl::string_view name, absl::string_view value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WriteItem(int64_t revision, int64_t sequence,
                         const Change::Item& item)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Prepared once; each is reset after use.
  struct Statements {
    sqlite::Statement put, remove, log, request, forget, find_request, changes;
  };

  sync::Mutex mutex_;
  const sqlite::Database database_;
  std::optional<Statements> statements_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::unique_ptr<Store>> SqliteStore::Open(
    const std::string& path) {
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(
      path.c_str(), &raw,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  sqlite::Database database(raw);
  if (opened != SQLITE_OK) return sqlite::Error(raw, "opening the store");
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, 5000);
  // Two registries on one file would each believe their own memory: the lock
  // is taken here and held to the end.
  RETURN_IF_ERROR(sqlite::Execute(raw,
                                  "PRAGMA locking_mode=EXCLUSIVE;"
                                  "PRAGMA journal_mode=WAL;"
                                  "PRAGMA synchronous=FULL;"
                                  "PRAGMA temp_store=MEMORY;"
                                  "BEGIN IMMEDIATE; COMMIT;"));
  std::unique_ptr<SqliteStore> store(new SqliteStore(std::move(database)));
  sync::MutexLock lock(&store->mutex_);
  ASSIGN_OR_RETURN(const int64_t tables,
                   Pragma(raw, "SELECT count(*) FROM sqlite_master"));
  if (tables == 0) RETURN_IF_ERROR(store->Create());
  RETURN_IF_ERROR(store->Check());
  RETURN_IF_ERROR(store->PrepareAll());
  return store;
}

absl::Status SqliteStore::Create() {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                   sqlite::Transaction::Begin(database_.get()));
  RETURN_IF_ERROR(sqlite::Execute(database_.get(), kSchema));
  RETURN_IF_ERROR(sqlite::Execute(
      database_.get(),
      absl::StrCat("PRAGMA application_id=", kApplicationId).c_str()));
  RETURN_IF_ERROR(WriteMeta("schema_version", absl::StrCat(kSchemaVersion)));
  RETURN_IF_ERROR(WriteMeta("epoch", RandomEpoch()));
  RETURN_IF_ERROR(WriteMeta("revision", "0"));
  RETURN_IF_ERROR(WriteMeta("compacted_revision", "0"));
  return transaction.Commit();
}

absl::Status SqliteStore::Check() {
  ASSIGN_OR_RETURN(const int64_t application,
                   Pragma(database_.get(), "PRAGMA application_id"));
  if (application != kApplicationId) {
    return absl::FailedPreconditionError(
        "the file is a database, but not one of a tenant-registry");
  }
  ASSIGN_OR_RETURN(const int64_t version, ReadMetaInt("schema_version"));
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the store has schema version ", version, ", this program knows ",
        kSchemaVersion, " at most; run a newer one"));
  }
  ASSIGN_OR_RETURN(
      sqlite::Statement check,
      sqlite::Statement::Prepare(database_.get(), "PRAGMA quick_check(1)"));
  ASSIGN_OR_RETURN(const bool row, check.Step());
  if (!row || check.Bytes(0) != "ok") {
    return absl::DataLossError(absl::StrCat("the store is damaged (",
                                            row ? check.Bytes(0) : "no answer",
                                            "); put a backup in its place"));
  }
  return absl::OkStatus();
}

absl::Status SqliteStore::PrepareAll() {
  auto prepare = [this](const char* sql) {
    return sqlite::Statement::Prepare(database_.get(), sql);
  };
  ASSIGN_OR_RETURN(sqlite::Statement put,
                   prepare("INSERT OR REPLACE INTO object"
                           "(kind, id, mod_revision, body) VALUES(?,?,?,?)"));
  ASSIGN_OR_RETURN(sqlite::Statement remove,
                   prepare("DELETE FROM object WHERE kind=? AND id=?"));
  ASSIGN_OR_RETURN(sqlite::Statement log,
                   prepare("INSERT INTO change"
                           "(revision, sequence, kind, id, body)"
                           " VALUES(?,?,?,?,?)"));
  ASSIGN_OR_RETURN(
      sqlite::Statement request,
      prepare(
          "INSERT OR REPLACE INTO request(id, revision, at) VALUES(?,?,?)"));
  ASSIGN_OR_RETURN(sqlite::Statement forget,
                   prepare("DELETE FROM request WHERE at<?"));
  ASSIGN_OR_RETURN(
      sqlite::Statement find_request,
      prepare("SELECT revision FROM request WHERE id=? AND at>=?"));
  ASSIGN_OR_RETURN(sqlite::Statement changes,
                   prepare("SELECT revision, kind, id, body FROM change"
                           " WHERE revision>? AND revision<=?"
                           " ORDER BY revision, sequence"));
  statements_.emplace(Statements{
      std::move(put), std::move(remove), std::move(log), std::move(request),
      std::move(forget), std::move(find_request), std::move(changes)});
  return absl::OkStatus();
}

absl::StatusOr<std::string> SqliteStore::ReadMeta(absl::string_view name) {
  ASSIGN_OR_RETURN(sqlite::Statement statement,
                   sqlite::Statement::Prepare(
                       database_.get(), "SELECT value FROM meta WHERE name=?"));
  ASSIGN_OR_RETURN(const bool row, statement.Bind(1, name).Step());
  if (!row) return absl::DataLossError(absl::StrCat("the store has no ", name));
  return std::string(statement.Bytes(0));
}

absl::StatusOr<int64_t> SqliteStore::ReadMetaInt(absl::string_view name) {
  ASSIGN_OR_RETURN(const std::string text, ReadMeta(name));
  int64_t value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < 0) {
    return absl::DataLossError(
        absl::StrCat("the store's ", name, " is '", text, "', not a number"));
  }
  return value;
}

absl::Status SqliteStore::WriteMeta(absl::string_view name,
                                    absl::string_view value) {
  ASSIGN_OR_RETURN(sqlite::Statement statement,
                   sqlite::Statement::Prepare(
                       database_.get(),
                       "INSERT OR REPLACE INTO meta(name, value) VALUES(?,?)"));
  return statement.Bind(1, name).Bind(2, value).Run();
}

absl::StatusOr<Store::Head> SqliteStore::Load(
    const std::function<void(v1::Object)>& visit) {
  sync::MutexLock lock(&mutex_);
  Head head;
  ASSIGN_OR_RETURN(head.epoch, ReadMeta("epoch"));
  ASSIGN_OR_RETURN(head.revision, ReadMetaInt("revision"));
  ASSIGN_OR_RETURN(head.compacted_revision, ReadMetaInt("compacted_revision"));
  ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      sqlite::Statement::Prepare(database_.get(),
                                 "SELECT kind, id, mod_revision, body"
                                 " FROM object ORDER BY kind, id"));
  while (true) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return head;
    v1::Object object;
    const absl::string_view body = rows.Bytes(3);
    if (!object.ParseFromArray(body.data(), static_cast<int>(body.size())) ||
        object.meta().kind() != rows.Int(0) ||
        object.meta().id() != rows.Bytes(1) || rows.Int(2) > head.revision) {
      return absl::DataLossError(absl::StrCat(
          "the store's object of kind ", rows.Int(0), " with id '",
          rows.Bytes(1), "' is damaged; put a backup in its place"));
    }
    visit(std::move(object));
  }
}

absl::Status SqliteStore::WriteItem(int64_t revision, int64_t sequence,
                                    const Change::Item& item) {
  const int64_t kind = item.key.kind;
  std::string body;
  statements_->log.Bind(1, revision).Bind(2, sequence).Bind(3, kind);
  statements_->log.Bind(4, item.key.id);
  if (item.object == nullptr) {
    RETURN_IF_ERROR(statements_->log.BindNull(5).Run());
    return statements_->remove.Bind(1, kind).Bind(2, item.key.id).Run();
  }
  if (!item.object->SerializeToString(&body)) {
    return absl::InternalError(
        absl::StrCat(Name(item.key), " can't be serialized"));
  }
  RETURN_IF_ERROR(statements_->log.BindBlob(5, body).Run());
  statements_->put.Bind(1, kind).Bind(2, item.key.id).Bind(3, revision);
  return statements_->put.BindBlob(4, body).Run();
}

absl::Status SqliteStore::Commit(const Change& change,
                                 absl::string_view request_id, absl::Time now) {
  sync::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                   sqlite::Transaction::Begin(database_.get()));
  int64_t sequence = 0;
  for (const Change::Item& item : change.items) {
    RETURN_IF_ERROR(WriteItem(change.revision, sequence++, item));
  }
  if (!change.items.empty()) {
    RETURN_IF_ERROR(WriteMeta("revision", absl::StrCat(change.revision)));
  }
  if (!request_id.empty()) {
    RETURN_IF_ERROR(
        statements_->forget.Bind(1, absl::ToUnixSeconds(now - kRequestMemory))
            .Run());
    RETURN_IF_ERROR(statements_->request.Bind(1, request_id)
                        .Bind(2, change.revision)
                        .Bind(3, absl::ToUnixSeconds(now))
                        .Run());
  }
  return transaction.Commit();
}

absl::StatusOr<std::optional<int64_t>> SqliteStore::FindRequest(
    absl::string_view request_id, absl::Time now) {
  sync::MutexLock lock(&mutex_);
  sqlite::Statement& find = statements_->find_request;
  find.Bind(1, request_id).Bind(2, absl::ToUnixSeconds(now - kRequestMemory));
  const absl::StatusOr<bool> row = find.Step();
  std::optional<int64_t> revision;
  if (row.ok() && *row) revision = find.Int(0);
  find.Reset();
  RETURN_IF_ERROR(row.status());
  return revision;
}

absl::StatusOr<std::vector<Change>> SqliteStore::ChangesAfter(int64_t revision,
                                                              int limit) {
  sync::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const int64_t compacted, ReadMetaInt("compacted_revision"));
  if (revision < compacted) {
    return absl::OutOfRangeError(
        absl::StrCat("changes up to revision ", compacted,
                     " are no longer kept, asked for those after ", revision));
  }
  sqlite::Statement& rows = statements_->changes;
  rows.Bind(1, revision).Bind(2, revision + limit);
  std::vector<Change> changes;
  absl::Status status;
  while (true) {
    const absl::StatusOr<bool> row = rows.Step();
    if (!row.ok()) status = row.status();
    if (!row.ok() || !*row) break;
    if (changes.empty() || changes.back().revision != rows.Int(0)) {
      changes.emplace_back().revision = rows.Int(0);
    }
    Change::Item item;
    item.key.kind = static_cast<v1::Kind>(rows.Int(1));
    item.key.id = std::string(rows.Bytes(2));
    if (!rows.IsNull(3)) {
      auto object = std::make_shared<v1::Object>();
      const absl::string_view body = rows.Bytes(3);
      if (!object->ParseFromArray(body.data(), static_cast<int>(body.size()))) {
        status = absl::DataLossError(
            absl::StrCat("the store's change ", rows.Int(0), " is damaged"));
        break;
      }
      item.object = std::move(object);
    }
    changes.back().items.push_back(std::move(item));
  }
  rows.Reset();
  RETURN_IF_ERROR(status);
  return changes;
}

absl::Status SqliteStore::Compact(int64_t revision) {
  sync::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const int64_t head, ReadMetaInt("revision"));
  ASSIGN_OR_RETURN(const int64_t compacted, ReadMetaInt("compacted_revision"));
  if (revision <= compacted || revision > head) return absl::OkStatus();
  ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                   sqlite::Transaction::Begin(database_.get()));
  ASSIGN_OR_RETURN(
      sqlite::Statement statement,
      sqlite::Statement::Prepare(database_.get(),
                                 "DELETE FROM change WHERE revision<=?"));
  RETURN_IF_ERROR(statement.Bind(1, revision).Run());
  RETURN_IF_ERROR(WriteMeta("compacted_revision", absl::StrCat(revision)));
  return transaction.Commit();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(
    const std::string& path) {
  absl::StatusOr<std::unique_ptr<Store>> store = SqliteStore::Open(path);
  if (!store.ok()) return Annotate(store.status(), path);
  return store;
}

}  // namespace insula::tenant_registry
