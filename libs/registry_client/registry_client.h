// Follows the tenant-registry and keeps an immutable, indexed copy of it.
//
// The last good copy is kept on disk and served at once at start, for as long
// as the registry is away. A copy is never replaced by an older one of the same
// epoch, nor by an empty one or one of another epoch that nobody asked for. The
// registry says what the copy must hold; one that differs is replaced.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/config/config.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/tls.h"
#include "libs/tenancy/snapshot.h"

namespace insula::registry_client {

struct Options {
  std::string address = "127.0.0.1:9701";  // gRPC, host:port.
  // Names this follower in Status, and its lease: ClientId("...").
  std::string client_id;
  // Of the lease: where other processes reach this one, host:port, and which
  // place it is at. Empty: not said.
  std::string advertise_address;
  std::string zone;
  std::string state_dir;        // For the last good copy; empty: none.
  std::optional<rpc::Tls> tls;  // Unset: plain text.
  // Not ready when the registry has been silent for longer. 0: never.
  absl::Duration max_staleness = absl::ZeroDuration();
  // A registry that says nothing for so long is connected to anew. It sends a
  // sign of life every few seconds.
  absl::Duration silence_timeout = absl::Seconds(15);
  // Take over a registry of another epoch or an emptied one. Otherwise such a
  // registry is refused, and the last good copy stays.
  bool accept_new_epoch = false;

  void Describe(config::Fields& fields);  // All but client_id and tls.
  absl::Status Validate() const;
};

// "SERVICE/HOST", HOST being this host's name: how a service names itself to
// the registry, so that replicas are told apart.
std::string ClientId(absl::string_view service);

// Thread-safe. Metrics: insula_registry_revision, insula_registry_objects,
// insula_registry_staleness_seconds, insula_registry_connected,
// insula_registry_changes_total, insula_registry_rejected_objects,
// insula_registry_skipped_objects_total,
// insula_registry_refused_snapshots_total{reason},
// insula_registry_disconnects_total, insula_registry_save_failures_total,
// insula_registry_lease_held, insula_registry_lease_failures_total, and with
// TLS those of libs/tls/followed_files.h.
//
// Once there is a copy, it also keeps a lease: an Instance in the registry, by
// which followers of that kind know that this process is there.
class RegistryClient {
 public:
  // Loads the last good copy, if any, then follows in the background. `kinds`
  // are those that the service uses; none: all. INVALID_ARGUMENT for bad
  // options or TLS files; a registry that can't be reached is no error, nor is
  // a last good copy that can't be read. `metrics` outlives `executor`, which
  // runs until the client is destroyed.
  static absl::StatusOr<std::unique_ptr<RegistryClient>> Start(
      Options options, std::vector<registry::v1::Kind> kinds,
      boost::asio::any_io_executor executor, metrics::Registry* metrics);

  // Ends the lease and the stream, and saves what is not saved yet. Waits for
  // all that, so it must not run on `executor`. No listener runs when it
  // returns.
  ~RegistryClient();
  RegistryClient(const RegistryClient&) = delete;
  RegistryClient& operator=(const RegistryClient&) = delete;

  // The present copy; never null. Cheap: copies a shared_ptr under a lock that
  // is held for nothing else.
  std::shared_ptr<const tenancy::Snapshot> snapshot() const;

  // For /readyz: OK once there is a copy that is not too stale.
  absl::Status Ready() const;

  // Ends the lease, when the process begins to drain.
  void EndLease();

  // Calls `listener` with each new copy, from the executor and one call at a
  // time, until the client is destroyed; first with the present one. It must be
  // quick: the next copy waits for it.
  void OnChange(
      std::function<void(const std::shared_ptr<const tenancy::Snapshot>&)>
          listener);

 private:
  class Impl;
  explicit RegistryClient(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace insula::registry_client
