#include "services/tenant_registry/sqlite_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/sync/mutex.h"
#include "services/tenant_registry/sqlite.h"
#include "services/tenant_registry/sqlite_audit.h"
#include "services/tenant_registry/sqlite_retired.h"
#include "services/tenant_registry/sqlite_schema.h"

namespace insula::tenant_registry {
namespace {

constexpr absl::Duration kRequestMemory = absl::Hours(24);
// Pages copied while commits wait, and the pause after them in which these get
// their turn.
constexpr int kBackupStep = 256;
constexpr std::chrono::milliseconds kBackupPause{1};

// Says which file it is, and what to do about one that is damaged.
absl::Status InFile(const absl::Status& status, const std::string& path) {
  const absl::Status named = Annotate(status, path);
  if (!absl::IsDataLoss(named)) return named;
  return absl::DataLossError(
      absl::StrCat(named.message(), "; put a backup in its place"));
}

class SqliteStore final : public Store {
 public:
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& path);

  absl::StatusOr<Head> Load(
      const std::function<void(v1::Object)>& visit) override;
  absl::Status LoadRetirements(
      const std::function<void(const Retirement&)>& visit) override;
  absl::Status ForgetRetirements(absl::Time until) override;
  absl::Status Commit(const std::vector<Entry>& group, absl::Time now) override;
  absl::StatusOr<std::optional<Answer>> FindRequest(
      absl::string_view request_id, absl::Time now) override;
  absl::StatusOr<std::vector<Change>> ChangesAfter(int64_t revision,
                                                   int limit) override;
  absl::Status Compact(int64_t revision) override;
  absl::StatusOr<int64_t> RevisionBefore(absl::Time time) override;
  absl::StatusOr<AuditPage> ReadAudit(const AuditQuery& query) override;
  absl::StatusOr<int> CompactAudit(absl::Time time, int limit) override;
  absl::StatusOr<int64_t> Backup(const std::string& path) override;

 private:
  // Prepared once; each is reset after use.
  struct Statements {
    sqlite::Statement put, remove, log, set_meta, request, forget, find_request;
    sqlite::Statement changes, revision_before;
  };

  SqliteStore(std::string path, sqlite::Database database)
      : path_(std::move(path)), database_(std::move(database)) {}

