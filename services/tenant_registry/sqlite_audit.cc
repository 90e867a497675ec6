#include "services/tenant_registry/sqlite_audit.h"

#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/proto_time.h"

namespace insula::tenant_registry {
namespace {

// Marks the entries that concern a tenant in audit_subject. No object has it.
constexpr int64_t kConcernsTenant = v1::KIND_UNSPECIFIED;

constexpr char kColumns[] =
    "revision, sequence, at, actor, source, request_id, kind, id, before,"
    " after";

absl::Time ReadTime(const sqlite::Statement& row, int column) {
  return absl::FromUnixNanos(row.Int(column));
}

v1::AuditEntry ReadEntry(const sqlite::Statement& row) {
  v1::AuditEntry entry;
  entry.set_revision(row.Int(0));
  SetTimestamp(ReadTime(row, 2), entry.mutable_at());
  entry.set_actor(std::string(row.Bytes(3)));
  entry.set_source(std::string(row.Bytes(4)));
  entry.set_request_id(std::string(row.Bytes(5)));
  entry.mutable_ref()->set_kind(static_cast<v1::Kind>(row.Int(6)));
  entry.mutable_ref()->set_id(std::string(row.Bytes(7)));
  entry.set_before_sha256(std::string(row.Bytes(8)));
  entry.set_after_sha256(std::string(row.Bytes(9)));
  return entry;
}

}  // namespace

absl::StatusOr<SqliteAudit> SqliteAudit::Prepare(sqlite3* database) {
  auto prepare = [database](const std::string& sql) {
    return sqlite::Statement::Prepare(database, sql.c_str());
  };
  ASSIGN_OR_RETURN(sqlite::Statement insert,
                   prepare(absl::StrCat("INSERT INTO audit(", kColumns,
                                        ", tenants)"
                                        " VALUES(?,?,?,?,?,?,?,?,?,?,?)")));
  ASSIGN_OR_RETURN(sqlite::Statement insert_subject,
                   prepare("INSERT OR IGNORE INTO audit_subject"
                           "(kind, id, revision, sequence) VALUES(?,?,?,?)"));
  ASSIGN_OR_RETURN(sqlite::Statement remove,
                   prepare("DELETE FROM audit WHERE revision=?"
                           " AND sequence=?"));
  ASSIGN_OR_RETURN(sqlite::Statement remove_subject,
                   prepare("DELETE FROM audit_subject WHERE kind=? AND id=?"
                           " AND revision=? AND sequence=?"));
  ASSIGN_OR_RETURN(sqlite::Statement oldest,
                   prepare("SELECT revision, sequence, at, kind, id, tenants"
                           " FROM audit ORDER BY revision, sequence LIMIT ?"));
  ASSIGN_OR_RETURN(
      sqlite::Statement all,
      prepare(absl::StrCat("SELECT ", kColumns,
                           " FROM audit WHERE (revision, sequence)>=(?,?)"
                           " ORDER BY revision, sequence LIMIT ?")));
  ASSIGN_OR_RETURN(
      sqlite::Statement of_subject,
      prepare(absl::StrCat(
          "SELECT a.", absl::StrJoin(absl::StrSplit(kColumns, ", "), ", a."),
          " FROM audit_subject s JOIN audit a USING(revision, sequence)"
          " WHERE (s.revision, s.sequence)>=(?,?) AND s.kind=? AND s.id=?"
          " ORDER BY s.revision, s.sequence LIMIT ?")));
  return SqliteAudit(
      database,
      Statements{std::move(insert), std::move(insert_subject),
                 std::move(remove), std::move(remove_subject),
                 std::move(oldest), std::move(all), std::move(of_subject)});
}

absl::Status SqliteAudit::WriteSubject(int64_t kind, const std::string& id,
                                       int64_t revision, int64_t sequence) {
  return statements_.insert_subject.Bind(1, kind)
      .Bind(2, id)
      .Bind(3, revision)
      .Bind(4, sequence)
      .Run();
}

absl::Status SqliteAudit::Write(const AuditRecord& record, int64_t sequence) {
  const v1::AuditEntry& entry = record.entry;
  const std::string tenants = absl::StrJoin(record.tenants, "\n");
  sqlite::Statement& insert = statements_.insert;
  insert.Bind(1, entry.revision()).Bind(2, sequence);
  insert.Bind(3, absl::ToUnixNanos(ToTime(entry.at()))).Bind(4, entry.actor());
  insert.Bind(5, entry.source()).Bind(6, entry.request_id());
  insert.Bind(7, int64_t{entry.ref().kind()}).Bind(8, entry.ref().id());
  if (!entry.before_sha256().empty()) {
    insert.BindBlob(9, entry.before_sha256());
  }
  if (!entry.after_sha256().empty()) {
    insert.BindBlob(10, entry.after_sha256());
  }
  RETURN_IF_ERROR(insert.Bind(11, tenants).Run());
  RETURN_IF_ERROR(WriteSubject(entry.ref().kind(), entry.ref().id(),
                               entry.revision(), sequence));
  for (const std::string& tenant : record.tenants) {
    RETURN_IF_ERROR(
        WriteSubject(kConcernsTenant, tenant, entry.revision(), sequence));
  }
  return absl::OkStatus();
}

absl::StatusOr<Store::AuditPage> SqliteAudit::Read(
    const Store::AuditQuery& query) {
  const bool has_subject = query.object.has_value() || query.tenant.has_value();
  sqlite::Statement& rows =
      has_subject ? statements_.of_subject : statements_.all;
  const absl::Cleanup reset = [&rows] { rows.Reset(); };
  rows.Bind(1, query.from.revision).Bind(2, query.from.sequence);
  if (query.object.has_value()) {
    rows.Bind(3, int64_t{query.object->kind}).Bind(4, query.object->id);
  } else if (query.tenant.has_value()) {
    rows.Bind(3, kConcernsTenant).Bind(4, *query.tenant);
  }
  // One more, to know where to go on.
  rows.Bind(has_subject ? 5 : 3, int64_t{query.max_scan} + 1);
  Store::AuditPage page;
  for (int scanned = 0;; ++scanned) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return page;
    if (scanned == query.max_scan ||
        page.entries.size() == static_cast<size_t>(query.limit)) {
      page.next = Store::AuditPosition{rows.Int(0), rows.Int(1)};
      return page;
    }
    if (query.actor.empty() || rows.Bytes(3) == query.actor) {
      page.entries.push_back(ReadEntry(rows));
    }
  }
}

