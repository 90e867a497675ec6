#include "libs/registry_client/registry_client.h"

#include <grpcpp/support/channel_arguments.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/logging/logging.h"
#include "libs/registry_client/client_metrics.h"
#include "libs/registry_client/follower.h"
#include "libs/registry_client/last_good_file.h"
#include "libs/registry_client/lease.h"
#include "libs/registry_client/saver.h"
#include "libs/registry_client/stub_source.h"
#include "libs/rpc/channel.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/sync/mutex.h"

namespace insula::registry_client {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::registry::v1;
using tenancy::Snapshot;

// Longest wait for the stream to end, which only a stuck executor lets pass.
constexpr std::chrono::seconds kLongestEnd{5};
// Largest message taken: the changes of one revision are never split.
constexpr int kMaxMessageBytes = 64 << 20;

absl::StatusOr<StubSource> MakeStubs(const Options& options,
                                     metrics::Registry* metrics) {
  rpc::ChannelOptions channel;
  channel.address = options.address;
  channel.service = "tenant-registry";
  channel.tls = options.tls;
  grpc::ChannelArguments& arguments = channel.arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  // Not shared with other channels, whose pauses would be ours.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 250);
  // gRPC's word for how long one attempt to connect may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);
  ASSIGN_OR_RETURN(std::shared_ptr<rpc::Channel> made,
                   rpc::Channel::Make(std::move(channel), metrics));
  return [made = std::move(made)] {
    return v1::TenantRegistry::NewStub(made->Get());
  };
}

// The last good copy, or an empty one.
LastGood LoadLastGood(const Options& options, ClientMetrics* metrics) {
  LastGood nothing;
  nothing.snapshot = std::make_shared<const Snapshot>();
  nothing.saved_at = absl::Now();
  if (options.state_dir.empty()) return nothing;
  absl::StatusOr<LastGood> found = LastGoodFile(options.state_dir).Load();
  if (!found.ok()) {
    if (absl::IsNotFound(found.status())) return nothing;
    metrics->save_failures.Increment();
    logging::Error("the last good copy of the registry can't be used",
                   {{"err", found.status()}});
    return nothing;
  }
  if (!found->warning.empty()) {
    metrics->save_failures.Increment();
    logging::Warn(
        "the newest copy of the registry can't be used, the one "
        "before is",
        {{"err", found->warning}});
  }
  logging::Info("serving the last good copy of the registry",
                {{"revision", found->snapshot->revision()},
                 {"objects", found->snapshot->object_count()},
                 {"age", absl::Now() - found->saved_at}});
  return *std::move(found);
}

}  // namespace

