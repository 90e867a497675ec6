// What a tenant may send in a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/limits/keyed_token_buckets.h"
#include "libs/remote_write/reason.h"
#include "libs/remote_write/splitter.h"
#include "libs/tenancy/snapshot.h"

namespace insula::ingest_gateway {

// Holds the parts of writes against the limits of their tenants: series of a
// write, requests, bytes and samples a second, in this order. All limits are
// those of the call, so a change takes effect at once. Thread-safe.
class TenantRates {
 public:
  // Why a part is over a limit.
  struct Excess {
    remote_write::Reason reason;
    double limit = 0;
    // When it may be sent again; zero: never, as it is.
    absl::Duration wait = absl::ZeroDuration();
  };

  // Takes a part of `tenant` into account, whose series have `bytes` bytes
  // before compression, or none of it.
  std::optional<Excess> Take(absl::string_view tenant_uid,
                             const tenancy::v1::Limits& limits,
                             const remote_write::Counts& counts, size_t bytes,
                             absl::Time now);

 private:
  limits::KeyedTokenBuckets requests_;
  limits::KeyedTokenBuckets bytes_;
  limits::KeyedTokenBuckets samples_;
};

}  // namespace insula::ingest_gateway
