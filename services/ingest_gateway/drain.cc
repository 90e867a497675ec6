#include "services/ingest_gateway/drain.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "absl/time/clock.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"
#include "libs/time/clock.h"

namespace insula::ingest_gateway {
namespace {

namespace asio = boost::asio;
using spool::Spool;

// How exactly waits are kept.
constexpr auto kTick = std::chrono::milliseconds(50);
constexpr absl::Duration kMaxRetryAfter = absl::Minutes(5);
// For what only a change of the registry, or of the disk, can mend.
constexpr absl::Duration kLookAgain = absl::Seconds(1);

absl::Time SteadyNow() { return SteadyClock::Get()->Now(); }

}  // namespace

Drain::Drain(Options options, Spool* spool, SnapshotSource snapshot,
             UpstreamSender* sender, runtime::BlockingPool* blocking,
             asio::any_io_executor executor, Metrics* metrics,
             metrics::Registry* registry)
    : options_(options),
      spool_(spool),
      snapshot_(std::move(snapshot)),
      sender_(sender),
      blocking_(blocking),
      executor_(std::move(executor)),
      metrics_(metrics),
      delivered_(
          registry->AddCounter("ingest_gateway_queue_delivered_parts_total",
                               "Queued parts that a store took.")),
      retried_(
          registry->AddCounter("ingest_gateway_queue_retries_total",
                               "Queued parts that a store did not take yet.")),
      tick_strand_(asio::make_strand(executor_)),
      tick_timer_(tick_strand_) {
  for (const Spool::Backlog& backlog : spool_->Backlogs()) {
    Kick(backlog.tenant_uid, "");
  }
  asio::co_spawn(tick_strand_, Tick(), [this](const std::exception_ptr&) {
    sync::MutexLock lock(&mutex_);
    ticking_ = false;
    ended_.notify_all();
  });
}

Drain::~Drain() {
  sync::MutexLock lock(&mutex_);
  stopping_ = true;
  for (const auto& [uid, lane] : lanes_) {
    if (lane.turn == nullptr) continue;
    asio::post(lane.turn->strand, [turn = lane.turn] {
      turn->cancel.emit(asio::cancellation_type::terminal);
    });
  }
  while (running_ > 0 || ticking_) ended_.wait(mutex_);
}

bool Drain::stopping() const {
  sync::MutexLock lock(&mutex_);
  return stopping_;
}

void Drain::Kick(absl::string_view tenant_uid, absl::string_view upstream_id) {
  {
    sync::MutexLock lock(&mutex_);
    if (stopping_) return;
    Lane& lane = lanes_[tenant_uid];
    if (lane.upstream.empty()) lane.upstream = std::string(upstream_id);
    if (lane.not_before <= SteadyNow()) {
      MakeReady(std::string(tenant_uid), &lane);
    }
  }
  Dispatch();
}

void Drain::MakeReady(const std::string& uid, Lane* lane) {
  if (lane->ready || lane->turn != nullptr) return;
  lane->ready = true;
  ready_.push_back(uid);
}

asio::awaitable<void> Drain::Tick() {
  while (!stopping()) {
    tick_timer_.expires_after(kTick);
    co_await tick_timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    {
      const absl::Time now = SteadyNow();
      sync::MutexLock lock(&mutex_);
      for (auto& [uid, lane] : lanes_) {
        if (lane.not_before <= now) MakeReady(uid, &lane);
      }
    }
    Dispatch();
  }
}

void Drain::Dispatch() {
  std::vector<std::pair<std::string, std::shared_ptr<Turn>>> starts;
  {
    sync::MutexLock lock(&mutex_);
    const int most_of_one = std::max(1, options_.max_parallel / 4);
    for (size_t left = ready_.size(); left > 0; --left) {
      if (stopping_ || running_ >= options_.max_parallel) break;
      const std::string uid = std::move(ready_.front());
      ready_.pop_front();
      Lane& lane = lanes_[uid];
      int& of_upstream = running_for_[lane.upstream];
      if (of_upstream >= most_of_one) {
        ready_.push_back(uid);
        continue;
      }
      lane.ready = false;
      lane.turn = std::make_shared<Turn>(asio::make_strand(executor_));
      lane.turn->upstream = lane.upstream;
      ++of_upstream;
      ++running_;
      starts.emplace_back(uid, lane.turn);
    }
  }
  for (const auto& [uid, turn] : starts) Start(uid, turn);
}

void Drain::Start(const std::string& uid, std::shared_ptr<Turn> turn) {
  const Strand strand = turn->strand;
  const auto slot = turn->cancel.slot();
  asio::co_spawn(strand, Run(uid),
                 asio::bind_cancellation_slot(
                     slot, [this, uid, turn](const std::exception_ptr& error,
                                             const Outcome& outcome) {
                       Outcome result = outcome;
                       if (error != nullptr) result.failed = true;
                       Finish(uid, result);
                     }));
}

void Drain::Finish(const std::string& uid, const Outcome& outcome) {
  {
    const bool empty = !spool_->BacklogOf(uid).has_value();
    sync::MutexLock lock(&mutex_);
    --running_;
    Lane& lane = lanes_[uid];
    const auto counted = running_for_.find(lane.turn->upstream);
    if (--counted->second == 0) running_for_.erase(counted);
    lane.turn = nullptr;
    lane.credit -= outcome.bytes;
    absl::Duration wait = outcome.wait;
    if (outcome.failed) {
      wait = std::max(wait, lane.backoff.Next());
    } else if (outcome.bytes > 0) {
      lane.backoff.Reset();
    }
    lane.not_before = SteadyNow() + wait;
    // What is appended from here on is kicked after it is there.
    if (empty && !spool_->BacklogOf(uid).has_value()) {
      lanes_.erase(uid);
    } else if (wait == absl::ZeroDuration()) {
      MakeReady(uid, &lane);
    }
    if (stopping_) {
      ended_.notify_all();
      return;
    }
  }
  Dispatch();
}

asio::awaitable<absl::Status> Drain::Block(std::function<absl::Status()> work) {
  while (true) {
    const absl::Status status = co_await blocking_->Run(work);
    if (!absl::IsResourceExhausted(status) || stopping()) co_return status;
    asio::steady_timer pause(co_await asio::this_coro::executor, kTick);
    co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

asio::awaitable<Drain::Outcome> Drain::Run(std::string uid) {
  co_await asio::this_coro::throw_if_cancelled(false);
  Outcome outcome;
  int64_t credit;
  {
    sync::MutexLock lock(&mutex_);
    Lane& lane = lanes_[uid];
    lane.credit = std::min(lane.credit, int64_t{0}) +
                  static_cast<int64_t>(options_.quantum);
    credit = lane.credit;
  }
  if (credit <= 0) co_return outcome;
  std::vector<Spool::Stored> records;
  const std::function<absl::Status()> read = [this, &uid, &records, credit] {
    ASSIGN_OR_RETURN(records, spool_->Read(uid, static_cast<uint64_t>(credit)));
    return absl::OkStatus();
  };
  const absl::Status status = co_await Block(read);
  if (absl::IsNotFound(status)) co_return outcome;
  if (!status.ok()) {
    outcome.wait = kLookAgain;
    co_return outcome;
  }
  for (const Spool::Stored& stored : records) {
    const Step step = co_await SendOne(&stored, &outcome);
    if (step == Step::kStop) break;
  }
  // A removal that fails is made up for before the next part is written.
  if (outcome.drop_tenant) {
    const std::function<absl::Status()> drop = [this, &uid] {
      return spool_->DropTenant(uid);
    };
    (co_await Block(drop)).IgnoreError();
  } else if (outcome.through > 0) {
    const std::function<absl::Status()> remove = [this, &uid, &outcome] {
      return spool_->Remove(uid, outcome.through);
    };
    (co_await Block(remove)).IgnoreError();
  }
  co_return outcome;
}

std::optional<Drain::Destination> Drain::Find(const spool::Record& record,
                                              Outcome* outcome) {
  Destination found;
  found.snapshot = snapshot_();
  outcome->wait = kLookAgain;
  // Without the registry nothing is known of any tenant.
  if (found.snapshot == nullptr || found.snapshot->revision() == 0) {
    return std::nullopt;
  }
  found.tenant = found.snapshot->FindTenant(record.tenant_id);
  {
    const absl::Time now = SteadyNow();
    sync::MutexLock lock(&mutex_);
    Lane& lane = lanes_[record.tenant_uid];
    if (found.tenant == nullptr || found.tenant->uid != record.tenant_uid) {
      lane.missing_since = std::min(lane.missing_since, now);
      outcome->drop_tenant =
          now - lane.missing_since >= options_.deleted_tenant_grace;
      return std::nullopt;
    }
    lane.missing_since = absl::InfiniteFuture();
  }
  found.upstream =
      found.snapshot->FindUpstream(found.tenant->spec.upstream_id());
  if (found.upstream == nullptr || found.upstream->spec.write_url().empty() ||
      !sender_->IsWell(*found.upstream)) {
    return std::nullopt;
  }
  outcome->wait = absl::ZeroDuration();
  sync::MutexLock lock(&mutex_);
  lanes_[record.tenant_uid].upstream = found.upstream->id;
  return found;
}

asio::awaitable<Receipt> Drain::Send(const spool::Record* record,
                                     const tenancy::Tenant* tenant,
                                     const tenancy::Upstream* upstream) {
  if (record->protocol != spool::Protocol::kRemoteWrite1) {
    Receipt receipt;
    receipt.verdict = Receipt::Verdict::kRefused;
    receipt.detail = "only remote write 1.0 can be sent out of a queue";
    co_return receipt;
  }
  // How many of the samples are histograms is not kept.
  remote_write::Counts counts;
  counts.series = record->series;
  counts.samples = record->samples;
  counts.exemplars = record->exemplars;
  co_return co_await sender_->Send(tenant, upstream, /*write_url=*/nullptr,
                                   record->body, counts,
                                   absl::Now() + options_.send_timeout);
}

asio::awaitable<Drain::Step> Drain::SendOne(const Spool::Stored* stored,
                                            Outcome* outcome) {
  const spool::Record& record = stored->record;
  const auto to = Find(record, outcome);
  if (!to.has_value() || stopping()) co_return Step::kStop;
  const Receipt receipt = co_await Send(&record, to->tenant, to->upstream);
  const int64_t bytes = static_cast<int64_t>(record.body.size());
  if (receipt.verdict == Receipt::Verdict::kAccepted) {
    outcome->through = stored->sequence;
    outcome->bytes += bytes;
    delivered_.Increment();
    metrics_->SamplesAccepted(record.tenant_id)
        .Increment(static_cast<double>(record.samples));
    co_return Step::kNext;
  }
  if (receipt.verdict != Receipt::Verdict::kRefused) {
    retried_.Increment();
    outcome->failed = true;
    outcome->wait = std::min(receipt.retry_after, kMaxRetryAfter);
    co_return Step::kStop;
  }
  outcome->bytes += bytes;
  const std::function<absl::Status()> discard = [this, &record, stored,
                                                 outcome] {
    if (outcome->through > 0) {
      RETURN_IF_ERROR(spool_->Remove(record.tenant_uid, outcome->through));
    }
    return spool_->Discard(Spool::Drop::kRefused, record.tenant_uid,
                           stored->sequence);
  };
  (co_await Block(discard)).IgnoreError();
  outcome->through = 0;
  bool warn = false;
  {
    sync::MutexLock lock(&mutex_);
    const absl::Time now = SteadyNow();
    warn = now - warned_ >= absl::Minutes(1);
    if (warn) warned_ = now;
  }
  if (warn) {
    logging::Warn("a queued part is refused for good; it is dropped",
                  {{"tenant", record.tenant_id},
                   {"samples", record.samples},
                   {"err", receipt.detail}});
  }
  co_return Step::kNext;
}

}  // namespace insula::ingest_gateway
