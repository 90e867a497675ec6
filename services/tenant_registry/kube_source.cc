#include "services/tenant_registry/kube_source.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/http/proxy.h"
#include "libs/kube/client.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/kube_applier.h"
#include "services/tenant_registry/kube_book.h"
#include "services/tenant_registry/kube_feeds.h"
#include "services/tenant_registry/kube_metrics.h"
#include "services/tenant_registry/kube_planner.h"
#include "services/tenant_registry/kube_report.h"
#include "services/tenant_registry/kube_status.h"
#include "services/tenant_registry/planner.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;

// Changes come in bursts; those of so long are made together.
constexpr absl::Duration kSettle = absl::Milliseconds(10);
// How often to look again: at what failed, after a change of the registry that
// may matter, and in any case.
constexpr absl::Duration kRetry = absl::Seconds(1);
constexpr absl::Duration kResync = absl::Seconds(10);

}  // namespace

// All but what is called from elsewhere is used on its strand, or on a thread
// of the pool while that waits.
class KubeSource::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(std::shared_ptr<Registry> registry, KubeSourceOptions options,
       kube::Cluster cluster, asio::any_io_executor executor,
       runtime::BlockingPool* blocking, metrics::Registry* metrics,
       http::ProxyRules proxy)
      : registry_(std::move(registry)),
        options_(std::move(options)),
        blocking_(blocking),
        executor_(std::move(executor)),
        metrics_registry_(metrics),
        strand_(asio::make_strand(executor_)),
        wake_(strand_),
        metrics_(metrics),
        client_(std::move(cluster), ClientOptions(blocking, std::move(proxy)),
                executor_, metrics),
        kinds_(&client_),
        planner_(options_.max_deletion_percent),
        applier_(registry_, &metrics_) {}

  void Start();
  void Stop();

 private:
  static kube::ClientOptions ClientOptions(runtime::BlockingPool* blocking,
                                           http::ProxyRules proxy) {
    kube::ClientOptions options;
    options.proxy = std::move(proxy);
    options.run_blocking = [blocking](std::function<absl::Status()> work) {
      return blocking->Run(std::move(work));
    };
    return options;
  }
  KubeFeeds::Options FeedOptions() const;

  // Called from elsewhere.
  void HearKubernetes();
  void HearRegistry(const Change& change);

  asio::awaitable<void> RunBoth();
  asio::awaitable<void> Run();
  asio::awaitable<void> WaitForWork();

  // Makes the registry as Kubernetes has it now.
  asio::awaitable<void> Pass();
  asio::awaitable<KubeBook::News> TakeNews();
  asio::awaitable<void> DecideAboutVanished(std::set<KubeKind> appeared);
  void Plan(bool new_policies);
  void Report();

  const std::shared_ptr<Registry> registry_;
  const KubeSourceOptions options_;
  runtime::BlockingPool* const blocking_;
  const asio::any_io_executor executor_;
  metrics::Registry* const metrics_registry_;
  asio::strand<asio::any_io_executor> strand_;
  std::promise<void> ended_;

  asio::steady_timer wake_;
  bool stopped_ = false;
  bool triggered_ = true;         // Look now.
  bool soon_ = false;             // Look after kRetry.
  bool policies_changed_ = true;  // Since the last plan.
  bool refused_some_ = false;     // By the registry.
  KubeMetrics metrics_;
  kube::Client client_;
  KubeKindWatch kinds_;
  KubeBook book_;
  KubePlanner planner_;
  KubeOutcome outcome_;  // Of the last plan.
  KubeApplier applier_;
  std::set<KubeKind> listed_;
  size_t held_logged_ = 0;

  std::unique_ptr<KubeFeeds> feeds_;
  std::unique_ptr<KubeStatusWriter> writer_;
};

KubeFeeds::Options KubeSource::Impl::FeedOptions() const {
  KubeFeeds::Options feeds;
  feeds.namespaces = options_.namespaces;
  for (const auto& [kind, resource] : KubeResources()) {
    if (std::count(options_.kinds.begin(), options_.kinds.end(),
                   resource.plural) > 0) {
      feeds.kinds.insert(kind);
    }
  }
  return feeds;
}

