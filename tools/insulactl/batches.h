// Many changes as requests that the registry takes, and their sending.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/resources/resource_file.h"

namespace insula::insulactl {

namespace v1 = ::insula::registry::v1;

// Puts of the objects, of which those that others name come first; one request
// for all of them if they are no more than 50, of together no more than 900
// KiB.
std::vector<v1::ApplyRequest> PutBatches(
    const std::vector<resources::Resource>& resources);

// Deletions in the opposite order.
std::vector<v1::ApplyRequest> DeleteBatches(
    std::vector<resources::ObjectKey> keys);

struct CheckBatches {
  // Each of them has all that its objects name, as far as it is among the
  // resources: it can be checked while none of them is there. An object may be
  // in several.
  std::vector<v1::ApplyRequest> requests;
  // Objects that don't fit one request together with what they name.
  std::vector<std::string> too_large;
};
CheckBatches MakeCheckBatches(
    const std::vector<resources::Resource>& resources);

struct SendOptions {
  // Sends one request.
  std::function<absl::StatusOr<v1::ApplyResponse>(const v1::ApplyRequest&,
                                                  absl::Time deadline)>
      send;
  // Waits. False: it was interrupted.
  std::function<bool(absl::Duration)> wait;
  // Called after each request with how many have been answered.
  std::function<void(size_t answered)> progress;
  // Told once, why a request has to be sent again.
  std::function<void(const absl::Status&)> retrying;
  // For one request and its repetitions.
  absl::Duration timeout = absl::Seconds(30);
  // Of this sending alone; the ids of its requests begin with it.
  std::string id;
};

struct SendResult {
  size_t requests = 0;    // That took effect.
  size_t operations = 0;  // Of those.
  int64_t revision = 0;   // Of the last one.
  // Why each of the others was refused.
  std::vector<absl::Status> refused;
  // Set if not all of them could be sent: UNAVAILABLE, DEADLINE_EXCEEDED,
  // CANCELLED if interrupted.
  absl::Status failure;
};

// Sends the requests one after the other. One that may have been lost is sent
// again with the same id, which never does it twice. One that is refused for
// what other objects are is tried again when others took effect; the rest goes
// on meanwhile. An interruption lets the one on its way end.
SendResult Send(std::vector<v1::ApplyRequest> requests,
                const SendOptions& options);

// 32 hex digits at random.
std::string RandomId();

}  // namespace insula::insulactl
