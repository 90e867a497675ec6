// A durable queue for each tenant, on the local disk.
//
// One store holds the queues of all tenants. What Append() has confirmed is on
// the disk, and is handed out by Read() in the order it came, again and again
// until it is removed; after a crash also what was removed a moment before it,
// so records arrive once or more. Parts that come while the disk syncs share
// the next sync.
//
//   ASSIGN_OR_RETURN(auto spool, Spool::Open(options, &clock, &registry));
//   spool->Append(std::move(record), {}, [](absl::Status durable) { ... });
//   ASSIGN_OR_RETURN(auto records, spool->Read(uid, 256 << 10));
//   ... deliver them ...
//   spool->Remove(uid, records.back().sequence);
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/metrics/metrics.h"
#include "libs/spool/record.h"
#include "libs/time/clock.h"

namespace insula::spool {

// Thread-safe. A directory belongs to one Spool in one process.
//
// Bounds: of bytes and records by Options; the memory of the store is about 60
// MiB, and 32 bytes a record. The files take up to twice max_bytes, and 128
// MiB.
//
// When the disk is full or fails, nothing is taken (UNAVAILABLE) until a new
// attempt, made every second, succeeds; what is there can be read meanwhile.
// Damaged records are left out and counted. A store that is damaged as a whole
// is moved to quarantine/, as are files that are not the spool's, and the sound
// records are taken out of it.
//
// Metrics: insula_spool_bytes, insula_spool_records, insula_spool_tenants,
// insula_spool_oldest_seconds, insula_spool_disk_bytes, insula_spool_writable,
// insula_spool_appended_records_total, insula_spool_refused_records_total
// {reason}, insula_spool_dropped_records_total{reason},
// insula_spool_dropped_samples_total{reason}, insula_spool_commit_seconds,
// insula_spool_quarantined_total, insula_spool_reopened_total.
class Spool {
 public:
  struct Options {
    std::string directory;
    uint64_t max_bytes = uint64_t{10} << 30;  // Of all tenants.
    uint64_t max_tenant_bytes = uint64_t{1} << 30;
    int64_t max_records = 1'000'000;               // Of all tenants.
    absl::Duration max_age = absl::Hours(2);       // Older ones are dropped.
    uint64_t min_free_bytes = uint64_t{64} << 20;  // Left free on the disk.
    // Appends that wait for the disk.
    uint64_t max_waiting_bytes = uint64_t{64} << 20;
    // False: confirm what is written and may be lost in a power cut. For
    // measurements, and for tests that must notice.
    bool sync = true;
    // For ages, so that a wall clock that jumps makes nothing older.
    const Clock* steady_clock = SteadyClock::Get();
  };

  // Of the tenant that a record is of.
  struct Quota {
    uint64_t max_bytes = 0;  // 0: Options::max_tenant_bytes.
    bool drop_oldest = false;
  };

  struct Stored {
    uint64_t sequence = 0;
    Record record;
  };

  // Why records go without having been delivered.
  enum class Drop {
    kTooOld,
    kFull,        // For newer ones, by Quota::drop_oldest.
    kTenantGone,  // DropTenant().
    kDamaged,
    kRefused,  // For good, by who should have taken them.
  };

  struct Backlog {
    std::string tenant_uid;
    uint64_t bytes = 0;
    int64_t records = 0;
    absl::Time oldest;
  };

  // Blocks. ALREADY_EXISTS: another process has the directory.
  // FAILED_PRECONDITION: it is of a later release. Codes of errno. A full or
  // failing disk is no error here: nothing is taken until it is well.
  static absl::StatusOr<std::unique_ptr<Spool>> Open(
      Options options, const Clock* clock, metrics::Registry* metrics);
  // What waits for the disk is written before.
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  // Calls `done`, on a thread of the spool or the caller's, once the record is
  // durable or not. `done` must not block. RESOURCE_EXHAUSTED: the tenant's
  // quota, or that of all, is used up. UNAVAILABLE: it can't be written now.
  // INVALID_ARGUMENT: the uid is none, or the record is larger than the quota.
  void Append(Record record, Quota quota,
              std::function<void(absl::Status)> done);

  // Whether the tenant has records, or some are about to be. Cheap.
  bool HasBacklog(absl::string_view tenant_uid) const;
  std::optional<Backlog> BacklogOf(absl::string_view tenant_uid) const;
  // Of every tenant that has any.
  std::vector<Backlog> Backlogs() const;

  // The oldest records of a tenant, in order: at least one, further ones up to
  // `max_bytes`. Damaged ones are left out and dropped. Blocks. NOT_FOUND if
  // there is none, UNAVAILABLE if they can't be read now.
  absl::StatusOr<std::vector<Stored>> Read(absl::string_view tenant_uid,
                                           uint64_t max_bytes);

  // Forgets the tenant's records up to that one. Blocks, but does not sync. An
  // error means that it is done for now, and is made durable before the next
  // record is.
  absl::Status Remove(absl::string_view tenant_uid, uint64_t through);

  // The same, counted as dropped.
  absl::Status Discard(Drop reason, absl::string_view tenant_uid,
                       uint64_t through);

  // All records of a tenant, as after its deletion. Blocks.
  absl::Status DropTenant(absl::string_view tenant_uid);

  // Whether an Append() could succeed now; why not.
  absl::Status Writable() const;

  // Drops what is too old, tries a store that failed again, gives back space.
  // Runs every second by itself; for tests.
  void Tend();

 private:
  class Impl;
  explicit Spool(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace insula::spool
