#include "services/query_frontend/proxy_metrics.h"

#include "absl/strings/str_cat.h"

namespace insula::query_frontend {
namespace {

constexpr size_t kMaxStores = 1000;
constexpr absl::string_view kOther = "other";

constexpr absl::string_view kMethodNames[] = {"GET", "POST", kOther};

size_t MethodIndex(absl::string_view method) {
  if (method == "GET") return 0;
  return method == "POST" ? 1 : 2;
}

// The path of the route, never that of a request.
std::string PathOf(Endpoint endpoint) {
  if (endpoint == Endpoint::kLabelValues) return "/api/v1/label/:name/values";
  const absl::string_view path = InfoOf(endpoint).path;
  return std::string(path.empty() ? kOther : path);
}

metrics::Labels LabelsOf(Endpoint endpoint, size_t method) {
  return {{"method", std::string(kMethodNames[method])},
          {"path", PathOf(endpoint)}};
}

}  // namespace

std::string PlainUrl(const http::Url& url) {
  return absl::StrCat(url.scheme, "://", url.HostPort(),
                      url.target.substr(0, url.target.find('?')));
}

ProxyMetrics::ProxyMetrics(metrics::Registry* registry)
    : targets_discovered(registry->AddGauge(
          "prometheus_proxy_targets_discovered",
          "Replicas of stores that tenants are read from; as "
          "prometheus-multi-tenant-proxy.")),
      tenants_active(registry->AddGauge(
          "prometheus_proxy_tenants_active",
          "Tenants that may read; as prometheus-multi-tenant-proxy.")),
      registry_(registry) {}

void ProxyMetrics::NoteRequest(Endpoint endpoint, absl::string_view method,
                               int status, absl::Duration time) {
  const size_t method_index = MethodIndex(method);
  const size_t row = static_cast<size_t>(endpoint) * kMethods + method_index;
  std::atomic<metrics::Histogram*>& duration = durations_[row];
  metrics::Histogram* histogram = duration.load(std::memory_order_acquire);
  if (histogram == nullptr) {
    histogram = &registry_->AddHistogram(
        "prometheus_proxy_request_duration_seconds",
        "Time from a request to its answer; as prometheus-multi-tenant-proxy.",
        LabelsOf(endpoint, method_index));
    duration.store(histogram, std::memory_order_release);
  }
  histogram->Observe(absl::ToDoubleSeconds(time));

  const size_t code =
      status >= 400 && status < 505 ? static_cast<size_t>(status - 399) : 0;
  std::atomic<metrics::Counter*>& child = requests_[row * kCodes + code];
  metrics::Counter* counter = child.load(std::memory_order_acquire);
  if (counter == nullptr) {
    metrics::Labels labels = LabelsOf(endpoint, method_index);
    labels["status"] = absl::StrCat(status);
    counter = &registry_->AddCounter(
        "prometheus_proxy_requests_total",
        "Requests answered; as prometheus-multi-tenant-proxy.", labels);
    child.store(counter, std::memory_order_release);
  }
  counter->Increment();
}

void ProxyMetrics::NoteStore(const http::Url& url, int status, absl::Time now) {
  std::string text = PlainUrl(url);
  sync::MutexLock lock(&mutex_);
  auto at = stores_.find(text);
  if (at == stores_.end()) {
    if (stores_.size() >= kMaxStores) text = std::string(kOther);
    at = stores_.try_emplace(text).first;
    at->second.store.url = text;
  }
  KnownStore& known = at->second;
  known.store.answered = status != 0;
  if (status != 0) known.store.last_seen = now;
  metrics::Counter*& counter = known.requests[status];
  if (counter == nullptr) {
    counter = &registry_->AddCounter(
        "prometheus_proxy_backend_requests_total",
        "Requests to stores, with status 'error' if there was no answer; as "
        "prometheus-multi-tenant-proxy.",
        {{"backend", text},
         {"status", status == 0 ? "error" : absl::StrCat(status)}});
  }
  counter->Increment();
}

ProxyMetrics::Store ProxyMetrics::StoreAt(const http::Url& url) const {
  Store store;
  store.url = PlainUrl(url);
  sync::MutexLock lock(&mutex_);
  const auto at = stores_.find(store.url);
  return at == stores_.end() ? store : at->second.store;
}

}  // namespace insula::query_frontend
