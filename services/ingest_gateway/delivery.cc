#include "services/ingest_gateway/delivery.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "services/ingest_gateway/queue.h"

namespace insula::ingest_gateway {
namespace {

namespace asio = boost::asio;
using Verdict = Receipt::Verdict;

// A store must answer a part so soon, so that there is time to queue it.
constexpr absl::Duration kQueueMargin = absl::Seconds(1);

}  // namespace

// What the coroutines that send one request's parts share. All of them run on
// one strand.
struct Delivery::Batch {
  Batch(const asio::any_io_executor& executor, const std::vector<Shipment>* all,
        absl::Time until)
      : shipments(all),
        deadline(until),
        receipts(all->size()),
        done(executor, asio::steady_timer::time_point::max()) {}

  const std::vector<Shipment>* shipments;
  absl::Time deadline;
  std::vector<Receipt> receipts;
  size_t next = 0;
  int running = 0;
  asio::steady_timer done;  // Cancelled when `running` is 0.
};

Delivery::Delivery(int max_parallel, UpstreamSender* sender, Queue* queue,
                   const Clock* clock)
    : max_parallel_(max_parallel),
      sender_(sender),
      queue_(queue),
      clock_(clock) {}

asio::awaitable<std::vector<Receipt>> Delivery::SendAll(
    const std::vector<Shipment>* shipments, absl::Time deadline) {
  co_await asio::this_coro::reset_cancellation_state(
      asio::disable_cancellation());
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  Batch batch(executor, shipments, deadline);
  batch.running = static_cast<int>(
      std::min<size_t>(static_cast<size_t>(max_parallel_), shipments->size()));
  if (batch.running == 1) {
    co_await SendSome(&batch);
    co_return std::move(batch.receipts);
  }
  for (int i = batch.running; i > 0; --i) {
    asio::co_spawn(executor, SendSome(&batch),
                   [&batch](const std::exception_ptr&) {
                     if (--batch.running == 0) batch.done.cancel();
                   });
  }
  while (batch.running > 0) {
    co_await batch.done.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  co_return std::move(batch.receipts);
}

asio::awaitable<void> Delivery::SendSome(Batch* batch) {
  while (batch->next < batch->shipments->size()) {
    const size_t index = batch->next++;
    batch->receipts[index] =
        co_await Deliver(&(*batch->shipments)[index], batch->deadline);
  }
}

asio::awaitable<Receipt> Delivery::Deliver(const Shipment* shipment,
                                           absl::Time deadline) {
  if (queue_ == nullptr) co_return co_await Send(shipment, deadline);
  const Recipient& recipient = *shipment->recipient;
  if (queue_->is_first() || queue_->HasBacklog(recipient.tenant->uid) ||
      !sender_->IsWell(*recipient.upstream)) {
    co_return co_await queue_->Keep(shipment);
  }
  Receipt receipt = co_await Send(
      shipment, std::min(deadline - kQueueMargin,
                         clock_->Now() + queue_->direct_timeout()));
  if (receipt.verdict == Verdict::kAccepted ||
      receipt.verdict == Verdict::kRefused) {
    co_return receipt;
  }
  Receipt kept = co_await queue_->Keep(shipment);
  kept.retry_after = receipt.retry_after;
  // What is queued comes whole, whatever the store wrote of it before.
  if (kept.verdict != Verdict::kAccepted) kept.written = receipt.written;
  if (kept.verdict == Verdict::kUnavailable) kept.detail = receipt.detail;
  co_return kept;
}

asio::awaitable<Receipt> Delivery::Send(const Shipment* shipment,
                                        absl::Time deadline) {
  const Recipient& recipient = *shipment->recipient;
  co_return co_await sender_->Send(recipient.tenant, recipient.upstream,
                                   &recipient.url, shipment->body(),
                                   shipment->counts, deadline);
}

}  // namespace insula::ingest_gateway