void KubeSource::Impl::Start() {
  const std::weak_ptr<Impl> weak = weak_from_this();
  feeds_ = std::make_unique<KubeFeeds>(
      FeedOptions(), &client_, [this] { HearKubernetes(); }, executor_,
      metrics_registry_);
  if (options_.write_status) {
    writer_ = std::make_unique<KubeStatusWriter>(
        options_.status_writes_per_second, strand_, &client_, feeds_.get(),
        &metrics_);
  }
  registry_->AddListener([weak](const Change& change) {
    const std::shared_ptr<Impl> self = weak.lock();
    if (self != nullptr) self->HearRegistry(change);
    return self != nullptr;
  });
  asio::co_spawn(strand_, RunBoth(),
                 [self = shared_from_this()](std::exception_ptr failure) {
                   if (failure != nullptr) {
                     logging::Error(
                         "the Kubernetes source ended by an "
                         "exception");
                   }
                   self->ended_.set_value();
                 });
}

void KubeSource::Impl::Stop() {
  asio::post(strand_, [self = shared_from_this()] {
    self->stopped_ = true;
    self->wake_.cancel();
    if (self->writer_ != nullptr) self->writer_->Stop();
  });
  ended_.get_future().wait();
  feeds_.reset();  // Nothing uses them any more.
  // What was posted before is done then.
  asio::post(strand_, asio::use_future([] {})).wait();
}

void KubeSource::Impl::HearKubernetes() {
  asio::post(strand_, [self = shared_from_this()] {
    self->triggered_ = true;
    self->wake_.cancel();
  });
}

void KubeSource::Impl::HearRegistry(const Change& change) {
  bool policies = false;
  bool ours = false;  // Might be.
  bool others = false;
  for (const Change::Item& item : change.items) {
    policies = policies || item.key.kind == v1::KIND_POLICY;
    if (item.object != nullptr &&
        item.object->meta().source() == kKubernetesSource) {
      continue;  // From here, most likely.
    }
    others = true;
    ours = ours || item.key.kind == v1::KIND_TENANT ||
           item.key.kind == v1::KIND_ACCESS;
  }
  if (!others) return;
  asio::post(strand_, [self = shared_from_this(), policies, ours] {
    self->policies_changed_ = self->policies_changed_ || policies;
    self->triggered_ = self->triggered_ || policies;
    self->soon_ = self->soon_ || ours || self->refused_some_;
    if (policies) self->wake_.cancel();
  });
}

asio::awaitable<void> KubeSource::Impl::RunBoth() {
  using namespace asio::experimental::awaitable_operators;  // NOLINT
  if (writer_ == nullptr) {
    co_await Run();
  } else {
    co_await (Run() && writer_->Run());
  }
}

asio::awaitable<void> KubeSource::Impl::Run() {
  while (!stopped_) {
    triggered_ = false;
    soon_ = false;
    co_await Pass();
    if (!stopped_) co_await WaitForWork();
  }
}

