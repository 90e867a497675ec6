#include "services/tenant_registry/kube_status.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "libs/logging/logging.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;

constexpr absl::Duration kWriteTimeout = absl::Seconds(5);
constexpr absl::string_view kOwnTypes[] = {"Accepted", "TenantReady",
                                           "RemoteWrite"};
// The API refuses longer ones.
constexpr size_t kMaxMessageBytes = 32768;

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

// Not in the middle of a character.
std::string Shortened(std::string text) {
  if (text.size() <= kMaxMessageBytes) return text;
  size_t end = kMaxMessageBytes - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;
  }
  return text.substr(0, end) + "...";
}

// The condition of a type, or null.
const kube::Json& ConditionOf(const kube::Json& object,
                              absl::string_view type) {
  static const auto* const kNone = new kube::Json();
  const kube::Json& conditions = kube::At(object, {"status", "conditions"});
  if (!conditions.is_array()) return *kNone;
  for (const kube::Json& condition : conditions) {
    if (kube::StringAt(condition, {"type"}) == type) return condition;
  }
  return *kNone;
}

bool IsWanted(const KubeStatus& wanted, absl::string_view type) {
  return std::any_of(
      wanted.conditions.begin(), wanted.conditions.end(),
      [type](const KubeCondition& one) { return one.type == type; });
}

bool SaysMetrics(const kube::Json& object,
                 const std::vector<std::string>& metrics) {
  const kube::Json& said = kube::At(object, {"status", "validatedMetrics"});
  if (!said.is_array()) return metrics.empty();
  return said == kube::Json(metrics);
}

}  // namespace

std::optional<kube::Json> NextKubeStatus(KubeKind kind,
                                         const kube::Json& object,
                                         const KubeStatus& wanted,
                                         absl::Time now) {
  bool same = true;
  kube::Json conditions = kube::Json::array();
  for (const KubeCondition& want : wanted.conditions) {
    kube::Json condition = kube::Json::object();
    condition["type"] = want.type;
    condition["status"] = want.status;
    condition["reason"] = want.reason;
    condition["message"] = Shortened(want.message);
    condition["observedGeneration"] = wanted.generation;
    const kube::Json& said = ConditionOf(object, want.type);
    std::string since = kube::StringAt(said, {"lastTransitionTime"});
    if (since.empty() || kube::StringAt(said, {"status"}) != want.status) {
      since = TimeText(now);
    }
    condition["lastTransitionTime"] = std::move(since);
    same = same && condition == said;
    conditions.push_back(std::move(condition));
  }
  for (const absl::string_view type : kOwnTypes) {
    if (IsWanted(wanted, type)) continue;
    same = same && ConditionOf(object, type).is_null();
  }
  // The status of an OpenMetricsRule as a whole is rule-sync's.
  const bool alone = kind != KubeKind::kOpenMetricsRule;
  if (alone) {
    same = same && kube::At(object, {"status", "observedGeneration"}) ==
                       kube::Json(wanted.generation);
  }
  const bool metrics = kind == KubeKind::kMetricAccess;
  if (metrics) same = same && SaysMetrics(object, wanted.validated_metrics);
  if (same) return std::nullopt;
  kube::Json status = kube::Json::object();
  status["conditions"] = std::move(conditions);
  if (alone) status["observedGeneration"] = wanted.generation;
  if (metrics) {
    status["validatedMetrics"] = wanted.validated_metrics;
    status["lastUpdated"] = TimeText(now);
  }
  return status;
}

KubeStatusWriter::KubeStatusWriter(double writes_per_second,
                                   asio::strand<asio::any_io_executor> strand,
                                   kube::Client* client, KubeFeeds* feeds,
                                   KubeMetrics* metrics)
    : strand_(std::move(strand)),
      client_(client),
      feeds_(feeds),
      metrics_(metrics),
      bucket_({writes_per_second, std::max(1.0, writes_per_second)},
              absl::Now()),
      backoff_({absl::Milliseconds(500), absl::Seconds(30)}),
      wake_(strand_),
      pause_(strand_) {}

