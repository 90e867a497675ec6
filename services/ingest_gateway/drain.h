// Empties the queues on disk into the stores of their tenants.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/metrics/metrics.h"
#include "libs/runtime/blocking_pool.h"
#include "libs/spool/spool.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/backoff.h"
#include "services/ingest_gateway/metrics.h"
#include "services/ingest_gateway/upstream_sender.h"

namespace insula::ingest_gateway {

// Tenants take turns, each for about as many bytes (deficit round robin), so
// that a long queue delays no other. A tenant has one part on its way at a time
// and waits for the answer: its parts arrive in order. No upstream has more
// than a quarter of the turns at once, so that one that hangs leaves room for
// others. What fails retryably waits, 100 ms to 30 s, longer each time, or as
// the store's Retry-After says, up to 5 min. What a store refuses for good is
// dropped and counted.
//
// A part belongs to the tenant that it was taken for. Where that tenant's store
// is, the registry says at the time of sending: a tenant that moves takes its
// queue along. Parts of a tenant that is deleted are dropped once it has been
// gone for `deleted_tenant_grace`; a tenant made again under its id is another.
//
// Thread-safe.
class Drain {
 public:
  using SnapshotSource =
      std::function<std::shared_ptr<const tenancy::Snapshot>()>;

  struct Options {
    int max_parallel = 32;         // Tenants with a turn at once.
    uint64_t quantum = 512 << 10;  // Bytes of a turn.
    absl::Duration send_timeout = absl::Seconds(30);
    absl::Duration deleted_tenant_grace = absl::Minutes(1);
  };

  // Begins with what is in `spool`. All outlive this.
  Drain(Options options, spool::Spool* spool, SnapshotSource snapshot,
        UpstreamSender* sender, runtime::BlockingPool* blocking,
        boost::asio::any_io_executor executor, Metrics* metrics,
        metrics::Registry* registry);
  // Gives up what is on its way, and does not wait for any store. Not to be
  // called on the executor.
  ~Drain();

  // The tenant has something to send, to that upstream as far as is known.
  void Kick(absl::string_view tenant_uid, absl::string_view upstream_id)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Strand = boost::asio::strand<boost::asio::any_io_executor>;
  // A turn that runs.
  struct Turn {
    explicit Turn(Strand on) : strand(std::move(on)) {}
    Strand strand;
    boost::asio::cancellation_signal cancel;  // On the strand.
    std::string upstream;                     // That it is counted for.
  };
  // A tenant that has something to send.
  struct Lane {
    std::shared_ptr<Turn> turn;  // Null: it waits.
    std::string upstream;        // Id of where its last part went.
    bool ready = false;          // In ready_.
    absl::Time not_before = absl::InfinitePast();  // By SteadyClock.
    absl::Time missing_since = absl::InfiniteFuture();
    int64_t credit = 0;  // Bytes it may send; less than 0: it sent too many.
    Backoff backoff{Backoff::Options()};
  };
  // What a turn comes to.
  struct Outcome {
    uint64_t through = 0;  // Delivered up to here, and not removed yet.
    int64_t bytes = 0;     // Sent.
    absl::Duration wait = absl::ZeroDuration();
    bool failed = false;  // Wait at least the backoff.
    bool drop_tenant = false;
  };
  enum class Step { kNext, kStop };

  void MakeReady(const std::string& uid, Lane* lane)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Dispatch() ABSL_LOCKS_EXCLUDED(mutex_);
  void Start(const std::string& uid, std::shared_ptr<Turn> turn);
  void Finish(const std::string& uid, const Outcome& outcome)
      ABSL_LOCKS_EXCLUDED(mutex_);
  boost::asio::awaitable<void> Tick();
  boost::asio::awaitable<Outcome> Run(std::string uid);
  boost::asio::awaitable<Receipt> Send(const spool::Record* record,
                                       const tenancy::Tenant* tenant,
                                       const tenancy::Upstream* upstream);
  boost::asio::awaitable<Step> SendOne(const spool::Spool::Stored* stored,
                                       Outcome* outcome);
  // Why the part can't be sent now, or where to.
  struct Destination {
    std::shared_ptr<const tenancy::Snapshot> snapshot;
    const tenancy::Tenant* tenant = nullptr;
    const tenancy::Upstream* upstream = nullptr;
  };
  std::optional<Destination> Find(const spool::Record& record, Outcome* outcome)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Blocking work, again and again while the pool is full.
  boost::asio::awaitable<absl::Status> Block(
      std::function<absl::Status()> work);
  bool stopping() const ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  spool::Spool* const spool_;
  const SnapshotSource snapshot_;
  UpstreamSender* const sender_;
  runtime::BlockingPool* const blocking_;
  const boost::asio::any_io_executor executor_;
  Metrics* const metrics_;
  metrics::Counter& delivered_;
  metrics::Counter& retried_;

  mutable sync::Mutex mutex_;
  std::condition_variable_any ended_;
  absl::flat_hash_map<std::string, Lane> lanes_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> ready_ ABSL_GUARDED_BY(mutex_);
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<std::string, int> running_for_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool ticking_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Time warned_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();

  Strand tick_strand_;
  boost::asio::steady_timer tick_timer_;  // On tick_strand_.
};

}  // namespace insula::ingest_gateway
