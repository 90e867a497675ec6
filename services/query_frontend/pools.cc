#include "services/query_frontend/pools.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/http/url.h"
#include "libs/status/status_macros.h"
#include "libs/time/clock.h"

namespace insula::query_frontend {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::registry::v1;

// What is saved up for retries: a replica that dies takes that many requests
// with it at once.
constexpr double kMostRetries = 100;

bool SameServices(const v1::Upstream& a, const v1::Upstream& b) {
  if (a.has_query_services() != b.has_query_services()) return false;
  const v1::Upstream::Services& left = a.query_services();
  const v1::Upstream::Services& right = b.query_services();
  return left.namespace_() == right.namespace_() &&
         left.label_selector() == right.label_selector() &&
         left.port() == right.port();
}

// Whether both have the same replicas, and keep tenants apart in the same way.
bool SameReads(const v1::Upstream& a, const v1::Upstream& b) {
  if (a.query_url() != b.query_url() || a.isolation() != b.isolation() ||
      a.tenant_header() != b.tenant_header() ||
      a.query_balance() != b.query_balance() ||
      a.query_store() != b.query_store() || a.query_dns() != b.query_dns() ||
      a.query_file() != b.query_file() ||
      a.more_query_urls_size() != b.more_query_urls_size()) {
    return false;
  }
  for (int i = 0; i < a.more_query_urls_size(); ++i) {
    if (a.more_query_urls(i) != b.more_query_urls(i)) return false;
  }
  return SameServices(a, b);
}

std::string IdentityOf(const tenancy::Upstream& upstream) {
  v1::Upstream reads = upstream.spec;
  reads.clear_write_url();
  reads.clear_more_write_urls();
  reads.clear_write_protocol();
  reads.clear_timeout();
  return absl::StrCat(upstream.uid.size(), ":", upstream.uid,
                      reads.SerializeAsString());
}

absl::Status CannotLook(const tenancy::Upstream& upstream,
                        absl::string_view field, absl::string_view cure) {
  return absl::UnavailableError(absl::StrCat("insula: upstream ", upstream.id,
                                             " has ", field, ", but ", cure));
}

absl::Status AtLeast(absl::string_view key, absl::Duration value,
                     absl::Duration least) {
  if (value >= least) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, ": must be at least ", absl::FormatDuration(least)));
}

asio::awaitable<absl::StatusOr<http::Response>> Refuse(absl::Status why) {
  co_return why;
}

}  // namespace

void PoolsConfig::Describe(config::Fields& fields) {
  fields.Add("file_sd_dir", file_sd_dir,
             "Directory of the files that Upstream.query_file names. Empty: "
             "such upstreams are not asked.");
  fields.Add("discovery_interval", discovery_interval,
             "How often names are looked up and files are read.");
  fields.Add(
      "probe_interval", probe_interval,
      "How often each of several replicas is asked whether it is there.");
  fields.Add("probe_timeout", probe_timeout,
             "Longest wait for an answer to that.");
  fields.Add("version_interval", version_interval,
             "How often a replica is asked for its version, beside when it is "
             "new or back.");
}

absl::Status PoolsConfig::Validate() const {
  RETURN_IF_ERROR(AtLeast("upstream.discovery_interval", discovery_interval,
                          absl::Seconds(1)));
  RETURN_IF_ERROR(
      AtLeast("upstream.version_interval", version_interval, absl::Seconds(1)));
  RETURN_IF_ERROR(AtLeast("upstream.probe_interval", probe_interval,
                          absl::Milliseconds(10)));
  return AtLeast("upstream.probe_timeout", probe_timeout,
                 absl::Milliseconds(10));
}

asio::awaitable<absl::StatusOr<http::Response>> Pool::Send(
    backend_pool::BackendPool::Build build, absl::Time deadline) {
  if (!usable_.ok()) return Refuse(usable_);
  return backends_->Send(std::move(build), deadline);
}

Pools::Pools(PoolsConfig config, Environment environment)
    : config_(std::move(config)), environment_(std::move(environment)) {}

Pools::~Pools() = default;

