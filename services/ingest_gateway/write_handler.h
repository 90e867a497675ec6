// Takes remote write requests: authenticates, splits, limits, delivers,
// answers.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/auth/authenticator.h"
#include "libs/edge/handler.h"
#include "libs/http/message.h"
#include "libs/limits/active_series.h"
#include "libs/limits/refusals.h"
#include "libs/metrics/metrics.h"
#include "libs/remote_write/metric_tenants.h"
#include "libs/remote_write/series_memory.h"
#include "libs/remote_write/splitter.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/clock.h"
#include "services/ingest_gateway/active_series_metrics.h"
#include "services/ingest_gateway/answer.h"
#include "services/ingest_gateway/answer_memory.h"
#include "services/ingest_gateway/config.h"
#include "services/ingest_gateway/delivery.h"
#include "services/ingest_gateway/metrics.h"
#include "services/ingest_gateway/proxy_metrics.h"
#include "services/ingest_gateway/tenant_rates.h"
#include "services/ingest_gateway/usage.h"

namespace insula::ingest_gateway {

// The HTTP handler of all listeners. Thread-safe.
class WriteHandler : public edge::Handler {
 public:
  using SnapshotSource =
      std::function<std::shared_ptr<const tenancy::Snapshot>()>;

  // `sender`, `clock`, `registry` and `queue` outlive this. Without a queue,
  // what a store does not take is answered with 503. Long requests are split on
  // `executor`: the caller's may be an event loop.
  WriteHandler(const WriteConfig& config, SnapshotSource snapshot,
               UpstreamSender* sender, boost::asio::any_io_executor executor,
               const Clock* clock, metrics::Registry* registry,
               Queue* queue = nullptr);
  ~WriteHandler() override;

  // Refuses what need not be read. A credential that a verifier must be asked
  // about is left to Handle().
  std::optional<http::Response> Admit(
      const http::Request& request,
      const auth::Authenticator* listener) override;

  // Answers by the table in answer.h. Parts are on their way until they have an
  // answer, even if the sender goes away meanwhile.
  boost::asio::awaitable<http::Response> Handle(
      http::Request request, const auth::Authenticator* listener) override;

  // The same for a caller that is known already and has ROLE_WRITE. Of the
  // request only body, deadline and Content-Type matter; `listener` is told of
  // series that are not the caller's, if it is not null.
  boost::asio::awaitable<http::Response> Write(
      http::Request request, auth::Caller caller,
      const auth::Authenticator* listener);

  const Usage& usage() const { return usage_; }
  // What was refused, by tenant; under "" what belongs to none.
  const limits::Refusals& refusals() const { return refusals_; }

  // By tenant uid.
  limits::ActiveSeriesOfTenants& active_series() { return active_series_; }

 private:
  struct Workspace;
  class WorkspaceLease;
  struct Work;

  // Both set what was written. Take() finds the caller first.
  boost::asio::awaitable<http::Response> Take(
      const http::Request* request, const auth::Authenticator* listener,
      remote_write::Counts* written);
  boost::asio::awaitable<http::Response> WriteAs(
      const http::Request* request, auth::Caller caller,
      const auth::Authenticator* listener, remote_write::Counts* written);
  absl::StatusOr<std::unique_ptr<Work>> Prepare(const http::Request& request,
                                                auth::Caller caller);
  // Reads a decompressed 2.0 request as one of 1.0, which replaces it.
  absl::StatusOr<std::vector<remote_write::Refused>> Downgrade(
      Workspace* workspace, absl::string_view* body);
  absl::Status Split(const http::Request& request, Workspace* workspace,
                     Work* work);
  // Remembers who has which metrics, for metadata that comes alone.
  void NoteMetrics(const remote_write::SplitResult& split, const Work& work);
  void Pack(const http::Request& request,
            const remote_write::SplitResult& split, Workspace* workspace,
            Work* work);
  KeptPart KeptPartOf(const Shipment& shipment) const;
  // Whether the tenant may send that part now; notes the loss if not.
  bool IsWithinRate(const remote_write::Part& part, Work* work);
  void NoteUsage(const remote_write::Part& part);
  void NoteReceipts(const std::vector<Receipt>& receipts, Work* work);
  void Lose(Loss loss, Work* work);
  http::Response Conclude(absl::string_view body, Work* work);
  static void NoteForeignSeries(const http::Request& request, const Work& work,
                                const auth::Authenticator& listener);

  const WriteConfig config_;
  const SnapshotSource snapshot_;
  const boost::asio::any_io_executor executor_;
  const Clock* const clock_;
  Metrics metrics_;
  Delivery delivery_;
  AnswerMemory memory_;
  remote_write::MetricTenants metric_tenants_{{}};
  TenantRates rates_;
  ProxyMetrics proxy_metrics_;
  Usage usage_;
  limits::Refusals refusals_;
  limits::ActiveSeriesOfTenants active_series_{{}};
  remote_write::SeriesMemoryBudget series_memory_;  // Of all workspaces.
  ActiveSeriesMetrics active_series_metrics_;

  sync::Mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> workspaces_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::ingest_gateway
