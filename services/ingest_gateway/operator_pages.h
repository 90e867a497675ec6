// What the ingest-gateway tells its operators of tenants, as pages of the admin
// server and over gRPC.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/ingest/v1/ingest.pb.h"
#include "libs/limits/refusals.h"
#include "libs/runtime/process.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/clock.h"
#include "services/ingest_gateway/config.h"
#include "services/ingest_gateway/usage.h"

namespace insula::ingest_gateway {

// What other parts know of a tenant. What is not set is not known.
struct TenantState {
  std::optional<int64_t> active_series;
  std::optional<int64_t> queued_bytes;
  std::optional<absl::Duration> queue_lag;
};

// Thread-safe. Texts of senders are in it, made valid UTF-8 and escaped as JSON
// demands.
class OperatorPages {
 public:
  using SnapshotSource =
      std::function<std::shared_ptr<const tenancy::Snapshot>()>;

  struct Sources {
    SnapshotSource snapshots;
    // By the tenant's uid. May be empty. Must not block.
    std::function<TenantState(absl::string_view uid)> state;
  };

  // All pointers outlive this.
  OperatorPages(const WriteConfig& config, Sources sources, const Clock* clock,
                const Usage* usage, const limits::Refusals* refusals);

  // See the proto. INVALID_ARGUMENT names the field.
  absl::StatusOr<ingest::v1::UsageResponse> TellUsage(
      const ingest::v1::UsageRequest& request) const;

  // The pages, for the text after '?':
  //
  //   /debug/tenants             what tenants send, those with most first
  //   /debug/tenants?tenant=T    of one
  //   /debug/rejected            of whom there are refusals, the last first
  //   /debug/rejected?tenant=T   the last 100 of a tenant; of `tenant=` those
  //                              that belong to no tenant
  //   /debug/why?binding=B&series=up{namespace="red"}
  //                              what would become of a series; with `tenant`
  //                              in place of `binding`, or beside it, as
  //                              WhyRequest has it
  absl::StatusOr<std::string> Tenants(absl::string_view query) const;
  absl::StatusOr<std::string> Rejected(absl::string_view query) const;
  absl::StatusOr<std::string> Why(absl::string_view query) const;

  // Adds the pages to the admin server. This must live until the signal.
  void AddTo(runtime::Process* process) const;

 private:
  const WriteConfig config_;
  const Sources sources_;
  const Clock* const clock_;
  const Usage* const usage_;
  const limits::Refusals* const refusals_;
};

}  // namespace insula::ingest_gateway