  absl::StatusOr<Head> LoadAll(const std::function<void(v1::Object)>& visit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status PrepareAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WriteEntry(const Entry& entry, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WriteItem(const Change::Item& item, int64_t revision,
                         int64_t sequence, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CopyTo(sqlite3* copy) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string path_;
  sync::Mutex mutex_;
  const sqlite::Database database_;
  std::optional<Statements> statements_ ABSL_GUARDED_BY(mutex_);
  std::optional<SqliteAudit> audit_ ABSL_GUARDED_BY(mutex_);
  std::optional<SqliteRetired> retired_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::unique_ptr<Store>> SqliteStore::Open(
    const std::string& path) {
  ASSIGN_OR_RETURN(sqlite::Database database, OpenStoreFile(path));
  std::unique_ptr<SqliteStore> store(
      new SqliteStore(path, std::move(database)));
  sync::MutexLock lock(&store->mutex_);
  RETURN_IF_ERROR(store->PrepareAll());
  return store;
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
                           "(revision, sequence, kind, id, body, at)"
                           " VALUES(?,?,?,?,?,?)"));
  ASSIGN_OR_RETURN(
      sqlite::Statement set_meta,
      prepare("INSERT OR REPLACE INTO meta(name, value) VALUES(?,?)"));
  ASSIGN_OR_RETURN(sqlite::Statement request,
                   prepare("INSERT OR REPLACE INTO request"
                           "(id, revision, at, digest) VALUES(?,?,?,?)"));
  ASSIGN_OR_RETURN(sqlite::Statement forget,
                   prepare("DELETE FROM request WHERE at<?"));
  ASSIGN_OR_RETURN(
      sqlite::Statement find_request,
      prepare("SELECT revision, digest FROM request WHERE id=? AND at>=?"));
  ASSIGN_OR_RETURN(sqlite::Statement changes,
                   prepare("SELECT revision, kind, id, body FROM change"
                           " WHERE revision>? AND revision<=?"
                           " ORDER BY revision, sequence"));
  // Up to the first one that is not old: a clock that went back makes the log
  // be kept for longer.
  ASSIGN_OR_RETURN(sqlite::Statement revision_before,
                   prepare("SELECT revision FROM change WHERE at>=?"
                           " ORDER BY revision LIMIT 1"));
  ASSIGN_OR_RETURN(audit_, SqliteAudit::Prepare(database_.get()));
  ASSIGN_OR_RETURN(retired_, SqliteRetired::Prepare(database_.get()));
  statements_.emplace(Statements{
      std::move(put), std::move(remove), std::move(log), std::move(set_meta),
      std::move(request), std::move(forget), std::move(find_request),
      std::move(changes), std::move(revision_before)});
  return absl::OkStatus();
}

absl::StatusOr<Store::Head> SqliteStore::Load(
    const std::function<void(v1::Object)>& visit) {
  sync::MutexLock lock(&mutex_);
  absl::StatusOr<Head> head = LoadAll(visit);
  if (!head.ok()) return InFile(head.status(), path_);
  return head;
}

absl::StatusOr<Store::Head> SqliteStore::LoadAll(
    const std::function<void(v1::Object)>& visit) {
  sqlite3* const database = database_.get();
  Head head;
  ASSIGN_OR_RETURN(head.epoch, ReadMeta(database, "epoch"));
  ASSIGN_OR_RETURN(head.revision, ReadMetaInt(database, "revision"));
  ASSIGN_OR_RETURN(head.compacted_revision,
                   ReadMetaInt(database, "compacted_revision"));
  ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      sqlite::Statement::Prepare(database,
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
      return absl::DataLossError(absl::StrCat("the store's object of kind ",
                                              rows.Int(0), " with id '",
                                              rows.Bytes(1), "' is damaged"));
    }
    visit(std::move(object));
  }
}

absl::Status SqliteStore::LoadRetirements(
    const std::function<void(const Retirement&)>& visit) {
  sync::MutexLock lock(&mutex_);
  const absl::Status loaded = SqliteRetired::Load(database_.get(), visit);
  return loaded.ok() ? loaded : InFile(loaded, path_);
}

absl::Status SqliteStore::ForgetRetirements(absl::Time until) {
  sync::MutexLock lock(&mutex_);
  return retired_->Forget(until);
}

absl::Status SqliteStore::WriteItem(const Change::Item& item, int64_t revision,
                                    int64_t sequence, absl::Time now) {
  const int64_t kind = item.key.kind;
  std::string body;
  sqlite::Statement& log = statements_->log;
  log.Bind(1, revision).Bind(2, sequence).Bind(3, kind).Bind(4, item.key.id);
  log.Bind(6, absl::ToUnixNanos(now));
  if (item.object == nullptr) {
    RETURN_IF_ERROR(log.BindNull(5).Run());
    return statements_->remove.Bind(1, kind).Bind(2, item.key.id).Run();
  }
  if (!item.object->SerializeToString(&body)) {
    return absl::InternalError(
        absl::StrCat(Name(item.key), " can't be serialized"));
  }
  RETURN_IF_ERROR(log.BindBlob(5, body).Run());
  statements_->put.Bind(1, kind).Bind(2, item.key.id).Bind(3, revision);
  return statements_->put.BindBlob(4, body).Run();
}

absl::Status SqliteStore::WriteEntry(const Entry& entry, absl::Time now) {
  int64_t sequence = 0;
  for (const Change::Item& item : entry.change->items) {
    RETURN_IF_ERROR(WriteItem(item, entry.change->revision, sequence++, now));
  }
  sequence = 0;
  for (const AuditRecord& record : entry.audit) {
    RETURN_IF_ERROR(audit_->Write(record, sequence++));
  }
  for (const Retirement& retirement : entry.change->retirements) {
    RETURN_IF_ERROR(retired_->Write(retirement));
  }
  if (entry.request.id.empty()) return absl::OkStatus();
  sqlite::Statement& request = statements_->request;
  request.Bind(1, entry.request.id).Bind(2, entry.change->revision);
  request.Bind(3, absl::ToUnixSeconds(now)).BindBlob(4, entry.request.digest);
  return request.Run();
}

absl::Status SqliteStore::Commit(const std::vector<Entry>& group,
                                 absl::Time now) {
  if (group.empty()) return absl::OkStatus();
  sync::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                   sqlite::Transaction::Begin(database_.get()));
  RETURN_IF_ERROR(
      statements_->forget.Bind(1, absl::ToUnixSeconds(now - kRequestMemory))
          .Run());
  for (const Entry& entry : group) {
    RETURN_IF_ERROR(WriteEntry(entry, now));
  }
  const std::string revision = absl::StrCat(group.back().change->revision);
  RETURN_IF_ERROR(
      statements_->set_meta.Bind(1, "revision").Bind(2, revision).Run());
  return transaction.Commit();
}

absl::StatusOr<std::optional<Store::Answer>> SqliteStore::FindRequest(
    absl::string_view request_id, absl::Time now) {
  sync::MutexLock lock(&mutex_);
  sqlite::Statement& find = statements_->find_request;
  const absl::Cleanup reset = [&find] { find.Reset(); };
  find.Bind(1, request_id).Bind(2, absl::ToUnixSeconds(now - kRequestMemory));
  ASSIGN_OR_RETURN(const bool row, find.Step());
  if (!row) return std::nullopt;
  return Answer{find.Int(0), std::string(find.Bytes(1))};
}

absl::StatusOr<std::vector<Change>> SqliteStore::ChangesAfter(int64_t revision,
                                                              int limit) {
  sync::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const int64_t compacted,
                   ReadMetaInt(database_.get(), "compacted_revision"));
  if (revision < compacted) {
    return absl::OutOfRangeError(
        absl::StrCat("changes up to revision ", compacted,
                     " are no longer kept, asked for those after ", revision));
  }
  sqlite::Statement& rows = statements_->changes;
  const absl::Cleanup reset = [&rows] { rows.Reset(); };
  rows.Bind(1, revision).Bind(2, revision + limit);
  std::vector<Change> changes;
  size_t bytes = 0;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return changes;
    if (changes.empty() || changes.back().revision != rows.Int(0)) {
      if (bytes >= kMaxLogBytes) return changes;
      changes.emplace_back().revision = rows.Int(0);
    }
    Change::Item item;
    item.key.kind = static_cast<v1::Kind>(rows.Int(1));
    item.key.id = std::string(rows.Bytes(2));
    if (!rows.IsNull(3)) {
      auto object = std::make_shared<v1::Object>();
      const absl::string_view body = rows.Bytes(3);
      bytes += body.size();
      if (!object->ParseFromArray(body.data(), static_cast<int>(body.size()))) {
        return absl::DataLossError(
            absl::StrCat("the store's change ", rows.Int(0), " is damaged"));
      }
      item.object = std::move(object);
    }
    changes.back().items.push_back(std::move(item));
  }
}

