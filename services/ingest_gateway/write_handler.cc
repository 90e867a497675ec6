#include "services/ingest_gateway/write_handler.h"

#include <algorithm>
#include <utility>

#include "libs/logging/logging.h"
#include "libs/remote_write/block.h"
#include "libs/remote_write/metadata.h"
#include "libs/remote_write/v2_decode.h"
#include "libs/status/status_macros.h"
#include "libs/sync/run_on.h"
#include "services/ingest_gateway/losses.h"
#include "services/ingest_gateway/request_head.h"
#include "services/ingest_gateway/routing.h"

namespace insula::ingest_gateway {
namespace {

namespace asio = boost::asio;
using remote_write::Reason;
using Verdict = Receipt::Verdict;

// So that our answer is out before the server gives up on the handler.
constexpr absl::Duration kAnswerMargin = absl::Seconds(1);

// To split more, compressed, bytes takes longer than some milliseconds.
constexpr size_t kLongRequest = 512 << 10;

// Too many is for a while here: that of failed attempts.
http::Response RefuseCaller(const absl::Status& status) {
  http::Response response = MakeRefusal(status);
  if (status.code() == absl::StatusCode::kResourceExhausted) {
    response.status = 429;
    response.headers.Set("Retry-After", "5");
  }
  return response;
}

// A series that goes to several tenants is written once, for its sender.
remote_write::Counts AtMost(remote_write::Counts counts,
                            const remote_write::Counts& most) {
  counts.samples = std::min(counts.samples, most.samples);
  counts.histograms = std::min(counts.histograms, most.histograms);
  counts.exemplars = std::min(counts.exemplars, most.exemplars);
  return counts;
}

}  // namespace

// Memory for the split of one request, used again and again.
struct WriteHandler::Workspace {
  Workspace(remote_write::Bounds bounds,
            remote_write::SeriesMemoryBudget* budget)
      : v2_decoder(bounds), splitter(bounds, budget) {}
  remote_write::Arena decoded;
  remote_write::Arena scratch;
  remote_write::V2Decoder v2_decoder;
  remote_write::Splitter splitter;
};

// Takes a workspace out of the handler's stock, and puts it back.
class WriteHandler::WorkspaceLease {
 public:
  explicit WorkspaceLease(WriteHandler* handler) : handler_(handler) {
    sync::MutexLock lock(&handler_->mutex_);
    if (!handler_->workspaces_.empty()) {
      workspace_ = std::move(handler_->workspaces_.back());
      handler_->workspaces_.pop_back();
    }
  }
  ~WorkspaceLease() {
    workspace_->decoded.Shrink();
    workspace_->scratch.Shrink();
    workspace_->v2_decoder.Shrink();
    sync::MutexLock lock(&handler_->mutex_);
    handler_->workspaces_.push_back(std::move(workspace_));
  }
  WorkspaceLease(const WorkspaceLease&) = delete;
  WorkspaceLease& operator=(const WorkspaceLease&) = delete;

  // Made at the first use: a split does not wait, so there are no more of them
  // than threads.
  Workspace* get() {
    if (workspace_ == nullptr) {
      workspace_ = std::make_unique<Workspace>(handler_->config_.SplitBounds(),
                                               &handler_->series_memory_);
    }
    return workspace_.get();
  }

 private:
  WriteHandler* const handler_;
  std::unique_ptr<Workspace> workspace_;
};

// One request on its way.
struct WriteHandler::Work {
  Work(auth::Caller caller, remote_write::NameScheme scheme,
       limits::ActiveSeriesOfTenants* active_series, absl::Time now)
      : routing(std::move(caller), scheme, active_series, now) {}