// Owned by the client and, weakly, by what may call it later.
class RegistryClient::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Options options, ClientMetrics metrics, LastGood last_good)
      : options_(std::move(options)),
        metrics_(metrics),
        snapshot_(std::move(last_good.snapshot)),
        heard_at_(last_good.saved_at) {
    ShowSnapshot(*snapshot_);
  }

  void Start(std::vector<v1::Kind> kinds, bool resume,
             asio::any_io_executor executor, const StubSource& stubs,
             metrics::Registry* metrics);
  // Returns when nothing runs any more.
  void Stop();
  void EndLease() { lease_->Stop(); }

  std::shared_ptr<const Snapshot> snapshot() const {
    sync::MutexLock lock(&mutex_);
    return snapshot_;
  }
  absl::Status Ready() const;
  void OnChange(
      std::function<void(const std::shared_ptr<const Snapshot>&)> listener);

 private:
  Follower::Events MakeEvents();
  void HaveSnapshot(std::shared_ptr<const Snapshot> snapshot, bool replaced,
                    const WatchState& state);
  void HaveDisconnect(const absl::Status& status);
  void HaveMessage();
  void HaveSaved(const absl::Status& status);
  void HaveRenewal(const absl::Status& status);
  std::shared_ptr<Lease> MakeLease(asio::any_io_executor executor,
                                   StubSource stubs);
  void ShowSnapshot(const Snapshot& snapshot) {
    metrics_.revision.Set(static_cast<double>(snapshot.revision()));
    metrics_.objects.Set(static_cast<double>(snapshot.object_count()));
  }
  absl::Duration Staleness() const {
    sync::MutexLock lock(&mutex_);
    return std::max(absl::Now() - heard_at_, absl::ZeroDuration());
  }

  const Options options_;
  ClientMetrics metrics_;
  std::shared_ptr<Follower> follower_;
  std::shared_ptr<Lease> lease_;
  std::unique_ptr<Saver> saver_;
  metrics::CollectHook staleness_hook_;

  mutable sync::Mutex mutex_;
  std::condition_variable_any ended_changed_;
  // Not std::atomic<std::shared_ptr>: libstdc++ 12 guards that with a lock bit
  // too, which TSan can't see.
  std::shared_ptr<const Snapshot> snapshot_ ABSL_GUARDED_BY(mutex_);
  absl::Time heard_at_ ABSL_GUARDED_BY(mutex_);
  bool connected_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool lease_ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::string error_ ABSL_GUARDED_BY(mutex_) = "not connected yet";

  // Held while the follower tells something, so that Stop() can wait for that.
  sync::Mutex telling_;
  bool stopped_ ABSL_GUARDED_BY(telling_) = false;
  std::vector<std::function<void(const std::shared_ptr<const Snapshot>&)>>
      listeners_ ABSL_GUARDED_BY(telling_);
  int64_t changes_ ABSL_GUARDED_BY(telling_) = 0;
  int64_t skipped_ ABSL_GUARDED_BY(telling_) = 0;

  bool save_failed_ = false;   // Of the saver's thread.
  absl::Status lease_status_;  // Of the lease's strand.
};

void RegistryClient::Impl::Start(std::vector<v1::Kind> kinds, bool resume,
                                 asio::any_io_executor executor,
                                 const StubSource& stubs,
                                 metrics::Registry* metrics) {
  staleness_hook_ = metrics->OnCollect(
      [this] { metrics_.staleness.Set(absl::ToDoubleSeconds(Staleness())); });
  if (!options_.state_dir.empty()) {
    saver_ = std::make_unique<Saver>(
        LastGoodFile(options_.state_dir), kinds,
        [this](const absl::Status& status) { HaveSaved(status); });
  }
  Follower::Settings settings;
  settings.client_id = options_.client_id;
  settings.kinds = std::move(kinds);
  settings.silence_timeout = options_.silence_timeout;
  settings.accept_new_epoch = options_.accept_new_epoch;
  settings.resume = resume;
  lease_ = MakeLease(executor, stubs);
  if (!snapshot()->epoch().empty()) lease_->Begin();
  follower_ =
      std::make_shared<Follower>(std::move(executor), stubs,
                                 std::move(settings), snapshot(), MakeEvents());
  follower_->Start();
}