absl::Status SqliteStore::Compact(int64_t revision) {
  sync::MutexLock lock(&mutex_);
  sqlite3* const database = database_.get();
  ASSIGN_OR_RETURN(const int64_t head, ReadMetaInt(database, "revision"));
  ASSIGN_OR_RETURN(const int64_t compacted,
                   ReadMetaInt(database, "compacted_revision"));
  if (revision <= compacted || revision > head) return absl::OkStatus();
  ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                   sqlite::Transaction::Begin(database));
  ASSIGN_OR_RETURN(sqlite::Statement statement,
                   sqlite::Statement::Prepare(
                       database, "DELETE FROM change WHERE revision<=?"));
  RETURN_IF_ERROR(statement.Bind(1, revision).Run());
  RETURN_IF_ERROR(
      WriteMeta(database, "compacted_revision", absl::StrCat(revision)));
  return transaction.Commit();
}

absl::StatusOr<int64_t> SqliteStore::RevisionBefore(absl::Time time) {
  sync::MutexLock lock(&mutex_);
  sqlite::Statement& find = statements_->revision_before;
  const absl::Cleanup reset = [&find] { find.Reset(); };
  ASSIGN_OR_RETURN(const bool row,
                   find.Bind(1, absl::ToUnixNanos(time)).Step());
  if (row) return find.Int(0) - 1;
  return ReadMetaInt(database_.get(), "revision");
}

absl::StatusOr<Store::AuditPage> SqliteStore::ReadAudit(
    const AuditQuery& query) {
  sync::MutexLock lock(&mutex_);
  return audit_->Read(query);
}

absl::StatusOr<int> SqliteStore::CompactAudit(absl::Time time, int limit) {
  sync::MutexLock lock(&mutex_);
  return audit_->Compact(time, limit);
}

absl::StatusOr<int64_t> SqliteStore::Backup(const std::string& path) {
  unlink(path.c_str());
  const int fd =
      open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    return absl::UnavailableError(absl::StrCat(path, ": ", strerror(errno)));
  }
  close(fd);
  absl::Cleanup remove = [&path] { unlink(path.c_str()); };
  ASSIGN_OR_RETURN(const sqlite::Database copy, sqlite::Open(path));
  RETURN_IF_ERROR(CopyTo(copy.get()));
  ASSIGN_OR_RETURN(const int64_t revision, FinishBackup(copy.get()));
  std::move(remove).Cancel();
  return revision;
}

absl::Status SqliteStore::CopyTo(sqlite3* copy) {
  sqlite3_backup* backup = nullptr;
  {
    sync::MutexLock lock(&mutex_);
    backup = sqlite3_backup_init(copy, "main", database_.get(), "main");
  }
  if (backup == nullptr) return sqlite::Error(copy, "backup");
  int result = SQLITE_OK;
  while (result == SQLITE_OK) {
    {
      // Commits between two steps write to the copy as well, since they are
      // made on the same connection.
      sync::MutexLock lock(&mutex_);
      result = sqlite3_backup_step(backup, kBackupStep);
    }
    if (result == SQLITE_OK) std::this_thread::sleep_for(kBackupPause);
  }
  sync::MutexLock lock(&mutex_);
  sqlite3_backup_finish(backup);
  if (result != SQLITE_DONE) return sqlite::Error(copy, "backup");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(
    const std::string& path) {
  absl::StatusOr<std::unique_ptr<Store>> store = SqliteStore::Open(path);
  if (!store.ok()) return InFile(store.status(), path);
  return store;
}

}  // namespace insula::tenant_registry
