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

#include "absl/strings/str_cat.h"
#include "libs/http/retry_after.h"
#include "libs/http/status_code.h"
#include "libs/tenancy/endpoints.h"

namespace insula::ingest_gateway {
namespace {

namespace asio = boost::asio;
using Verdict = Receipt::Verdict;

absl::string_view CodeClass(int status) {
  if (status == 429) return "429";
  if (status < 300) return "2xx";
  if (status < 400) return "3xx";
  return status < 500 ? "4xx" : "5xx";
}

}  // namespace

Receipt MakeReceipt(const absl::StatusOr<http::Response>& answer,
                    absl::Time now) {
  Receipt receipt;
  if (!answer.ok()) {
    receipt.detail = std::string(answer.status().message());
    return receipt;
  }
  const absl::StatusCode code = http::FromHttpStatus(answer->status);
  if (code == absl::StatusCode::kOk) {
    receipt.verdict = Verdict::kAccepted;
    return receipt;
  }
  receipt.detail = absl::StrCat(answer->status, " ",
                                absl::string_view(answer->body).substr(0, 80));
  receipt.retry_after = http::ParseRetryAfter(answer->headers, now);
  if (code == absl::StatusCode::kResourceExhausted) {
    receipt.verdict = Verdict::kSlowDown;
  } else if (!http::IsRetryable(code)) {
    receipt.verdict = Verdict::kRefused;
  }
  return receipt;
}

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

Delivery::Delivery(Options options, http::Client* client, const Clock* clock,
                   Metrics* metrics)
    : options_(std::move(options)),
      client_(client),
      clock_(clock),
      metrics_(metrics) {}

asio::awaitable<std::vector<Receipt>> Delivery::SendAll(
    const std::vector<Shipment>* shipments, absl::Time deadline) {
  co_await asio::this_coro::reset_cancellation_state(
      asio::disable_cancellation());
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  Batch batch(executor, shipments, deadline);
  batch.running = static_cast<int>(std::min<size_t>(
      static_cast<size_t>(options_.max_parallel), shipments->size()));
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
        co_await Send(&(*batch->shipments)[index], batch->deadline);
  }
}

asio::awaitable<Receipt> Delivery::Send(const Shipment* shipment,
                                        absl::Time deadline) {
  const Recipient& recipient = *shipment->recipient;
  // Built from nothing: no header of the sender gets through.
  http::ClientRequest request;
  request.method = "POST";
  request.url = recipient.url;
  request.headers = {{"Content-Type", "application/x-protobuf"},
                     {"Content-Encoding", "snappy"},
                     {"X-Prometheus-Remote-Write-Version", "0.1.0"},
                     {"User-Agent", options_.user_agent}};
  if (recipient.upstream->spec.isolation() ==
      tenancy::v1::Upstream::ISOLATION_HEADER) {
    request.headers.Set(tenancy::TenantHeaderOf(recipient.upstream->spec),
                        recipient.tenant->org_id());
  }
  request.body = shipment->body;
  const absl::Time start = clock_->Now();
  const auto answer = co_await client_->Send(
      std::move(request), std::min(deadline, start + recipient.timeout));
  const absl::Time end = clock_->Now();
  metrics_->upstream_seconds.Observe(absl::ToDoubleSeconds(end - start));
  metrics_->UpstreamRequests(answer.ok() ? CodeClass(answer->status) : "error")
      .Increment();
  co_return MakeReceipt(answer, end);
}

}  // namespace insula::ingest_gateway
