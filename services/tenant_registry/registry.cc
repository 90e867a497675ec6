#include "services/tenant_registry/registry.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/page_token.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;

constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;
constexpr size_t kMaxPageBytes = 1 << 20;
constexpr size_t kMaxClientIdBytes = 253;
constexpr int kMaxKinds = 100;

bool IsClientId(absl::string_view id) {
  if (id.empty() || id.size() > kMaxClientIdBytes) return false;
  for (const char c : id) {
    if (c <= ' ' || c > '~') return false;
  }
  return true;
}

absl::Status CheckKind(v1::Kind kind) {
  if (!tenancy::KindName(kind).empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "kind: ", static_cast<int>(kind), " is none that this registry knows"));
}

}  // namespace

Registry::Registry(std::unique_ptr<Store> store, RegistryOptions options,
                   Environment environment)
    : store_(std::move(store)),
      options_(options),
      environment_(std::move(environment)),
      metrics_(environment_.metrics),
      leases_(options_.lease_ttl) {
  behind_hook_ = environment_.metrics->OnCollect([this] {
    metrics_.behind.Set(
        absl::ToDoubleSeconds(hub_.Behind(environment_.clock->Now())));
  });
}

absl::StatusOr<std::shared_ptr<Registry>> Registry::Open(
    std::unique_ptr<Store> store, RegistryOptions options,
    Environment environment) {
  std::shared_ptr<Registry> registry(
      new Registry(std::move(store), options, std::move(environment)));
  sync::MutexLock lock(&registry->mutex_);
  State& state = registry->state_;
  ASSIGN_OR_RETURN(
      Store::Head head, registry->store_->Load([&state](v1::Object object) {
        state.Load(std::make_shared<v1::Object>(std::move(object)));
      }));
  RETURN_IF_ERROR(registry->store_->LoadRetirements(
      [&state](const Retirement& retirement) { state.Load(retirement); }));
  state.FinishLoading(head.revision);
  registry->epoch_ = std::move(head.epoch);
  registry->compacted_revision_ = head.compacted_revision;
  {
    // All have the chance to say that they are still there.
    sync::MutexLock leases_lock(&registry->leases_mutex_);
    for (const auto& [id, instance] : state.OfKind(v1::KIND_INSTANCE)) {
      registry->leases_.Renew(id, registry->environment_.steady->Now());
    }
  }
  Metrics& metrics = registry->metrics();
  metrics.revision.Set(static_cast<double>(head.revision));
  metrics.retired_identities.Set(static_cast<double>(state.retired().size()));
  for (const auto& [kind, gauge] : metrics.objects) {
    gauge->Set(static_cast<double>(state.OfKind(kind).size()));
  }
  return registry;
}

absl::StatusOr<v1::GetResponse> Registry::Get(const v1::ObjectRef& ref) const {
  RETURN_IF_ERROR(CheckKind(ref.kind()));
  v1::GetResponse response;
  ObjectPtr object;
  {
    sync::MutexLock lock(&mutex_);
    object = state_.Find(KeyOf(ref));
    response.set_revision(state_.revision());
  }
  if (object == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no ", Name(KeyOf(ref))));
  }
  *response.mutable_object() = *object;
  return response;
}

absl::StatusOr<v1::ListResponse> Registry::List(
    const v1::ListRequest& request) const {
  RETURN_IF_ERROR(CheckKind(request.kind()));
  if (request.page_size() < 0 || request.page_size() > kMaxPageSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_size: must be 1 to ", kMaxPageSize,
                     ", or 0 for the default; got ", request.page_size()));
  }
  PageToken token;
  token.request =
      absl::StrCat(static_cast<int>(request.kind()), ".", request.page_size(),
                   ".", absl::BytesToHexString(request.id_prefix()));
  std::vector<ObjectPtr> page;
  v1::ListResponse response;
  {
    sync::MutexLock lock(&mutex_);
    token.state = absl::StrCat(epoch_, ".", state_.LastChange(request.kind()));
    std::string after;
    if (!request.page_token().empty()) {
      ASSIGN_OR_RETURN(after, ReadPageToken(request.page_token(), token));
    }
    response.set_revision(state_.revision());
    const size_t limit =
        request.page_size() == 0 ? kDefaultPageSize : request.page_size();
    const State::Objects& objects = state_.OfKind(request.kind());
    size_t bytes = 0;
    auto it = after.empty() ? objects.lower_bound(request.id_prefix())
                            : objects.upper_bound(after);
    for (; it != objects.end(); ++it) {
      if (it->first.compare(0, request.id_prefix().size(),
                            request.id_prefix()) != 0) {
        break;
      }
      if (page.size() == limit || bytes > kMaxPageBytes) {
        response.set_next_page_token(
            WritePageToken(token, page.back()->meta().id()));
        break;
      }
      bytes += it->second->ByteSizeLong();
      page.push_back(it->second);
    }
  }
  for (const ObjectPtr& object : page) *response.add_objects() = *object;
  return response;
}

