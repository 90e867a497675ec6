// Sends parts of writes to stores.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/http/message.h"
#include "libs/http/url.h"
#include "libs/metrics/metrics.h"
#include "libs/remote_write/splitter.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/backoff.h"
#include "libs/time/clock.h"
#include "services/ingest_gateway/dead_letters.h"
#include "services/ingest_gateway/metrics.h"
#include "services/ingest_gateway/store_client.h"

namespace insula::ingest_gateway {

// What became of a part.
struct Receipt {
  enum class Verdict {
    kAccepted,     // By the store, or durable in the queue.
    kRefused,      // For good.
    kSlowDown,     // 429.
    kQueueFull,    // Not accepted by the store, and there is no room to queue.
    kUnavailable,  // Later, perhaps: no answer in time, 5xx.
  };
  Verdict verdict = Verdict::kUnavailable;
  bool queued = false;  // Accepted by the queue, not by the store yet.
  // What the store says it has written, if it got remote write 2.0.
  std::optional<remote_write::Counts> written = {};
  std::string detail;  // Of what is not accepted.
  absl::Duration retry_after = absl::ZeroDuration();  // If the store said so.
};

// The verdict on a part by a store's answer, or by why there is none.
Receipt MakeReceipt(const absl::StatusOr<http::Response>& answer,
                    absl::Time now);

// Which of an upstream's URLs are well, as far as writes have shown. A URL that
// did not answer `kMaxFailures` writes in a row is down for a while, longer
// each time; then one write tries it. Thread-safe.
class UpstreamHealth {
 public:
  static constexpr int kMaxFailures = 5;

  explicit UpstreamHealth(const Clock* clock) : clock_(clock) {}

  // Whether there is one that is not down.
  bool IsWell(const tenancy::Upstream& upstream) ABSL_LOCKS_EXCLUDED(mutex_);

  // The URL for the next write: they take turns, and those that are down are
  // left out, unless all are. Then it is the one that is due first.
  std::string Pick(const tenancy::Upstream& upstream)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Whether a write to `url` was answered; anything is an answer.
  void Note(absl::string_view url, bool answered) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Trouble {
    int failures = 0;  // In a row.
    absl::Time down_until = absl::InfinitePast();
    Backoff backoff{
        {.initial = absl::Seconds(1), .maximum = absl::Seconds(30)}};
  };
  absl::Time DownUntil(absl::string_view url) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock* const clock_;
  sync::Mutex mutex_;
  // URLs of the registry that fail, so there are no more than it has.
  absl::flat_hash_map<std::string, Trouble> troubles_ ABSL_GUARDED_BY(mutex_);
  uint64_t turn_ ABSL_GUARDED_BY(mutex_) = 0;
};

// All writes to stores go through one of these, which remembers how each store
// fares. Thread-safe.
class UpstreamSender {
 public:
  // `user_agent`: "insula/0.1.0". The rest outlives this. `dead_letters` gets
  // what is refused for good; it may be null.
  UpstreamSender(std::string user_agent, http::Client* client,
                 const Clock* clock, metrics::Registry* registry,
                 DeadLetters* dead_letters = nullptr);

  // Sends a WriteRequest of remote write 1.0 with `counts` in a snappy block,
  // as the protocol that the store takes (see StoreClient), until the
  // upstream's timeout or `deadline`. The request is built from nothing. Its
  // arguments live until it ends. `write_url`, which may be null, is that of
  // the upstream, parsed. A cancelled coroutine gets kUnavailable at once.
  boost::asio::awaitable<Receipt> Send(const tenancy::Tenant* tenant,
                                       const tenancy::Upstream* upstream,
                                       const http::Url* write_url,
                                       absl::string_view body,
                                       remote_write::Counts counts,
                                       absl::Time deadline);

  // Whether there is any point in sending to it now.
  bool IsWell(const tenancy::Upstream& upstream) {
    return health_.IsWell(upstream);
  }

 private:
  const Clock* const clock_;
  Metrics metrics_;
  StoreClient client_;
  UpstreamHealth health_;
  DeadLetters* const dead_letters_;
};

}  // namespace insula::ingest_gateway
