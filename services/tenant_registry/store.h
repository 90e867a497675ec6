// Where the registry keeps its objects durably.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/tenant_registry/object.h"

namespace insula::tenant_registry {

// Objects, a log of their changes, an audit and remembered requests.
// Thread-safe. Every method may block. UNAVAILABLE: the medium fails (full, I/O
// error); DATA_LOSS: what is stored can't be right.
class Store {
 public:
  struct Head {
    std::string epoch;  // 32 hex digits, made with the store.
    int64_t revision = 0;
    // Changes up to here are no longer in the log.
    int64_t compacted_revision = 0;
  };

  // What one request did.
  struct Request {
    std::string id;      // Empty: not to be remembered.
    std::string digest;  // Of its content.
  };
  struct Entry {
    ChangePtr change;  // No items: nothing but the request is stored.
    std::vector<AuditRecord> audit;
    Request request;
  };

  // Where an audit is read from.
  struct AuditPosition {
    int64_t revision = 0;
    int64_t sequence = 0;  // Among the entries of the revision, from 0.
  };
  struct AuditQuery {
    AuditPosition from;                 // This entry and later ones.
    std::optional<ObjectKey> object;    // Of this object only.
    std::optional<std::string> tenant;  // Of what is or names this tenant.
    std::string actor;                  // Empty: anybody.
    int limit = 100;                    // Entries returned.
    int max_scan = 10'000;              // Entries looked at.
  };
  struct AuditPage {
    std::vector<v1::AuditEntry> entries;
    std::optional<AuditPosition> next;  // Where to go on; unset: at the end.
  };

  virtual ~Store() = default;

  // Calls `visit` with every object.
  virtual absl::StatusOr<Head> Load(
      const std::function<void(v1::Object)>& visit) = 0;

  // Calls `visit` with every identity of a former tenant.
  virtual absl::Status LoadRetirements(
      const std::function<void(const Retirement&)>& visit) = 0;

  // Forgets those retired at that time or earlier.
  virtual absl::Status ForgetRetirements(absl::Time until) = 0;

  // Stores a group of changes whole, on the medium when it returns, or none of
  // them. Their revisions are the next ones, one after the other.
  virtual absl::Status Commit(const std::vector<Entry>& group,
                              absl::Time now) = 0;

  // What a request of the last 24 h was answered with.
  struct Answer {
    int64_t revision = 0;
    std::string digest;
  };
  virtual absl::StatusOr<std::optional<Answer>> FindRequest(
      absl::string_view request_id, absl::Time now) = 0;

  // The oldest changes after `revision`, at most `limit` of them, and none more
  // once they have `kMaxLogBytes`. OUT_OF_RANGE if they are no longer in the
  // log.
  static constexpr size_t kMaxLogBytes = 4 << 20;
  virtual absl::StatusOr<std::vector<Change>> ChangesAfter(int64_t revision,
                                                           int limit) = 0;

  // Drops the changes up to `revision` from the log. Never goes back nor beyond
  // the present revision.
  virtual absl::Status Compact(int64_t revision) = 0;

  // The newest revision that was made before `time`, as far as the log tells;
  // the compacted one if none was.
  virtual absl::StatusOr<int64_t> RevisionBefore(absl::Time time) = 0;

  virtual absl::StatusOr<AuditPage> ReadAudit(const AuditQuery& query) = 0;

  // Drops at most `limit` of the oldest entries of before `time` from the
  // audit, and returns how many.
  virtual absl::StatusOr<int> CompactAudit(absl::Time time, int limit) = 0;

  // Writes a copy of one revision to a new file at `path`, which only its owner
  // may read, and returns the revision. Commits go on meanwhile. A store that
  // is opened on such a copy gets an epoch of its own.
  virtual absl::StatusOr<int64_t> Backup(const std::string& path) = 0;
};

}  // namespace insula::tenant_registry
