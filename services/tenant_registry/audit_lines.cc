#include "services/tenant_registry/audit_lines.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace insula::tenant_registry {
namespace {

std::string MethodOf(const v1::AuditEntry& entry) {
  if (entry.before_sha256().empty()) return "create";
  return entry.after_sha256().empty() ? "delete" : "update";
}

}  // namespace

audit::Event EventOf(const AuditRecord& record) {
  const v1::AuditEntry& entry = record.entry;
  audit::Event event;
  event.event = "change";
  event.decision = "allowed";
  event.method = MethodOf(entry);
  event.principal = entry.actor();
  event.source = entry.source();
  event.tenant = absl::StrJoin(record.tenants, ",");
  event.object = Name(KeyOf(entry.ref()));
  event.request_id = entry.request_id();
  event.revision = entry.revision();
  return event;
}

void WriteAuditLines(const std::vector<Store::Entry>& entries,
                     audit::AuditLog* log) {
  if (log == nullptr) return;
  for (const Store::Entry& entry : entries) {
    for (const AuditRecord& record : entry.audit) {
      log->WriteChange(EventOf(record));
    }
  }
}

}  // namespace insula::tenant_registry