  Routing routing;  // Shipments point into it.
  std::vector<Shipment> shipments;
  Outcome outcome;
  remote_write::Counts received;
  size_t parts = 0;
  std::optional<AnswerMemory::Key> key;  // If it was needed so far.
  KeptParts kept;  // Before, and, once Conclude() needs them, now.
  std::vector<const Shipment*> taken;
};

WriteHandler::WriteHandler(const WriteConfig& config, SnapshotSource snapshot,
                           UpstreamSender* sender,
                           asio::any_io_executor executor, const Clock* clock,
                           metrics::Registry* registry, Queue* queue)
    : config_(config),
      snapshot_(std::move(snapshot)),
      executor_(std::move(executor)),
      clock_(clock),
      metrics_(registry),
      delivery_(config.max_parallel_parts, sender, queue, clock),
      memory_({.max_parts = static_cast<size_t>(config.remembered_parts)}),
      proxy_metrics_(registry),
      series_memory_(static_cast<int64_t>(config.series_memory.value)),
      active_series_metrics_(&active_series_, snapshot_, clock, registry) {}

WriteHandler::~WriteHandler() = default;

std::optional<http::Response> WriteHandler::Admit(
    const http::Request& request, const auth::Authenticator* listener) {
  if (auto answer = AnswerByHead(request)) return answer;
  const auto caller = listener->TryNow(request, snapshot_(),
                                       registry::v1::ROLE_WRITE, clock_->Now());
  if (!caller.has_value() || caller->ok()) return std::nullopt;
  http::Response response = RefuseCaller(caller->status());
  if (ProtocolOf(request) == Protocol::kWrite2) SetWritten({}, &response);
  return response;
}

asio::awaitable<http::Response> WriteHandler::Handle(
    http::Request request, const auth::Authenticator* listener) {
  if (auto answer = AnswerByHead(request)) co_return *std::move(answer);
  remote_write::Counts written;
  http::Response response = co_await Take(&request, listener, &written);
  if (ProtocolOf(request) == Protocol::kWrite2) SetWritten(written, &response);
  co_return response;
}

asio::awaitable<http::Response> WriteHandler::Take(
    const http::Request* request, const auth::Authenticator* listener,
    remote_write::Counts* written) {
  auto caller = listener->TryNow(*request, snapshot_(),
                                 registry::v1::ROLE_WRITE, clock_->Now());
  if (!caller.has_value()) {
    caller = co_await listener->Authenticate(
        request, snapshot_(), registry::v1::ROLE_WRITE, clock_->Now());
  }
  if (!caller->ok()) co_return RefuseCaller(caller->status());
  if (request->headers.Get("Retry-Attempt")) {
    metrics_.retries_received.Increment();
  }
  co_return co_await WriteAs(request, **std::move(caller), listener, written);
}

asio::awaitable<http::Response> WriteHandler::Write(
    http::Request request, auth::Caller caller,
    const auth::Authenticator* listener) {
  remote_write::Counts written;
  co_return co_await WriteAs(&request, std::move(caller), listener, &written);
}

asio::awaitable<http::Response> WriteHandler::WriteAs(
    const http::Request* received, auth::Caller caller,
    const auth::Authenticator* listener, remote_write::Counts* written) {
  const http::Request& request = *received;
  const absl::Time start = clock_->Now();
  absl::StatusOr<std::unique_ptr<Work>> work = nullptr;
  if (request.body.size() > kLongRequest) {
    auto prepare = [&] { return Prepare(request, std::move(caller)); };
    work = co_await sync::RunOn(executor_, std::move(prepare));
  } else {
    work = Prepare(request, std::move(caller));
  }
  if (!work.ok()) {
    metrics_.requests_malformed.Increment();
    co_return MakeRefusal(work.status());
  }
  metrics_.split_seconds.Observe(absl::ToDoubleSeconds(clock_->Now() - start));
  if (!(*work)->shipments.empty()) {
    const absl::Time deadline =
        std::min(request.deadline - kAnswerMargin, start + config_.timeout);
    const auto receipts =
        co_await delivery_.SendAll(&(*work)->shipments, deadline);
    NoteReceipts(receipts, work->get());
  }
  proxy_metrics_.NoteProcessed(clock_->Now() - start);
  *written = AtMost((*work)->outcome.written, (*work)->received);
  http::Response response = Conclude(request.body.view(), work->get());
  if (listener != nullptr) NoteForeignSeries(request, **work, *listener);
  co_return response;
}

// Also if others of the request were taken.
void WriteHandler::NoteForeignSeries(const http::Request& request,
                                     const Work& work,
                                     const auth::Authenticator& listener) {
  const std::vector<Loss>& losses = work.outcome.losses;
  if (std::none_of(losses.begin(), losses.end(), [](const Loss& loss) {
        return remote_write::IsForbidden(loss.reason) ||
               loss.reason == Reason::kForeignLabel;
      })) {
    return;
  }
  const absl::Status why =
      absl::PermissionDeniedError("has series of other tenants");
  listener.NoteRefusal(request, work.routing.caller(), why, "foreign_series");
}

absl::StatusOr<std::unique_ptr<WriteHandler::Work>> WriteHandler::Prepare(
    const http::Request& request, auth::Caller caller) {
  // Whoever takes 2.0 takes any name.
  const auto names = ProtocolOf(request) == Protocol::kWrite2
                         ? remote_write::NameScheme::kUtf8
                         : config_.name_scheme();
  auto work = std::make_unique<Work>(std::move(caller), names, &active_series_,
                                     clock_->Now());
  const std::string& sender = work->routing.caller().identity;
  work->routing.SetFamilies([this, &sender](absl::string_view family) {
    return metric_tenants_.Find(sender, family);
  });
  WorkspaceLease lease(this);
  RETURN_IF_ERROR(Split(request, lease.get(), work.get()));
  return work;
}

absl::Status WriteHandler::Split(const http::Request& request,
                                 Workspace* workspace, Work* work) {
  ASSIGN_OR_RETURN(absl::string_view decoded,
                   remote_write::Decompress(request.body.view(),
                                            config_.max_decoded_body.value,
                                            &workspace->decoded));
  std::vector<remote_write::Refused> refused;
  const bool is_v2 = ProtocolOf(request) == Protocol::kWrite2;
  if (is_v2) {
    ASSIGN_OR_RETURN(refused, Downgrade(workspace, &decoded));
  }
  ASSIGN_OR_RETURN(remote_write::SplitResult split,
                   workspace->splitter.Split(decoded, work->routing.plan()));
  if (is_v2) {  // What was received is something else.
    split.unchanged = false;
    for (remote_write::Part& part : split.parts) part.unchanged = false;
  }
  for (remote_write::Refused& each : refused) {
    split.received += each.counts;
    split.refused.push_back(std::move(each));
  }
  metrics_.samples_received.Increment(
      static_cast<double>(split.received.samples));
  metrics_.metadata_dropped.Increment(
      static_cast<double>(split.dropped_metadata));
  metrics_.fields_dropped.Increment(static_cast<double>(split.dropped_fields));
  metrics_.series_known.Increment(static_cast<double>(split.known_series));
  if (split.unchanged) metrics_.requests_passed_through.Increment();
  proxy_metrics_.labels.Increment(
      static_cast<double>(split.received.series) *
      static_cast<double>(work->routing.plan().deciding_labels.size()));
  proxy_metrics_.metadata.Increment(
      static_cast<double>(split.received.metadata));
  work->outcome.series = split.received.series;
  work->received = split.received;
  work->outcome.allowed = split.routed_series > 0;
  work->parts = split.parts.size();
  for (Loss& loss : LossesOf(split, work->routing.caller())) {
    Lose(std::move(loss), work);
  }
  if (!memory_.empty()) {
    work->key =
        memory_.KeyOf(work->routing.caller().identity, request.body.view());
    work->kept = memory_.Find(*work->key, clock_->Now());
  }
  NoteMetrics(split, *work);
  Pack(request, split, workspace, work);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<remote_write::Refused>> WriteHandler::Downgrade(
    Workspace* workspace, absl::string_view* body) {
  ASSIGN_OR_RETURN(remote_write::V2Request decoded,
                   workspace->v2_decoder.Decode(*body));
  metrics_.exemplars_joined.Increment(
      static_cast<double>(decoded.joined_exemplars));
  metrics_.fields_dropped.Increment(
      static_cast<double>(decoded.dropped_fields));
  *body = decoded.body;
  return std::move(decoded.refused);
}

void WriteHandler::NoteMetrics(const remote_write::SplitResult& split,
                               const Work& work) {
  if (work.routing.plan().deciding_labels.empty()) return;
  if (split.parts.empty() || !metric_tenants_.IsDue()) return;
  for (const remote_write::Part& part : split.parts) {
    metric_tenants_.Note(work.routing.caller().identity, part.destination->name,
                         part.body);
  }
}

void WriteHandler::Pack(const http::Request& request,
                        const remote_write::SplitResult& split,
                        Workspace* workspace, Work* work) {
  const KeptParts& before = work->kept;
  work->shipments.reserve(split.parts.size());
  for (const remote_write::Part& part : split.parts) {
    const Recipient& recipient = Recipient::Of(part.destination);
    // With a memory of this request the rate comes later: what was kept before
    // is not counted twice.
    if (before.empty() && !IsWithinRate(part, work)) continue;
    Shipment shipment{&recipient, part.counts};
    if (split.unchanged) {
      shipment.received = request.body.view();
    } else {
      shipment.made = remote_write::Compress(part.body, &workspace->scratch);
    }
    if (!before.empty() && before.contains(KeptPartOf(shipment))) {
      metrics_.parts_skipped.Increment();
      work->outcome.written += part.counts;
      continue;
    }
    if (!before.empty() && !IsWithinRate(part, work)) continue;
    NoteUsage(part);
    work->shipments.push_back(std::move(shipment));
  }
}

KeptPart WriteHandler::KeptPartOf(const Shipment& shipment) const {
  return {shipment.recipient->tenant->uid, memory_.HashOf(shipment.body())};
}

bool WriteHandler::IsWithinRate(const remote_write::Part& part, Work* work) {
  const Recipient& recipient = Recipient::Of(part.destination);
  const auto excess =
      rates_.Take(recipient.tenant->uid, *recipient.tenant_limits, part.counts,
                  part.body.size(), clock_->Now());
  if (!excess) return true;
  work->outcome.retry_after = std::max(work->outcome.retry_after, excess->wait);
  Lose({recipient.name, excess->reason, part.counts, excess->limit}, work);
  return false;
}

void WriteHandler::NoteUsage(const remote_write::Part& part) {
  const Recipient& recipient = Recipient::Of(part.destination);
  const Traffic traffic{.requests = 1,
                        .series = part.counts.series,
                        .samples = part.counts.samples,
                        .bytes = static_cast<int64_t>(part.body.size())};
  proxy_metrics_.tenants.Increment(static_cast<double>(part.counts.series));
  usage_.Note(recipient.name, recipient.tenant->uid, traffic,
              remote_write::FirstMetricName(part.body), clock_->Now());
}

void WriteHandler::NoteReceipts(const std::vector<Receipt>& receipts,
                                Work* work) {
  for (size_t i = 0; i < receipts.size(); ++i) {
    const Shipment& shipment = work->shipments[i];
    const Receipt& receipt = receipts[i];
    const Recipient& recipient = *shipment.recipient;
    proxy_metrics_.NoteRequest(recipient.name, shipment.counts.series,
                               receipt.verdict == Verdict::kAccepted);
    if (receipt.verdict == Verdict::kAccepted) {
      if (!receipt.queued) {
        metrics_.SamplesAccepted(recipient.name)
            .Increment(static_cast<double>(shipment.counts.samples));
      }
      work->taken.push_back(&shipment);
      work->outcome.written += receipt.written.value_or(shipment.counts);
      continue;
    }
    if (receipt.written) work->outcome.written += *receipt.written;
    Loss loss{recipient.name, Reason::kUpstreamUnavailable, shipment.counts};
    if (receipt.verdict == Verdict::kUnavailable ||
        receipt.verdict == Verdict::kQueueFull) {
      proxy_metrics_.failures.Increment();
    }
    if (receipt.verdict == Verdict::kRefused) {
      loss.reason = Reason::kUpstreamRefused;
    } else if (receipt.verdict == Verdict::kSlowDown) {
      loss.reason = Reason::kRateLimited;
    } else if (receipt.verdict == Verdict::kQueueFull) {
      loss.reason = Reason::kQueueFull;
    }
    loss.detail = receipt.detail;
    work->outcome.retry_after =
        std::max(work->outcome.retry_after, receipt.retry_after);
    Lose(std::move(loss), work);
  }
}

void WriteHandler::Lose(Loss loss, Work* work) {
  metrics_.SamplesRefused(loss.reason)
      .Increment(static_cast<double>(loss.counts.samples));
  const auth::Caller& caller = work->routing.caller();
  const absl::Time now = clock_->Now();
  refusals_.Add(loss.tenant,
                {.at = now,
                 .reason = std::string(remote_write::ReasonName(loss.reason)),
                 .caller = caller.identity,
                 .example = loss.examples.empty() ? "" : loss.examples[0],
                 .detail = loss.detail,
                 .count = loss.counts.series});
  // A tenant's name comes from the registry here, never from a sender.
  if (const auto* const tenant = caller.snapshot->FindTenant(loss.tenant)) {
    usage_.Note(loss.tenant, tenant->uid,
                {.refused_samples = loss.counts.samples}, "", now);
  }
  work->outcome.losses.push_back(std::move(loss));
}

http::Response WriteHandler::Conclude(absl::string_view body, Work* work) {
  http::Response response = MakeAnswer(work->outcome);
  for (const Loss& loss : work->outcome.losses) {
    if (!logging::Enabled(logging::Level::kDebug)) break;
    logging::Debug("series not taken",
                   {{"caller", work->routing.caller().identity},
                    {"tenant", loss.tenant},
                    {"reason", remote_write::ReasonName(loss.reason)},
                    {"series", loss.counts.series},
                    {"status", response.status}});
  }
  if (IsRetried(response.status)) {
    // The memory is about one of several parts.
    if (work->parts > 1 && !(work->kept.empty() && work->taken.empty())) {
      for (const Shipment* const shipment : work->taken) {
        work->kept.insert(KeptPartOf(*shipment));
      }
      if (!work->key) {
        work->key = memory_.KeyOf(work->routing.caller().identity, body);
      }
      metrics_.parts_forgotten.Increment(static_cast<double>(
          memory_.Remember(*work->key, work->kept, clock_->Now())));
    }
  } else if (work->key) {
    memory_.Forget(*work->key);
  }
  return response;
}

}  // namespace insula::ingest_gateway
