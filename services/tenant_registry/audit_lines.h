// The audit of changes as events for other programs.
#pragma once

#include <vector>

#include "libs/audit/audit_log.h"
#include "services/tenant_registry/object.h"
#include "services/tenant_registry/store.h"

namespace insula::tenant_registry {

// What a line of the audit says of a change. Nothing of what is in the object.
audit::Event EventOf(const AuditRecord& record);

// Writes an event for each change in `entries`, which are stored. `log` may be
// null.
void WriteAuditLines(const std::vector<Store::Entry>& entries,
                     audit::AuditLog* log);

}  // namespace insula::tenant_registry