v1::StatusResponse Registry::Status() const {
  v1::StatusResponse response;
  response.set_epoch(epoch_);
  for (v1::Follower& follower : hub_.Followers(environment_.clock->Now())) {
    *response.add_followers() = std::move(follower);
  }
  sync::MutexLock lock(&mutex_);
  response.set_revision(state_.revision());
  response.set_oldest_revision(compacted_revision_);
  for (const auto& [kind, objects] : state_.kinds()) {
    const std::string name(tenancy::KindName(kind));
    (*response.mutable_objects_by_kind())[name] +=
        static_cast<int64_t>(objects.size());
  }
  return response;
}

bool Registry::IsRetired(const StoreIdentity& identity,
                         absl::string_view uid) const {
  bool retired = false;
  sync::MutexLock lock(&mutex_);
  state_.retired().ForEachOverlap(
      identity, [&](const StoreIdentity&, const FormerTenant& former) {
        retired = retired || former.uid != uid;
      });
  return retired;
}

std::shared_ptr<const Registry::View> Registry::CurrentView() const {
  sync::MutexLock lock(&mutex_);
  return ViewLocked();
}

std::shared_ptr<const Registry::View> Registry::ViewLocked() const {
  if (std::shared_ptr<const View> view = view_.lock()) return view;
  auto view = std::make_shared<View>();
  view->revision = state_.revision();
  view->digest = std::make_shared<const tenancy::SetDigest>(state_.digest());
  for (const auto& [kind, objects] : state_.kinds()) {
    view->objects.reserve(view->objects.size() + objects.size());
    for (const auto& [id, object] : objects) view->objects.push_back(object);
  }
  view_ = view;
  return view;
}

std::vector<ObjectPtr> Registry::ObjectsOf(v1::Kind kind) const {
  std::vector<ObjectPtr> found;
  sync::MutexLock lock(&mutex_);
  const State::Objects& objects = state_.OfKind(kind);
  found.reserve(objects.size());
  for (const auto& [id, object] : objects) found.push_back(object);
  return found;
}

void Registry::SetFiles(std::set<std::string> sources) {
  sync::MutexLock lock(&mutex_);
  state_.SetFiles(std::move(sources));
}

bool Registry::Keeps(const std::string& source) const {
  if (!absl::StartsWith(source, "file:")) return true;
  sync::MutexLock lock(&mutex_);
  return state_.IsFileRead(source);
}

void Registry::AddListener(Listener listener) {
  sync::MutexLock lock(&mutex_);
  listeners_.push_back(std::move(listener));
}

absl::StatusOr<Registry::Subscription> Registry::Subscribe(
    const v1::Subscribe& request, std::string peer,
    asio::any_io_executor strand) {
  if (!IsClientId(request.client_id())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "client_id: must be 1 to ", kMaxClientIdBytes,
        " printable ASCII characters without spaces, e.g. ingest-gateway/a"));
  }
  if (request.kinds_size() > kMaxKinds) {
    return absl::InvalidArgumentError(
        absl::StrCat("kinds: has ", request.kinds_size(), ", may have ",
                     kMaxKinds, "; none stands for all"));
  }
  // Kinds that only a newer registry knows are no error: none come.
  std::set<v1::Kind> kinds;
  for (const int kind : request.kinds()) {
    kinds.insert(static_cast<v1::Kind>(kind));
  }
  Subscription subscription;
  subscription.epoch = epoch_;
  subscription.resume_revision = request.resume_revision();
  sync::MutexLock lock(&mutex_);
  subscription.revision = state_.revision();
  const bool resumes = request.epoch() == epoch_ &&
                       request.resume_revision() > 0 &&
                       request.resume_revision() >= compacted_revision_ &&
                       request.resume_revision() >= log_begin_ &&
                       request.resume_revision() <= subscription.revision;
  Watcher::Options options;
  options.client_id = request.client_id();
  options.peer = std::move(peer);
  options.kinds = std::move(kinds);
  options.revision = subscription.revision;
  options.held_revision = resumes ? request.resume_revision() : 0;
  options.digest = std::make_shared<const tenancy::SetDigest>(state_.digest());
  options.queue_limit = static_cast<size_t>(options_.watch_queue);
  options.now = environment_.clock->Now();
  subscription.watcher =
      std::make_shared<Watcher>(std::move(strand), std::move(options));
  RETURN_IF_ERROR(hub_.Add(subscription.watcher,
                           static_cast<size_t>(options_.max_watchers)));
  metrics().watchers.Set(static_cast<double>(hub_.size()));
  if (!resumes) subscription.snapshot = ViewLocked();
  return subscription;
}

void Registry::Unsubscribe(const std::shared_ptr<Watcher>& watcher) {
  hub_.Remove(watcher);
  metrics().watchers.Set(static_cast<double>(hub_.size()));
}

asio::awaitable<absl::StatusOr<std::vector<Change>>> Registry::ChangesAfter(
    int64_t revision, int limit) {
  auto changes = std::make_shared<std::vector<Change>>();
  auto read = [self = shared_from_this(), changes, revision,
               limit]() -> absl::Status {
    ASSIGN_OR_RETURN(*changes, self->store_->ChangesAfter(revision, limit));
    return absl::OkStatus();
  };
  CO_RETURN_IF_ERROR(co_await environment_.blocking->Run(read));
  co_return std::move(*changes);
}

void Registry::CloseWatches() { hub_.Close(); }

int64_t Registry::revision() const {
  sync::MutexLock lock(&mutex_);
  return state_.revision();
}

}  // namespace insula::tenant_registry