asio::awaitable<void> KubeSource::Impl::WaitForWork() {
  const absl::Time passed = absl::Now();
  const bool again = !outcome_.complete || !book_.undecided().empty();
  while (!triggered_ && !stopped_) {
    const absl::Time next = passed + (again || soon_ ? kRetry : kResync);
    const absl::Time now = absl::Now();
    if (now >= next) co_return;
    wake_.expires_after(
        absl::ToChronoNanoseconds(std::min(next - now, kRetry)));
    co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  if (stopped_) co_return;
  asio::steady_timer settle(strand_, absl::ToChronoNanoseconds(kSettle));
  co_await settle.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<void> KubeSource::Impl::Pass() {
  const KubeBook::News news = co_await TakeNews();
  if (writer_ != nullptr) writer_->Check(news.same);
  co_await DecideAboutVanished(news.appeared);
  const bool new_policies = std::exchange(policies_changed_, false);
  auto plan = [this, new_policies] {
    Plan(new_policies);
    return absl::OkStatus();
  };
  const absl::Status planned = co_await blocking_->Run(plan);
  if (!planned.ok()) {  // The pool is full. All is still to be done.
    policies_changed_ = policies_changed_ || new_policies;
    outcome_.complete = false;
    metrics_.apply_failures.Increment();
    co_return;
  }
  auto interrupted = [this] { return triggered_ || stopped_; };
  outcome_.refused =
      co_await applier_.Make(outcome_.changes, interrupted, &outcome_.complete);
  refused_some_ = !outcome_.refused.empty();
  Report();
}

asio::awaitable<KubeBook::News> KubeSource::Impl::TakeNews() {
  struct Taken {
    KubeFeeds::Batch batch;
    KubeBook::News news;
  };
  const auto taken = std::make_shared<Taken>();
  taken->batch = feeds_->Take();
  listed_ = taken->batch.listed;
  if (taken->batch.changes.empty()) co_return taken->news;
  auto work = [this, taken] {
    taken->news = book_.Take(taken->batch.changes);
    return absl::OkStatus();
  };
  // Never lost: if the pool is full, it is done here.
  if (!(co_await blocking_->Run(work)).ok()) work().IgnoreError();
  co_return taken->news;
}

asio::awaitable<void> KubeSource::Impl::DecideAboutVanished(
    std::set<KubeKind> appeared) {
  std::set<KubeKind> looked;
  for (const KubeKind kind : book_.undecided()) {
    const KubeKindState state = co_await kinds_.Look(kind);
    book_.Decide(kind, state);
    looked.insert(kind);
    if (state != KubeKindState::kGone) continue;
    logging::Warn(
        "a kind of Kubernetes objects was deleted; what they declared stays "
        "until they are there again",
        {{"kind", KubeKindName(kind)}, {"kept", book_.kept()}});
  }
  for (const KubeKind kind : appeared) {
    if (looked.contains(kind) || !kinds_.WantsLook(kind)) continue;
    co_await kinds_.Look(kind);
  }
}

void KubeSource::Impl::Plan(bool new_policies) {
  planner_.Plan(LookAt(*registry_), book_.Items(), listed_, new_policies,
                &outcome_);
}

void KubeSource::Impl::Report() {
  const size_t held = planner_.held() + book_.kept();
  if (held > held_logged_) {
    logging::Warn(
        "too many objects have vanished from Kubernetes to be meant; they are "
        "kept. Raise kubernetes.max_deletion_percent if it is right",
        {{"held", held}});
  }
  held_logged_ = held;
  metrics_.held_deletions.Set(static_cast<double>(held));
  const bool synced = listed_.size() == KubeResources().size();
  metrics_.synced.Set(synced ? 1 : 0);
  if (synced && outcome_.complete && book_.undecided().empty() &&
      feeds_->status().ok()) {
    metrics_.last_success.Set(
        absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
  }
  std::map<KubeKey, KubeStatus> statuses =
      StatusesOf(planner_.items(), outcome_);
  Count(planner_.items(), statuses, &metrics_);
  if (writer_ != nullptr) writer_->Want(std::move(statuses));
}

absl::Status CheckKubeSource(const KubeSourceOptions& options) {
  const std::set<std::string> namespaces(options.namespaces.begin(),
                                         options.namespaces.end());
  if (namespaces.size() != options.namespaces.size() ||
      namespaces.contains("")) {
    return absl::InvalidArgumentError(
        "kubernetes.namespaces: has an empty or repeated name");
  }
  for (const std::string& kind : options.kinds) {
    bool known = false;
    std::string all;
    for (const auto& [ignored, resource] : KubeResources()) {
      known = known || resource.plural == kind;
      absl::StrAppend(&all, all.empty() ? "" : ", ", resource.plural);
    }
    if (!known) {
      return absl::InvalidArgumentError(absl::StrCat(
          "kubernetes.kinds: '", kind, "' is none, there are ", all));
    }
  }
  if (options.max_deletion_percent < 0 || options.max_deletion_percent > 100) {
    return absl::InvalidArgumentError(
        "kubernetes.max_deletion_percent: must be 0 to 100");
  }
  if (options.status_writes_per_second < 1 ||
      options.status_writes_per_second > 10'000) {
    return absl::InvalidArgumentError(
        "kubernetes.status_writes_per_second: must be 1 to 10000");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<KubeSource>> KubeSource::Start(
    std::shared_ptr<Registry> registry, KubeSourceOptions options,
    runtime::Process& process) {
  if (!options.enabled) return nullptr;
  ASSIGN_OR_RETURN(
      kube::Cluster cluster,
      options.kubeconfig.empty()
          ? kube::InCluster()
          : kube::ReadKubeconfig(options.kubeconfig, options.context));
  ASSIGN_OR_RETURN(http::ProxyRules proxy, http::ProxyRules::FromEnvironment());
  return std::make_unique<KubeSource>(std::move(registry), std::move(options),
                                      std::move(cluster), process.executor(),
                                      &process.blocking(), &process.metrics(),
                                      std::move(proxy));
}

KubeSource::KubeSource(std::shared_ptr<Registry> registry,
                       KubeSourceOptions options, kube::Cluster cluster,
                       asio::any_io_executor executor,
                       runtime::BlockingPool* blocking,
                       metrics::Registry* metrics, http::ProxyRules proxy)
    : impl_(std::make_shared<Impl>(std::move(registry), std::move(options),
                                   std::move(cluster), std::move(executor),
                                   blocking, metrics, std::move(proxy))) {
  impl_->Start();
}

KubeSource::~KubeSource() { impl_->Stop(); }

}  // namespace insula::tenant_registry