void KubeStatusWriter::Want(std::map<KubeKey, KubeStatus> wanted) {
  const std::map<KubeKey, KubeStatus> before =
      std::exchange(wanted_, std::move(wanted));
  for (const auto& [key, status] : wanted_) {
    const auto it = before.find(key);
    if (it == before.end() || it->second != status) Enqueue(key);
  }
}

void KubeStatusWriter::Check(const std::set<KubeKey>& keys) {
  for (const KubeKey& key : keys) Enqueue(key);
}

// Only what the object does not say yet: an object is looked at again when it
// is its turn.
void KubeStatusWriter::Enqueue(const KubeKey& key) {
  const auto it = wanted_.find(key);
  if (it == wanted_.end()) return;
  const kube::Object object = feeds_->Find(key);
  if (object == nullptr ||
      !NextKubeStatus(key.first, *object, it->second, absl::Now())) {
    return;
  }
  queue_.insert(key);
  metrics_->status_waiting.Set(static_cast<double>(queue_.size()));
  wake_.cancel();
}

void KubeStatusWriter::Stop() {
  stopped_ = true;
  wake_.cancel();
  pause_.cancel();
}

asio::awaitable<void> KubeStatusWriter::Sleep(absl::Duration wait) {
  pause_.expires_after(absl::ToChronoNanoseconds(wait));
  co_await pause_.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<void> KubeStatusWriter::Run() {
  KubeKey last{KubeKind::kMetricAccess, ""};
  while (!stopped_) {
    if (queue_.empty()) {
      wake_.expires_at(asio::steady_timer::time_point::max());
      co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
      continue;
    }
    if (const auto wait = bucket_.Take(1, absl::Now())) {
      co_await Sleep(std::min(*wait, absl::Seconds(1)));
      continue;
    }
    // In a circle, so that none that fails is before the others.
    auto next = queue_.upper_bound(last);
    if (next == queue_.end()) next = queue_.begin();
    last = *next;
    queue_.erase(next);
    const Result result = co_await Write(last);
    if (result == Result::kAgain) {
      queue_.insert(last);
      if (stopped_) co_return;
      co_await Sleep(backoff_.Next());
    } else {
      backoff_.Reset();
    }
    metrics_->status_waiting.Set(static_cast<double>(queue_.size()));
  }
}

asio::awaitable<KubeStatusWriter::Result> KubeStatusWriter::Write(KubeKey key) {
  const auto it = wanted_.find(key);
  const kube::Object object = feeds_->Find(key);
  // Of an object that has changed something else will be wanted.
  if (it == wanted_.end() || object == nullptr ||
      kube::StringAt(*object, {"metadata", "uid"}) != it->second.uid) {
    co_return Result::kDone;
  }
  std::optional<kube::Json> status =
      NextKubeStatus(key.first, *object, it->second, absl::Now());
  if (!status.has_value()) co_return Result::kDone;
  kube::Resource resource;
  for (const auto& [kind, place] : KubeResources()) {
    if (kind == key.first) resource = place;
  }
  const absl::StatusOr<kube::Json> written = co_await client_->ApplyStatus(
      resource, *object, *std::move(status), kKubeFieldManager,
      absl::Now() + kWriteTimeout);
  if (written.ok()) {
    metrics_->status_written.Increment();
    if (std::exchange(failing_, false)) {
      logging::Info("statuses of Kubernetes objects are written again");
    }
    co_return Result::kDone;
  }
  // The object has changed or is gone: its feed tells, and then it is looked at
  // again.
  if (absl::IsAborted(written.status()) || absl::IsNotFound(written.status())) {
    metrics_->status_outdated.Increment();
    co_return Result::kDone;
  }
  metrics_->status_failed.Increment();
  if (!std::exchange(failing_, true)) {
    logging::Warn("the status of a Kubernetes object can't be written",
                  {{"object", key.second}, {"err", written.status()}});
  }
  co_return Result::kAgain;
}

}  // namespace insula::tenant_registry
