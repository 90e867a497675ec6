#include "services/tenant_registry/sqlite_retired.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/digest.h"

namespace insula::tenant_registry {
namespace {

constexpr size_t kUidBytes = 16;

// An identity as a Tenant that has nothing else.
std::string Encode(const StoreIdentity& identity) {
  v1::Tenant tenant;
  tenant.set_org_id(identity.org_id);
  tenant.mutable_enforced_labels()->insert(identity.labels.begin(),
                                           identity.labels.end());
  return CanonicalBytes(tenant);
}

bool Decode(absl::string_view bytes, StoreIdentity* identity) {
  v1::Tenant tenant;
  if (!tenant.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return false;
  }
  identity->org_id = tenant.org_id();
  identity->labels.insert(tenant.enforced_labels().begin(),
                          tenant.enforced_labels().end());
  return identity->org_id.empty() != identity->labels.empty();
}

}  // namespace

absl::StatusOr<SqliteRetired> SqliteRetired::Prepare(sqlite3* database) {
  ASSIGN_OR_RETURN(sqlite::Statement put,
                   sqlite::Statement::Prepare(
                       database,
                       "INSERT OR REPLACE INTO retired"
                       "(identity, tenant, uid, at) VALUES(?,?,?,?)"));
  ASSIGN_OR_RETURN(sqlite::Statement remove,
                   sqlite::Statement::Prepare(
                       database, "DELETE FROM retired WHERE identity=?"));
  ASSIGN_OR_RETURN(
      sqlite::Statement forget,
      sqlite::Statement::Prepare(database, "DELETE FROM retired WHERE at<=?"));
  return SqliteRetired(std::move(put), std::move(remove), std::move(forget));
}

absl::Status SqliteRetired::Write(const Retirement& retirement) {
  const std::string identity = Encode(retirement.identity);
  if (!retirement.former.has_value()) {
    return remove_.BindBlob(1, identity).Run();
  }
  put_.BindBlob(1, identity).Bind(2, retirement.former->id);
  put_.BindBlob(3, retirement.former->uid);
  return put_.Bind(4, absl::ToUnixNanos(retirement.former->at)).Run();
}

absl::Status SqliteRetired::Forget(absl::Time until) {
  return forget_.Bind(1, absl::ToUnixNanos(until)).Run();
}

absl::Status SqliteRetired::Load(
    sqlite3* database, const std::function<void(const Retirement&)>& visit) {
  ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      sqlite::Statement::Prepare(
          database, "SELECT identity, tenant, uid, at FROM retired"));
  while (true) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return absl::OkStatus();
    Retirement retirement;
    FormerTenant& former = retirement.former.emplace();
    former.id = std::string(rows.Bytes(1));
    former.uid = std::string(rows.Bytes(2));
    former.at = absl::FromUnixNanos(rows.Int(3));
    if (!Decode(rows.Bytes(0), &retirement.identity) ||
        former.uid.size() != kUidBytes) {
      return absl::DataLossError(
          absl::StrCat("what the store remembers of the former tenant '",
                       former.id, "' is damaged"));
    }
    visit(retirement);
  }
}

}  // namespace insula::tenant_registry
