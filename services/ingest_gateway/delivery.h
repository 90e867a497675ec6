// Delivers the parts of a request to the stores of their tenants.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/time/clock.h"
#include "services/ingest_gateway/metrics.h"
#include "services/ingest_gateway/routing.h"

namespace insula::ingest_gateway {

// One part, ready to go.
struct Shipment {
  const Recipient* recipient;
  std::string body;  // A WriteRequest in a snappy block.
  remote_write::Counts counts;
  uint64_t hash = 0;  // Of the body.
};

// What the store said of a part.
struct Receipt {
  enum class Verdict {
    kAccepted,
    kRefused,      // For good.
    kSlowDown,     // 429.
    kUnavailable,  // Later, perhaps: no answer in time, 5xx.
  };
  Verdict verdict = Verdict::kUnavailable;
  std::string detail;  // Of what is not accepted.
  absl::Duration retry_after = absl::ZeroDuration();  // If the store said so.
};

// The verdict on a part by a store's answer, or by why there is none.
Receipt MakeReceipt(const absl::StatusOr<http::Response>& answer,
                    absl::Time now);

// Thread-safe.
class Delivery {
 public:
  struct Options {
    int max_parallel = 64;   // Parts of a request on their way at once.
    std::string user_agent;  // "insula/0.1.0".
  };

  // All outlive this.
  Delivery(Options options, http::Client* client, const Clock* clock,
           Metrics* metrics);

  // Sends all at once, each until its upstream's timeout or `deadline`.
  // Receipts are in the order of `shipments`. Runs on the caller's strand, and
  // to its end even when cancelled: what became of a part must be known. Leaves
  // the caller's cancellation off.
  boost::asio::awaitable<std::vector<Receipt>> SendAll(
      const std::vector<Shipment>* shipments, absl::Time deadline);

 private:
  struct Batch;
  boost::asio::awaitable<Receipt> Send(const Shipment* shipment,
                                       absl::Time deadline);
  boost::asio::awaitable<void> SendSome(Batch* batch);

  const Options options_;
  http::Client* const client_;
  const Clock* const clock_;
  Metrics* const metrics_;
};

}  // namespace insula::ingest_gateway
