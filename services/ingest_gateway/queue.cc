#include "services/ingest_gateway/queue.h"

#include <xxhash.h>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "libs/status/status_macros.h"
#include "services/ingest_gateway/delivery.h"

namespace insula::ingest_gateway {
namespace {

namespace asio = boost::asio;
using tenancy::v1::Limits;

// Spool::Append() to wait for. Resumes on the caller's executor.
asio::awaitable<absl::Status> Append(spool::Spool* spool, spool::Record record,
                                     spool::Spool::Quota quota) {
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>,
                                          void(absl::Status)>(
      [spool, quota](auto handler, spool::Record part) {
        // Keeps the caller's executor from running out of work meanwhile.
        auto resume = asio::prefer(asio::get_associated_executor(handler),
                                   asio::execution::outstanding_work.tracked);
        // A std::function wants to be copied, which a handler can't be.
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        spool->Append(std::move(part), quota,
                      [resume, shared](absl::Status status) {
                        asio::post(resume, [shared, status]() mutable {
                          std::move (*shared)(std::move(status));
                        });
                      });
      },
      asio::use_awaitable, std::move(record));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Queue>> Queue::Open(
    const QueueConfig& config, Drain::SnapshotSource snapshot,
    UpstreamSender* sender, runtime::BlockingPool* blocking,
    asio::any_io_executor executor, const Clock* clock,
    metrics::Registry* registry) {
  if (!config.is_on()) return nullptr;
  ASSIGN_OR_RETURN(auto spool,
                   spool::Spool::Open(config.SpoolOptions(), clock, registry));
  std::unique_ptr<Queue> queue(new Queue(config, std::move(spool), registry));
  Drain::Options options;
  options.max_parallel = config.max_parallel;
  options.deleted_tenant_grace = config.deleted_tenant_grace;
  queue->drain_ = std::make_unique<Drain>(
      options, queue->spool_.get(), std::move(snapshot), sender, blocking,
      std::move(executor), &queue->metrics_, registry);
  return queue;
}

Queue::Queue(const QueueConfig& config, std::unique_ptr<spool::Spool> spool,
             metrics::Registry* registry)
    : is_first_(config.mode == "always"),
      direct_timeout_(config.direct_timeout),
      metrics_(registry),
      spool_(std::move(spool)) {}

Queue::~Queue() = default;

asio::awaitable<Receipt> Queue::Keep(const Shipment* shipment) {
  const Recipient& recipient = *shipment->recipient;
  const Limits& limits = *recipient.tenant_limits;
  spool::Record record;
  record.tenant_uid = recipient.tenant->uid;
  record.tenant_id = recipient.tenant->id.value();
  record.upstream_id = recipient.upstream->id;
  // Whether the store takes 2.0 is seen when the part is sent.
  record.protocol = spool::Protocol::kRemoteWrite1;
  record.series = shipment->counts.series;
  record.samples = shipment->counts.samples;
  record.exemplars = shipment->counts.exemplars;
  record.body = std::string(shipment->body());
  record.hash = XXH3_64bits(record.body.data(), record.body.size());
  const spool::Spool::Quota quota{
      limits.max_queue_bytes(),
      limits.queue_full() == Limits::QUEUE_FULL_DROP_OLDEST};
  const absl::Status status =
      co_await Append(spool_.get(), std::move(record), quota);
  Receipt receipt;
  if (status.ok()) {
    receipt.verdict = Receipt::Verdict::kAccepted;
    receipt.queued = true;
    metrics_.SamplesQueued(recipient.name)
        .Increment(static_cast<double>(shipment->counts.samples));
    drain_->Kick(recipient.tenant->uid, recipient.upstream->id);
  } else {
    receipt.detail = std::string(status.message());
    if (absl::IsResourceExhausted(status)) {
      receipt.verdict = Receipt::Verdict::kQueueFull;
    }
  }
  co_return receipt;
}

}  // namespace insula::ingest_gateway
