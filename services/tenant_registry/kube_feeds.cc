#include "services/tenant_registry/kube_feeds.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/kube/json.h"
#include "libs/logging/logging.h"

namespace insula::tenant_registry {

namespace asio = boost::asio;

constexpr absl::Duration kLookTimeout = absl::Seconds(5);

const std::vector<std::pair<KubeKind, kube::Resource>>& KubeResources() {
  static const auto* const kResources =
      new std::vector<std::pair<KubeKind, kube::Resource>>{
          {KubeKind::kMetricAccess,
           {"observability.ethos.io", "v1alpha1", "metricaccesses"}},
          {KubeKind::kOpenMetricsRule,
           {"open-metrics.vgs.io", "v1", "openmetricsrules"}},
          {KubeKind::kMetricsIngestionTenant,
           {"open-metrics.vgs.io", "v1", "metricsingestiontenants"}}};
  return *kResources;
}

KubeFeeds::KubeFeeds(Options options, kube::Client* client,
                     std::function<void()> changed,
                     asio::any_io_executor executor, metrics::Registry* metrics)
    : changed_(std::move(changed)) {
  std::vector<std::string> namespaces = std::move(options.namespaces);
  if (namespaces.empty()) namespaces.emplace_back();
  for (const auto& [kind, resource] : KubeResources()) {
    if (!options.kinds.empty() && !options.kinds.contains(kind)) continue;
    for (const std::string& name_space : namespaces) {
      auto feed = std::make_unique<Feed>();
      feed->kind = kind;
      feed->selection.resource = resource;
      feed->selection.namespace_name = name_space;
      feeds_.push_back(std::move(feed));
    }
  }
  // Once feeds_ stays as it is: from here on, listeners are called.
  for (const std::unique_ptr<Feed>& feed : feeds_) {
    kube::InformerOptions informer;
    informer.selection = feed->selection;
    feed->informer = std::make_unique<kube::Informer>(
        std::move(informer), client,
        [this, feed = feed.get()](const std::vector<kube::Change>& changes) {
          Hear(feed, changes);
        },
        executor, metrics);
  }
}

KubeFeeds::~KubeFeeds() {
  for (const std::unique_ptr<Feed>& feed : feeds_) feed->informer.reset();
}

void KubeFeeds::Hear(Feed* feed, const std::vector<kube::Change>& changes) {
  {
    sync::MutexLock lock(&mutex_);
    listed_.insert(feed);
    for (const kube::Change& change : changes) {
      pending_[{feed->kind, change.key}] = change.after;
    }
  }
  changed_();
}

KubeFeeds::Batch KubeFeeds::Take() {
  Batch batch;
  for (const auto& [kind, resource] : KubeResources()) {
    batch.listed.insert(kind);
  }
  sync::MutexLock lock(&mutex_);
  batch.changes.swap(pending_);
  for (const std::unique_ptr<Feed>& feed : feeds_) {
    if (!listed_.contains(feed.get())) batch.listed.erase(feed->kind);
  }
  return batch;
}

absl::Status KubeFeeds::status() const {
  for (const std::unique_ptr<Feed>& feed : feeds_) {
    const absl::Status status = feed->informer->status();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

kube::Object KubeFeeds::Find(const KubeKey& key) const {
  for (const std::unique_ptr<Feed>& feed : feeds_) {
    if (feed->kind != key.first) continue;
    if (kube::Object found = feed->informer->Find(key.second)) return found;
  }
  return nullptr;
}

bool KubeKindWatch::WantsLook(KubeKind kind) const {
  const auto it = known_.find(kind);
  if (it == known_.end()) return true;
  const Known& known = it->second;
  return known.gone || (known.uid.empty() && !known.forbidden);
}

asio::awaitable<KubeKindState> KubeKindWatch::Look(KubeKind kind) {
  kube::Resource resource;
  for (const auto& [candidate, place] : KubeResources()) {
    if (candidate == kind) resource = place;
  }
  kube::ApiRequest request;
  request.path =
      kube::Resource{"apiextensions.k8s.io", "v1", "customresourcedefinitions"}
          .ObjectPath("", resource.Name());
  const absl::StatusOr<kube::Json> answer =
      co_await client_->Call(std::move(request), absl::Now() + kLookTimeout);
  Known& known = known_[kind];
  if (absl::IsNotFound(answer.status())) {
    known.gone = true;
    co_return KubeKindState::kGone;
  }
  if (absl::IsPermissionDenied(answer.status())) {
    known.forbidden = true;
    if (!std::exchange(warned_, true)) {
      logging::Warn(
          "may not look at CustomResourceDefinitions, so the deletion of one "
          "is taken for that of its objects; give the right to get it",
          {{"err", answer.status()}});
    }
    co_return KubeKindState::kThere;
  }
  if (!answer.ok()) co_return KubeKindState::kUnknown;
  const std::string uid = kube::StringAt(*answer, {"metadata", "uid"});
  if (!kube::StringAt(*answer, {"metadata", "deletionTimestamp"}).empty()) {
    if (known.uid.empty()) known.uid = uid;
    known.gone = true;
    co_return KubeKindState::kGone;
  }
  const bool another = !known.uid.empty() && known.uid != uid;
  known.uid = uid;
  known.gone = false;
  // It was deleted and made again since.
  co_return another ? KubeKindState::kGone : KubeKindState::kThere;
}

}  // namespace insula::tenant_registry
