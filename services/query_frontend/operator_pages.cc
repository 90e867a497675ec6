#include "services/query_frontend/operator_pages.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/limits/refusals.h"
#include "libs/status/status_macros.h"
#include "libs/time/clock.h"
#include "services/query_frontend/collected_metrics.h"

namespace insula::query_frontend {
namespace {

namespace asio = boost::asio;
using Json = nlohmann::ordered_json;

constexpr size_t kMaxTenants = 10'000;
constexpr size_t kMaxRunning = 1000;
constexpr size_t kMaxRefusedTenants = 1000;
// Tenants of a store that are looked at to learn how to ask it.
constexpr int kMaxTries = 100;

std::string Print(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

// The namespace of a tenant: its label of that name, or its own name.
std::string NamespaceOf(const tenancy::Tenant& tenant) {
  const auto label = tenant.spec.enforced_labels().find("namespace");
  return label == tenant.spec.enforced_labels().end() ? tenant.id.value()
                                                      : label->second;
}

size_t PatternsOf(const tenancy::Snapshot& snapshot,
                  const tenancy::Tenant& tenant) {
  const tenancy::AccessGroup* const group =
      snapshot.FindAccesses(tenant.id.value());
  size_t patterns = 0;
  if (group == nullptr) return patterns;
  for (const auto& access : group->accesses) {
    patterns += static_cast<size_t>(access->spec.selectors_size());
  }
  return patterns;
}

Json RefusalsOf(const limits::Refusals& all, absl::string_view tenant) {
  Json refusals = Json::array();
  for (const limits::Refusal& refusal : all.Of(tenant)) {
    refusals.push_back({{"at", TimeText(refusal.at)},
                        {"reason", refusal.reason},
                        {"caller", refusal.caller},
                        {"example", refusal.example},
                        {"detail", refusal.detail}});
  }
  return refusals;
}

Json ToJson(const QueryWatch::Query& query) {
  return {{"tenant", query.tenant},         {"caller", query.caller},
          {"endpoint", query.endpoint},     {"request_id", query.request_id},
          {"since", TimeText(query.since)}, {"query", query.text}};
}

}  // namespace

OperatorPages::OperatorPages(SnapshotSource snapshots, const Clock* clock,
                             const RequestBook* book, Pools* pools,
                             Backend* backend, Metrics* metrics,
                             metrics::Registry* registry)
    : snapshots_(std::move(snapshots)),
      clock_(*clock),
      begun_at_(clock->Now()),
      book_(*book),
      pools_(*pools),
      backend_(*backend),
      metrics_(*metrics) {
  hook_ = registry->OnCollect([this] {
    size_t readers = 0;
    const std::vector<Target> targets = TargetsOf(*snapshots_(), &readers);
    metrics_.proxy.targets_discovered.Set(static_cast<double>(targets.size()));
    metrics_.proxy.tenants_active.Set(static_cast<double>(readers));
  });
}

std::vector<OperatorPages::Target> OperatorPages::TargetsOf(
    const tenancy::Snapshot& snapshot, size_t* readers) const {
  std::set<std::string> ids;
  snapshot.ForEachTenant([&](const tenancy::Tenant& tenant) {
    if (!tenant.may_read()) return;
    ++*readers;
    ids.insert(tenant.spec.upstream_id());
  });
  std::map<std::string, Pools::Status> pools;
  for (Pools::Status& status : pools_.Statuses()) {
    pools.emplace(status.upstream_id, std::move(status));
  }
  std::vector<Target> targets;
  for (const std::string& id : ids) {
    const tenancy::Upstream* const upstream = snapshot.FindUpstream(id);
    if (upstream == nullptr || upstream->spec.query_url().empty()) continue;
    const absl::StatusOr<http::Url> url =
        http::Url::Parse(upstream->spec.query_url());
    if (!url.ok()) continue;
    const auto pool = pools.find(id);
    AddTargets(id, *url, pool == pools.end() ? nullptr : &pool->second.replicas,
               &targets);
  }
  return targets;
}

void OperatorPages::AddTargets(
    const std::string& upstream_id, const http::Url& url,
    const std::vector<backend_pool::ReplicaSet::Status>* replicas,
    std::vector<Target>* targets) const {
  const auto add = [&](const http::Url& at) -> Target& {
    const ProxyMetrics::Store known = metrics_.proxy.StoreAt(at);
    return targets->emplace_back(
        Target{.upstream_id = upstream_id,
               .url = known.url,
               .healthy = known.answered,
               .last_seen = std::max(known.last_seen, begun_at_)});
  };
  if (replicas == nullptr) {
    add(url);
    return;
  }
  // Those that were looked for are not there, or not found yet.
  if (replicas->empty()) add(url).healthy = false;
  const absl::Time now = clock_.Now();
  const absl::Time steady_now = SteadyClock::Get()->Now();
  for (const backend_pool::ReplicaSet::Status& replica : *replicas) {
    const absl::StatusOr<http::Url> at = http::Url::Parse(replica.url);
    if (!at.ok()) continue;
    Target& target = add(*at);
    if (replicas->size() > 1) target.healthy = replica.well;
    target.last_seen =
        std::max(target.last_seen, now - (steady_now - replica.last_seen));
  }
}

asio::awaitable<absl::StatusOr<Page>> OperatorPages::Show(
    Endpoint endpoint, ApiParams params, std::string request_id,
    absl::Time deadline) const {
  Page page{"application/json", ""};
  switch (endpoint) {
    case Endpoint::kHealth:
      page.body = Health();
      break;
    case Endpoint::kDebugTargets:
      page.body = Targets();
      break;
    case Endpoint::kDebugTenants:
      page.body = Tenants();
      break;
    case Endpoint::kDebugRejected:
      page.body = Rejected(params.Get("tenant"));
      break;
    case Endpoint::kDebugQueries:
      page.body = Queries();
      break;
    case Endpoint::kCollectedMetrics:
      co_return co_await Collected(std::string(params.Get("metric")),
                                   std::move(request_id), deadline);
    default:
      co_return absl::InternalError("insula: this is no page of operators");
  }
  co_return page;
}

std::string OperatorPages::Health() const {
  size_t tenants = 0;
  const std::vector<Target> targets = TargetsOf(*snapshots_(), &tenants);
  const auto healthy =
      std::count_if(targets.begin(), targets.end(),
                    [](const Target& target) { return target.healthy; });
  return Print({{"status", "healthy"},
                {"total_targets", targets.size()},
                {"healthy_targets", healthy},
                {"tenants", tenants}});
}

std::string OperatorPages::Targets() const {
  size_t tenants = 0;
  Json targets = Json::array();
  for (const Target& target : TargetsOf(*snapshots_(), &tenants)) {
    targets.push_back({{"url", target.url},
                       {"healthy", target.healthy},
                       {"last_seen", TimeText(target.last_seen)}});
  }
  return Print({{"targets", std::move(targets)}});
}

std::string OperatorPages::Tenants() const {
  const std::shared_ptr<const tenancy::Snapshot> snapshot = snapshots_();
  std::vector<const tenancy::Tenant*> all;
  snapshot->ForEachTenant(
      [&all](const tenancy::Tenant& tenant) { all.push_back(&tenant); });
  const size_t shown = std::min(all.size(), kMaxTenants);
  std::partial_sort(
      all.begin(), all.begin() + static_cast<ptrdiff_t>(shown), all.end(),
      [](const tenancy::Tenant* left, const tenancy::Tenant* right) {
        return left->id.value() < right->id.value();
      });
  Json tenants = Json::array();
  for (size_t i = 0; i < shown; ++i) {
    const tenancy::Tenant& tenant = *all[i];
    tenants.push_back({{"id", tenant.id.value()},
                       {"name", tenant.id.value()},
                       {"namespace", NamespaceOf(tenant)},
                       {"patterns", PatternsOf(*snapshot, tenant)}});
  }
  Json page = {{"tenants", std::move(tenants)}};
  if (shown < all.size()) page["more"] = all.size() - shown;
  return Print(page);
}

std::string OperatorPages::Rejected(absl::string_view tenant) const {
  if (!tenant.empty()) {
    return Print({{"tenant", std::string(tenant)},
                  {"refusals", RefusalsOf(book_.refusals(), tenant)}});
  }
  Json tenants = Json::array();
  for (const auto& each : book_.refusals().Tenants(kMaxRefusedTenants)) {
    if (each.tenant.empty()) continue;
    tenants.push_back({{"tenant", each.tenant},
                       {"refusals", each.refusals},
                       {"last", TimeText(each.last)}});
  }
  return Print({{"tenants", std::move(tenants)},
                {"of_nobody", RefusalsOf(book_.refusals(), "")}});
}

std::string OperatorPages::Queries() const {
  Json running = Json::array();
  const absl::Time now = clock_.Now();
  for (const auto& query : book_.queries().AllRunning(kMaxRunning)) {
    Json json = ToJson(query);
    json["seconds"] = absl::ToDoubleSeconds(now - query.since);
    running.push_back(std::move(json));
  }
  Json slow = Json::array();
  for (const QueryWatch::SlowQuery& each : book_.queries().Slow()) {
    Json json = ToJson(each.query);
    json["seconds"] = absl::ToDoubleSeconds(each.time);
    json["code"] = each.code;
    json["bytes"] = each.bytes;
    slow.push_back(std::move(json));
  }
  return Print({{"running", std::move(running)}, {"slow", std::move(slow)}});
}

std::vector<Policy> OperatorPages::SharedStores() const {
  const std::shared_ptr<const tenancy::Snapshot> snapshot = snapshots_();
  size_t readers = 0;
  std::set<std::string> well;
  for (const Target& target : TargetsOf(*snapshot, &readers)) {
    if (target.healthy) well.insert(target.upstream_id);
  }
  std::map<std::string, Policy> found;
  std::map<std::string, int> tried;
  snapshot->ForEachTenant([&](const tenancy::Tenant& tenant) {
    const std::string& id = tenant.spec.upstream_id();
    if (found.contains(id) || tried[id] == kMaxTries) return;
    ++tried[id];
    absl::StatusOr<Policy> policy = PolicyOf(tenant, *snapshot, &pools_);
    if (policy.ok() && policy->tenant_header.empty() && well.contains(id)) {
      found.emplace(id, *std::move(policy));
    }
  });
  std::vector<Policy> policies;
  for (auto& [id, policy] : found) policies.push_back(std::move(policy));
  return policies;
}

asio::awaitable<absl::StatusOr<Page>> OperatorPages::Collected(
    std::string query, std::string request_id, absl::Time deadline) const {
  CO_ASSIGN_OR_RETURN(const std::vector<std::string> queries,
                      CollectedQueries(query));
  absl::Status failure = absl::UnavailableError(
      "insula: there is no store that isolates by label and is well");
  const std::vector<Policy> stores = SharedStores();
  for (const Policy& policy : stores) {
    Page page{"text/plain; charset=utf-8", ""};
    failure = absl::OkStatus();
    for (const std::string& text : queries) {
      absl::StatusOr<std::string> part =
          co_await CollectMetric(text, policy, &backend_, request_id, deadline);
      failure = part.status();
      if (!part.ok()) break;
      page.body += *part;
    }
    if (failure.ok()) co_return page;
    if (!absl::IsUnavailable(failure)) break;
  }
  co_return failure;
}

}  // namespace insula::query_frontend