std::shared_ptr<Pool> Pools::Make(const tenancy::Upstream& upstream) const {
  const v1::Upstream& spec = upstream.spec;
  auto pool = std::make_shared<Pool>();
  pool->identity_ = IdentityOf(upstream);
  backend_pool::BackendPool::Options options;
  options.name = upstream.id;
  options.replicas.mode =
      spec.query_balance() == v1::Upstream::QUERY_BALANCE_FIRST
          ? backend_pool::Mode::kActivePassive
          : backend_pool::Mode::kBalanced;
  options.retries.most = kMostRetries;
  options.probe_interval = config_.probe_interval;
  options.probe_timeout = config_.probe_timeout;
  pool->backends_ = std::make_shared<backend_pool::BackendPool>(
      options,
      backend_pool::BackendPool::Environment{.executor = environment_.executor,
                                             .client = environment_.client,
                                             .steady = SteadyClock::Get(),
                                             .metrics = environment_.metrics});
  const absl::StatusOr<http::Url> base = http::Url::Parse(spec.query_url());
  if (base.ok()) pool->base_ = *base;
  backend_pool::PolledDiscovery::Look look;
  if (!base.ok()) {
    pool->usable_ =
        CannotLook(upstream, "a query_url", "it can't be used, correct it");
  } else if (spec.query_dns()) {
    look = backend_pool::LookUpName(*base);
  } else if (!spec.query_file().empty()) {
    if (config_.file_sd_dir.empty()) {
      pool->usable_ = CannotLook(upstream, "a query_file",
                                 "upstream.file_sd_dir is not set here");
    } else {
      look = backend_pool::LookIntoFile(
          absl::StrCat(config_.file_sd_dir, "/", spec.query_file()), *base,
          environment_.run_blocking);
    }
  } else if (spec.has_query_services()) {
    if (environment_.kubernetes == nullptr) {
      pool->usable_ = CannotLook(upstream, "query_services",
                                 "kubernetes.enabled is not set here");
    }
  } else {
    std::vector<http::Url> urls = {*base};
    for (const std::string& text : spec.more_query_urls()) {
      const absl::StatusOr<http::Url> url = http::Url::Parse(text);
      if (url.ok()) urls.push_back(*url);
    }
    pool->backends_->Update(urls);
  }
  if (look) {
    backend_pool::PolledDiscovery::Options polled;
    polled.pool = upstream.id;
    polled.interval = config_.discovery_interval;
    pool->polled_ = std::make_unique<backend_pool::PolledDiscovery>(
        polled, std::move(look),
        [backends = pool->backends_](const std::vector<http::Url>& urls) {
          backends->Update(urls);
        },
        environment_.executor, environment_.metrics);
  }
  StoreVersion::Options version;
  version.ask_interval = config_.version_interval;
  version.timeout = config_.probe_timeout;
  version.ask_filters =
      spec.query_store() == v1::Upstream::QUERY_STORE_VICTORIA_METRICS;
  pool->version_ = std::make_unique<StoreVersion>(
      version, pool->backends_->replicas(), environment_.client,
      environment_.executor);
  return pool;
}

std::unique_ptr<backend_pool::ServiceDiscovery> Pools::FindServices(
    const tenancy::Upstream& upstream, const Pool& pool) const {
  const v1::Upstream& spec = upstream.spec;
  if (!spec.has_query_services() || !pool.usable_.ok()) return nullptr;
  const absl::StatusOr<http::Url> base = http::Url::Parse(spec.query_url());
  if (!base.ok()) return nullptr;
  kube::InformerOptions options;
  options.selection.namespace_name = spec.query_services().namespace_();
  options.selection.label_selector = spec.query_services().label_selector();
  backend_pool::ServicePort port;
  port.port = spec.query_services().port();
  port.scheme = base->scheme;
  port.path = base->target;
  return std::make_unique<backend_pool::ServiceDiscovery>(
      options, port, environment_.kubernetes,
      [backends = pool.backends_](const std::vector<http::Url>& urls) {
        backends->Update(urls);
      },
      environment_.executor, environment_.metrics);
}

void Pools::Retire(
    std::unique_ptr<backend_pool::ServiceDiscovery> services) const {
  if (services == nullptr) return;
  // std::function wants what can be copied.
  auto last = std::make_shared<std::unique_ptr<backend_pool::ServiceDiscovery>>(
      std::move(services));
  std::function<absl::Status()> end = [last = std::move(last)] {
    last->reset();
    return absl::OkStatus();
  };
  asio::co_spawn(environment_.executor,
                 environment_.run_blocking(std::move(end)), asio::detached);
}

std::shared_ptr<Pool> Pools::Of(const tenancy::Upstream& upstream) {
  std::unique_ptr<backend_pool::ServiceDiscovery> retired;
  std::shared_ptr<Pool> pool;
  {
    sync::MutexLock lock(&mutex_);
    Entry& entry = entries_[upstream.id];
    if (entry.pool != nullptr && entry.uid == upstream.uid &&
        SameReads(entry.spec, upstream.spec)) {
      return entry.pool;
    }
    // Of an older copy of the registry: what its policy says must not be asked
    // of the store that the upstream stands for now.
    if (entry.pool != nullptr && entry.mod_revision > upstream.mod_revision) {
      pool = Make(upstream);
      if (upstream.spec.has_query_services()) {
        pool->usable_ = CannotLook(upstream, "changed", "try again");
      }
      return pool;
    }
    retired = std::move(entry.services);
    entry.spec = upstream.spec;
    entry.uid = upstream.uid;
    entry.mod_revision = upstream.mod_revision;
    entry.pool = pool = Make(upstream);
    entry.services = FindServices(upstream, *pool);
  }
  Retire(std::move(retired));
  return pool;
}

void Pools::Follow(const tenancy::Snapshot& snapshot) {
  std::vector<Entry> gone;
  {
    sync::MutexLock lock(&mutex_);
    for (auto it = entries_.begin(); it != entries_.end();) {
      const tenancy::Upstream* const now = snapshot.FindUpstream(it->first);
      if (now != nullptr && now->uid == it->second.uid &&
          SameReads(now->spec, it->second.spec)) {
        ++it;
        continue;
      }
      gone.push_back(std::move(it->second));
      it = entries_.erase(it);
    }
  }
  for (Entry& entry : gone) Retire(std::move(entry.services));
}

std::vector<Pools::Status> Pools::Statuses() const {
  std::vector<Status> statuses;
  sync::MutexLock lock(&mutex_);
  for (const auto& [id, entry] : entries_) {
    Status status;
    status.upstream_id = id;
    status.version = entry.pool->dialect().version;
    status.replicas = entry.pool->Statuses();
    statuses.push_back(std::move(status));
  }
  return statuses;
}

}  // namespace insula::query_frontend
