#include "services/ingest_gateway/write_handler.h"

#include <algorithm>
#include <utility>

#include "libs/logging/logging.h"
#include "libs/remote_write/block.h"
#include "libs/status/status_macros.h"
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

// Too many is for a while here: that of failed attempts.
http::Response RefuseCaller(const absl::Status& status) {
  http::Response response = MakeRefusal(status);
  if (status.code() == absl::StatusCode::kResourceExhausted) {
    response.status = 429;
    response.headers.Set("Retry-After", "5");
  }
  return response;
}

}  // namespace

// Memory for the split of one request, used again and again.
struct WriteHandler::Workspace {
  explicit Workspace(remote_write::Bounds bounds) : splitter(bounds) {}
  remote_write::Arena decoded;
  remote_write::Arena scratch;
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
    sync::MutexLock lock(&handler_->mutex_);
    handler_->workspaces_.push_back(std::move(workspace_));
  }
  WorkspaceLease(const WorkspaceLease&) = delete;
  WorkspaceLease& operator=(const WorkspaceLease&) = delete;

  // Made at the first use: a split does not wait, so there are no more of them
  // than threads.
  Workspace* get() {
    if (workspace_ == nullptr) {
      workspace_ = std::make_unique<Workspace>(handler_->config_.SplitBounds());
    }
    return workspace_.get();
  }

 private:
  WriteHandler* const handler_;
  std::unique_ptr<Workspace> workspace_;
};

// One request on its way.
struct WriteHandler::Work {
  Work(auth::Caller caller, remote_write::NameScheme scheme)
      : routing(std::move(caller), scheme) {}

  Routing routing;  // Shipments point into it.
  std::vector<Shipment> shipments;
  Outcome outcome;
  size_t parts = 0;
  std::optional<AnswerMemory::Key> key;  // If it was needed so far.
  KeptParts kept;                        // Before, and now.
};

WriteHandler::WriteHandler(const WriteConfig& config, std::string user_agent,
                           SnapshotSource snapshot, http::Client* client,
                           const Clock* clock, metrics::Registry* registry)
    : config_(config),
      snapshot_(std::move(snapshot)),
      clock_(clock),
      metrics_(registry),
      delivery_({config.max_parallel_parts, std::move(user_agent)}, client,
                clock, &metrics_),
      memory_({.max_parts = static_cast<size_t>(config.remembered_parts)}) {}

WriteHandler::~WriteHandler() = default;

std::optional<http::Response> WriteHandler::Admit(
    const http::Request& request, const auth::Authenticator* listener) {
  if (auto answer = AnswerByHead(request)) return answer;
  const auto caller = listener->TryNow(request, snapshot_(),
                                       registry::v1::ROLE_WRITE, clock_->Now());
  if (!caller.has_value() || caller->ok()) return std::nullopt;
  return RefuseCaller(caller->status());
}

asio::awaitable<http::Response> WriteHandler::Handle(
    http::Request request, const auth::Authenticator* listener) {
  if (auto answer = AnswerByHead(request)) co_return *std::move(answer);
  auto caller = listener->TryNow(request, snapshot_(), registry::v1::ROLE_WRITE,
                                 clock_->Now());
  if (!caller.has_value()) {
    caller = co_await listener->Authenticate(
        &request, snapshot_(), registry::v1::ROLE_WRITE, clock_->Now());
  }
  if (!caller->ok()) co_return RefuseCaller(caller->status());
  if (request.headers.Get("Retry-Attempt")) {
    metrics_.retries_received.Increment();
  }
  const absl::Time start = clock_->Now();
  auto work = Prepare(request, **std::move(caller));
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
  co_return Conclude(request.body.view(), work->get());
}

absl::StatusOr<std::unique_ptr<WriteHandler::Work>> WriteHandler::Prepare(
    const http::Request& request, auth::Caller caller) {
  auto work = std::make_unique<Work>(std::move(caller), config_.name_scheme());
  WorkspaceLease lease(this);
  RETURN_IF_ERROR(Split(request, lease.get(), work.get()));
  return work;
}

absl::Status WriteHandler::Split(const http::Request& request,
                                 Workspace* workspace, Work* work) {
  ASSIGN_OR_RETURN(const absl::string_view decoded,
                   remote_write::Decompress(request.body.view(),
                                            config_.max_decoded_body.value,
                                            &workspace->decoded));
  ASSIGN_OR_RETURN(const remote_write::SplitResult split,
                   workspace->splitter.Split(decoded, work->routing.plan()));
  metrics_.samples_received.Increment(
      static_cast<double>(split.received.samples));
  metrics_.metadata_dropped.Increment(
      static_cast<double>(split.dropped_metadata));
  metrics_.fields_dropped.Increment(static_cast<double>(split.dropped_fields));
  if (split.unchanged) metrics_.requests_passed_through.Increment();
  work->outcome.series = split.received.series;
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
  Pack(request, split, workspace, work);
  return absl::OkStatus();
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
    if (before.empty() && !IsWithinRate(recipient, part.counts, work)) continue;
    Shipment shipment{&recipient, "", part.counts};
    shipment.body = split.unchanged ? std::string(request.body.view())
                                    : remote_write::Compress(
                                          part.body, &workspace->scratch);
    // The memory is about one of several parts.
    if (work->parts > 1) shipment.hash = memory_.HashOf(shipment.body);
    if (before.contains(KeptPart{recipient.tenant->uid, shipment.hash})) {
      metrics_.parts_skipped.Increment();
      continue;
    }
    if (!before.empty() && !IsWithinRate(recipient, part.counts, work)) {
      continue;
    }
    work->shipments.push_back(std::move(shipment));
  }
}

bool WriteHandler::IsWithinRate(const Recipient& recipient,
                                const remote_write::Counts& counts,
                                Work* work) {
  const auto& limits = *recipient.tenant_limits;
  if (limits.samples_per_second() <= 0) return true;
  const auto wait = rates_.Take(
      recipient.tenant->uid,
      {.rate = limits.samples_per_second(), .burst = limits.samples_burst()},
      counts.samples, clock_->Now());
  if (!wait) return true;
  const Reason reason = *wait == absl::InfiniteDuration()
                            ? Reason::kBurstExceeded
                            : Reason::kRateLimited;
  if (reason == Reason::kRateLimited) {
    work->outcome.retry_after = std::max(work->outcome.retry_after, *wait);
  }
  Loss loss{recipient.name, reason, counts, LimitOf(reason, &recipient)};
  Lose(std::move(loss), work);
  return false;
}

void WriteHandler::NoteReceipts(const std::vector<Receipt>& receipts,
                                Work* work) {
  for (size_t i = 0; i < receipts.size(); ++i) {
    const Shipment& shipment = work->shipments[i];
    const Receipt& receipt = receipts[i];
    const Recipient& recipient = *shipment.recipient;
    if (receipt.verdict == Verdict::kAccepted) {
      metrics_.SamplesAccepted(recipient.name)
          .Increment(static_cast<double>(shipment.counts.samples));
      work->kept.insert(KeptPart{recipient.tenant->uid, shipment.hash});
      continue;
    }
    Loss loss{recipient.name, Reason::kUpstreamUnavailable, shipment.counts};
    if (receipt.verdict == Verdict::kRefused) {
      loss.reason = Reason::kUpstreamRefused;
    } else if (receipt.verdict == Verdict::kSlowDown) {
      loss.reason = Reason::kRateLimited;
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
    if (work->parts > 1 && !work->kept.empty()) {
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
