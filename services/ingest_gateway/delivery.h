// Delivers the parts of a request to the stores of their tenants.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/time/clock.h"
#include "services/ingest_gateway/routing.h"
#include "services/ingest_gateway/upstream_sender.h"

namespace insula::ingest_gateway {

// One part, ready to go.
struct Shipment {
  const Recipient* recipient;
  remote_write::Counts counts;
  // A WriteRequest in a snappy block: one that was made, or else the one that
  // was received, which outlives this.
  std::string made = {};
  absl::string_view received = {};

  absl::string_view body() const {
    return made.empty() ? received : absl::string_view(made);
  }
};

class Queue;

// Sends parts to their stores, or puts them into the queue on disk: if a store
// is late or fails in a way that may pass, and while others of the tenant wait
// there. Thread-safe.
class Delivery {
 public:
  // At most `max_parallel` parts of a request are on their way at once. The
  // rest outlives this. `queue` may be null: what a store does not take is not
  // kept.
  Delivery(int max_parallel, UpstreamSender* sender, Queue* queue,
           const Clock* clock);

  // Sends all at once, each until its upstream's timeout or `deadline`.
  // Receipts are in the order of `shipments`. Runs on the caller's strand, and
  // to its end even when cancelled: what became of a part must be known. Leaves
  // the caller's cancellation off.
  boost::asio::awaitable<std::vector<Receipt>> SendAll(
      const std::vector<Shipment>* shipments, absl::Time deadline);

 private:
  struct Batch;
  boost::asio::awaitable<Receipt> Deliver(const Shipment* shipment,
                                          absl::Time deadline);
  boost::asio::awaitable<Receipt> Send(const Shipment* shipment,
                                       absl::Time deadline);
  boost::asio::awaitable<void> SendSome(Batch* batch);

  const int max_parallel_;
  UpstreamSender* const sender_;
  Queue* const queue_;
  const Clock* const clock_;
};

}  // namespace insula::ingest_gateway
