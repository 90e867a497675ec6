#include "libs/rpc/refused_call.h"

namespace insula::rpc {

OnRefused AuditRefusals(audit::AuditLog* log) {
  if (log == nullptr) return nullptr;
  return [log](const RefusedCall& call) {
    audit::Event event;
    event.event = "call";
    event.decision = "refused";
    event.code = absl::StatusCodeToString(call.code);
    event.method = call.method;
    event.principal = call.caller;
    event.request_id = call.request_id;
    log->WriteRefusal(event);
  };
}

}  // namespace insula::rpc
