// Calls the tenant-registry.
#pragma once

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.pb.h"
#include "tools/insulactl/globals.h"
#include "tools/insulactl/interrupt.h"

namespace insula::insulactl {

namespace v1 = ::insula::registry::v1;

// Each call blocks, at most for the timeout unless it is told otherwise, and
// ends as CANCELLED when it is interrupted. Errors are the registry's, and
// those of the connection: UNAVAILABLE, DEADLINE_EXCEEDED. Not thread-safe.
class Client {
 public:
  // `interrupt` outlives the client. INVALID_ARGUMENT: the server is no
  // HOST:PORT, or a file of TLS can't be used.
  static absl::StatusOr<std::unique_ptr<Client>> Make(const Globals& globals,
                                                      Interrupt* interrupt);
  ~Client();

  absl::StatusOr<v1::GetResponse> Get(const v1::GetRequest& request);
  absl::StatusOr<v1::ListResponse> List(const v1::ListRequest& request);
  absl::StatusOr<v1::StatusResponse> Status();
  absl::StatusOr<v1::ListAuditResponse> ListAudit(
      const v1::ListAuditRequest& request);
  absl::StatusOr<v1::ResolveResponse> Resolve(
      const v1::ResolveRequest& request);

  // Is not interrupted: the change may go on all the same, and then nobody
  // knows.
  absl::StatusOr<v1::ApplyResponse> Apply(const v1::ApplyRequest& request,
                                          absl::Time deadline);

  // Calls `take` with each message until it returns false, and acknowledges
  // what it has taken. OK: `take` has had enough. Without a deadline.
  absl::Status Watch(const v1::Subscribe& subscribe,
                     absl::FunctionRef<bool(const v1::WatchResponse&)> take);

  // Calls `take` with each piece, and ends with the first error of it. Without
  // a deadline.
  absl::Status Backup(
      absl::FunctionRef<absl::Status(const v1::BackupResponse&)> take);

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace insula::insulactl