absl::StatusOr<int> SqliteAudit::Compact(absl::Time before, int limit) {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                   sqlite::Transaction::Begin(database_));
  ASSIGN_OR_RETURN(const int removed, RemoveOldest(before, limit));
  RETURN_IF_ERROR(transaction.Commit());
  return removed;
}

absl::StatusOr<int> SqliteAudit::RemoveOldest(absl::Time before, int limit) {
  struct Subject {
    int64_t kind;
    std::string id;
  };
  struct Row {
    int64_t revision = 0;
    int64_t sequence = 0;
    std::vector<Subject> subjects;
  };
  std::vector<Row> old;
  {
    sqlite::Statement& rows = statements_.oldest;
    const absl::Cleanup reset = [&rows] { rows.Reset(); };
    rows.Bind(1, int64_t{limit});
    while (true) {
      ASSIGN_OR_RETURN(const bool more, rows.Step());
      if (!more || ReadTime(rows, 2) >= before) break;
      Row& row = old.emplace_back();
      row.revision = rows.Int(0);
      row.sequence = rows.Int(1);
      row.subjects.push_back({rows.Int(3), std::string(rows.Bytes(4))});
      for (absl::string_view tenant :
           absl::StrSplit(rows.Bytes(5), '\n', absl::SkipEmpty())) {
        row.subjects.push_back({kConcernsTenant, std::string(tenant)});
      }
    }
  }
  for (const Row& row : old) {
    for (const Subject& subject : row.subjects) {
      statements_.remove_subject.Bind(1, subject.kind).Bind(2, subject.id);
      statements_.remove_subject.Bind(3, row.revision).Bind(4, row.sequence);
      RETURN_IF_ERROR(statements_.remove_subject.Run());
    }
    statements_.remove.Bind(1, row.revision).Bind(2, row.sequence);
    RETURN_IF_ERROR(statements_.remove.Run());
  }
  return static_cast<int>(old.size());
}

}  // namespace insula::tenant_registry
