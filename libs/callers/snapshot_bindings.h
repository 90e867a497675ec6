// The bindings of those who call gRPC with a certificate, from a copy of the
// registry.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/rpc/callers.h"
#include "libs/tenancy/fact.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/clock.h"

namespace insula::callers {

// What a binding may know a certificate with these names by.
std::vector<tenancy::FactKey> FactKeysOf(const rpc::PeerNames& names);

// The answer by the bindings of `snapshot`. A binding is void from its
// not_after on. Each counts for itself: a role of one and a tenant of another
// make nothing together.
rpc::CallerBindings::Answer FindIn(const tenancy::Snapshot& snapshot,
                                   const rpc::PeerNames& names,
                                   registry::v1::Role role,
                                   absl::string_view tenant_id, absl::Time now);

// Looks at the present copy for each question, so that a binding that is taken
// away gives nothing to the next call.
class SnapshotBindings final : public rpc::CallerBindings {
 public:
  using SnapshotSource =
      std::function<std::shared_ptr<const tenancy::Snapshot>()>;

  // `clock` outlives it. The copies have the bindings of the registry.
  SnapshotBindings(SnapshotSource snapshots, const Clock* clock);

  absl::StatusOr<Answer> Find(const rpc::PeerNames& names,
                              registry::v1::Role role,
                              absl::string_view tenant_id) const override;

 private:
  const SnapshotSource snapshots_;
  const Clock& clock_;
};

}  // namespace insula::callers