std::shared_ptr<Lease> RegistryClient::Impl::MakeLease(
    asio::any_io_executor executor, StubSource stubs) {
  v1::Instance instance;
  instance.set_service(
      options_.client_id.substr(0, options_.client_id.find('/')));
  instance.set_address(options_.advertise_address);
  instance.set_zone(options_.zone);
  const int64_t now = absl::ToUnixNanos(absl::Now());
  instance.mutable_started_at()->set_seconds(now / 1'000'000'000);
  instance.mutable_started_at()->set_nanos(
      static_cast<int32_t>(now % 1'000'000'000));

  Lease::Events events;
  events.on_renewal = [weak = weak_from_this()](const absl::Status& status) {
    if (const auto self = weak.lock()) self->HaveRenewal(status);
  };
  events.on_end = [weak = weak_from_this()] {
    const std::shared_ptr<Impl> self = weak.lock();
    if (self == nullptr) return;
    sync::MutexLock lock(&self->mutex_);
    self->lease_ended_ = true;
    self->ended_changed_.notify_all();
  };
  return std::make_shared<Lease>(std::move(executor), std::move(stubs),
                                 options_.client_id, std::move(instance),
                                 std::move(events));
}

void RegistryClient::Impl::HaveRenewal(const absl::Status& status) {
  metrics_.lease_held.Set(status.ok() ? 1 : 0);
  if (!status.ok()) metrics_.lease_failures.Increment();
  const absl::Status before = std::exchange(lease_status_, status);
  // A registry that is away is told of elsewhere.
  if (status.code() == before.code() || absl::IsUnavailable(status) ||
      absl::IsDeadlineExceeded(status)) {
    return;
  }
  if (!status.ok()) {
    logging::Warn("the registry refuses the lease of this process",
                  {{"instance", options_.client_id}, {"err", status}});
  }
}

Follower::Events RegistryClient::Impl::MakeEvents() {
  // The follower may outlive us; what it says then is not heard.
  const auto tell = [weak = weak_from_this()](auto&& event) {
    const std::shared_ptr<Impl> self = weak.lock();
    if (self == nullptr) return;
    sync::MutexLock lock(&self->telling_);
    if (!self->stopped_) event(self.get());
  };
  Follower::Events events;
  events.on_snapshot = [tell](std::shared_ptr<const Snapshot> snapshot,
                              bool replaced, const WatchState& state) {
    tell([&](Impl* self) {
      self->HaveSnapshot(std::move(snapshot), replaced, state);
    });
  };
  events.on_message = [tell] { tell([](Impl* self) { self->HaveMessage(); }); };
  events.on_refusal = [tell](WatchState::Refusal refusal,
                             const std::string& message) {
    tell([&](Impl* self) {
      self->metrics_.refused(refusal).Increment();
      logging::Error(refusal == WatchState::Refusal::kDiverged
                         ? "the copy of the registry is wrong, and replaced"
                         : "the registry is refused, the last good copy stays",
                     {{"reason", WatchState::Name(refusal)},
                      {"address", self->options_.address},
                      {"err", message}});
    });
  };
  events.on_disconnect = [tell](const absl::Status& status) {
    tell([&](Impl* self) { self->HaveDisconnect(status); });
  };
  events.on_end = [weak = weak_from_this()] {
    const std::shared_ptr<Impl> self = weak.lock();
    if (self == nullptr) return;
    sync::MutexLock lock(&self->mutex_);
    self->ended_ = true;
    self->ended_changed_.notify_all();
  };
  return events;
}

void RegistryClient::Impl::HaveSnapshot(
    std::shared_ptr<const Snapshot> snapshot, bool replaced,
    const WatchState& state) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (replaced) {
    logging::Info("took a new copy of the registry",
                  {{"revision", snapshot->revision()},
                   {"objects", snapshot->object_count()},
                   {"epoch", snapshot->epoch()}});
  }
  {
    sync::MutexLock lock(&mutex_);
    snapshot_ = snapshot;
  }
  ShowSnapshot(*snapshot);
  metrics_.changes.Increment(static_cast<double>(state.changes() - changes_));
  metrics_.skipped.Increment(static_cast<double>(state.skipped() - skipped_));
  changes_ = state.changes();
  skipped_ = state.skipped();
  metrics_.rejected.Set(static_cast<double>(state.rejections().size()));
  for (const auto& listener : listeners_) listener(snapshot);
  lease_->Begin();
  if (saver_ != nullptr) saver_->Offer(std::move(snapshot), replaced);
}

void RegistryClient::Impl::HaveMessage() {
  bool is_news = false;
  {
    sync::MutexLock lock(&mutex_);
    heard_at_ = absl::Now();
    is_news = !std::exchange(connected_, true);
    error_.clear();
  }
  metrics_.connected.Set(1);
  if (is_news) {
    logging::Info("following the registry", {{"address", options_.address}});
  }
}

void RegistryClient::Impl::HaveDisconnect(const absl::Status& status) {
  metrics_.connected.Set(0);
  metrics_.disconnects.Increment();
  bool is_news = false;
  {
    sync::MutexLock lock(&mutex_);
    connected_ = false;
    is_news = error_ != status.message();
    error_ = std::string(status.message());
  }
  // It is tried again several times a second.
  if (is_news) {
    logging::Warn("the registry is away, going on with what is known",
                  {{"address", options_.address}, {"err", status}});
  }
}

void RegistryClient::Impl::HaveSaved(const absl::Status& status) {
  if (!status.ok()) {
    metrics_.save_failures.Increment();
    if (!save_failed_) {
      logging::Error("the copy of the registry can't be saved",
                     {{"err", status}});
    }
  } else if (save_failed_) {
    logging::Info("the copy of the registry can be saved again");
  }
  save_failed_ = !status.ok();
}

absl::Status RegistryClient::Impl::Ready() const {
  const absl::Duration staleness = Staleness();
  sync::MutexLock lock(&mutex_);
  if (snapshot_->epoch().empty()) {
    return absl::UnavailableError(
        absl::StrCat("no copy of the tenant-registry yet: ", options_.address,
                     ": ", error_.empty() ? "receiving it" : error_));
  }
  if (options_.max_staleness > absl::ZeroDuration() &&
      staleness > options_.max_staleness) {
    return absl::UnavailableError(absl::StrCat(
        "the tenant-registry at ", options_.address, " has been silent for ",
        absl::FormatDuration(absl::Trunc(staleness, absl::Seconds(1))),
        ", more than max_staleness ",
        absl::FormatDuration(options_.max_staleness), ": ", error_));
  }
  return absl::OkStatus();
}

void RegistryClient::Impl::OnChange(
    std::function<void(const std::shared_ptr<const Snapshot>&)> listener) {
  follower_->Post([weak = weak_from_this(), listener = std::move(listener)] {
    const std::shared_ptr<Impl> self = weak.lock();
    if (self == nullptr) return;
    sync::MutexLock lock(&self->telling_);
    if (self->stopped_) return;
    listener(self->snapshot());
    self->listeners_.push_back(listener);
  });
}

void RegistryClient::Impl::Stop() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  {
    sync::MutexLock lock(&telling_);
    stopped_ = true;
    listeners_.clear();
  }
  staleness_hook_ = metrics::CollectHook();
  lease_->Stop();
  follower_->Stop();
  {
    std::unique_lock<sync::Mutex> lock(mutex_);
    if (!ended_changed_.wait_for(lock, kLongestEnd,
                                 [this] { return ended_ && lease_ended_; })) {
      logging::Error(
          "the stream to the registry does not end: its executor "
          "does not run");
    }
  }
  saver_ = nullptr;
}

absl::StatusOr<std::unique_ptr<RegistryClient>> RegistryClient::Start(
    Options options, std::vector<v1::Kind> kinds,
    asio::any_io_executor executor, metrics::Registry* metrics) {
  RETURN_IF_ERROR(options.Validate());
  ASSIGN_OR_RETURN(const StubSource stubs, MakeStubs(options, metrics));
  ClientMetrics client_metrics(metrics);
  LastGood last_good = LoadLastGood(options, &client_metrics);
  // A copy with other kinds, or with gaps, is served but not gone on from.
  const bool resume = last_good.kinds == kinds && last_good.rejected == 0;

  auto impl = std::make_shared<Impl>(std::move(options), client_metrics,
                                     std::move(last_good));
  impl->Start(std::move(kinds), resume, std::move(executor), stubs, metrics);
  return std::unique_ptr<RegistryClient>(new RegistryClient(std::move(impl)));
}

RegistryClient::RegistryClient(std::shared_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

RegistryClient::~RegistryClient() { impl_->Stop(); }

std::shared_ptr<const Snapshot> RegistryClient::snapshot() const {
  return impl_->snapshot();
}

absl::Status RegistryClient::Ready() const { return impl_->Ready(); }

void RegistryClient::EndLease() { impl_->EndLease(); }

void RegistryClient::OnChange(
    std::function<void(const std::shared_ptr<const Snapshot>&)> listener) {
  impl_->OnChange(std::move(listener));
}

}  // namespace insula::registry_client
