// What a store does not take at once waits on disk.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/metrics/metrics.h"
#include "libs/runtime/blocking_pool.h"
#include "libs/spool/spool.h"
#include "libs/time/clock.h"
#include "services/ingest_gateway/config.h"
#include "services/ingest_gateway/drain.h"
#include "services/ingest_gateway/routing.h"
#include "services/ingest_gateway/upstream_sender.h"

namespace insula::ingest_gateway {

struct Shipment;

// A spool, and a drain that empties it. Thread-safe.
class Queue {
 public:
  // Null if `config` says that there is none. The errors of Spool::Open().
  // Blocks. The rest outlives this.
  static absl::StatusOr<std::unique_ptr<Queue>> Open(
      const QueueConfig& config, Drain::SnapshotSource snapshot,
      UpstreamSender* sender, runtime::BlockingPool* blocking,
      boost::asio::any_io_executor executor, const Clock* clock,
      metrics::Registry* registry);
  // Ends sending, and waits for the disk.
  ~Queue();

  // Every part goes to disk before anything else.
  bool is_first() const { return is_first_; }
  // How long a store may take before its part is queued.
  absl::Duration direct_timeout() const { return direct_timeout_; }
  // Parts of the tenant wait, so that others must go behind them.
  bool HasBacklog(absl::string_view tenant_uid) const {
    return spool_->HasBacklog(tenant_uid);
  }
  // Nullopt: nothing of the tenant waits.
  std::optional<spool::Spool::Backlog> BacklogOf(
      absl::string_view tenant_uid) const {
    return spool_->BacklogOf(tenant_uid);
  }

  // Queues a part. kAccepted once it is durable, else kQueueFull or
  // kUnavailable. `shipment` lives until it ends.
  boost::asio::awaitable<Receipt> Keep(const Shipment* shipment);

  // For /readyz.
  absl::Status Ready() const { return spool_->Writable(); }

 private:
  Queue(const QueueConfig& config, std::unique_ptr<spool::Spool> spool,
        metrics::Registry* registry);

  const bool is_first_;
  const absl::Duration direct_timeout_;
  Metrics metrics_;
  const std::unique_ptr<spool::Spool> spool_;
  std::unique_ptr<Drain> drain_;
};

}  // namespace insula::ingest_gateway
