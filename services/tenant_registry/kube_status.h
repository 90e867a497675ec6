// What the registry says of Kubernetes objects, in their status.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/kube/client.h"
#include "libs/kube/json.h"
#include "libs/limits/token_bucket.h"
#include "libs/time/backoff.h"
#include "services/tenant_registry/kube_feeds.h"
#include "services/tenant_registry/kube_metrics.h"
#include "services/tenant_registry/kube_plan.h"

namespace insula::tenant_registry {

// Owns what the registry says, in server-side apply.
inline constexpr char kKubeFieldManager[] = "insula-tenant-registry";

struct KubeStatus {
  std::string uid;  // Of the object that it is about.
  int64_t generation = 0;
  std::vector<KubeCondition> conditions;
  std::vector<std::string> validated_metrics;  // Of a MetricAccess.

  friend bool operator==(const KubeStatus&, const KubeStatus&) = default;
};

// The status to apply to `object`, or nullopt if it says that already. Of its
// conditions only those of the types that the registry has are looked at; one
// that has the same status as before keeps its lastTransitionTime.
std::optional<kube::Json> NextKubeStatus(KubeKind kind,
                                         const kube::Json& object,
                                         const KubeStatus& wanted,
                                         absl::Time now);

// Writes statuses, one after the other, not more than so many a second. What
// can't be written is tried again, behind the others. Used on the strand it is
// given.
class KubeStatusWriter {
 public:
  // All outlive it.
  KubeStatusWriter(double writes_per_second,
                   boost::asio::strand<boost::asio::any_io_executor> strand,
                   kube::Client* client, KubeFeeds* feeds,
                   KubeMetrics* metrics);

  // From now on these are right; writes those that objects don't have.
  void Want(std::map<KubeKey, KubeStatus> wanted);

  // An object of theirs has changed: looks whether it still says so.
  void Check(const std::set<KubeKey>& keys);

  // Writes until Stop().
  boost::asio::awaitable<void> Run();
  void Stop();

 private:
  enum class Result { kDone, kAgain };
  boost::asio::awaitable<Result> Write(KubeKey key);
  boost::asio::awaitable<void> Sleep(absl::Duration wait);
  void Enqueue(const KubeKey& key);

  const boost::asio::strand<boost::asio::any_io_executor> strand_;
  kube::Client* const client_;
  KubeFeeds* const feeds_;
  KubeMetrics* const metrics_;
  limits::TokenBucket bucket_;
  Backoff backoff_;
  boost::asio::steady_timer wake_;   // There is something to do.
  boost::asio::steady_timer pause_;  // After a failure, or too many writes.
  bool stopped_ = false;
  std::map<KubeKey, KubeStatus> wanted_;
  std::set<KubeKey> queue_;
  bool failing_ = false;  // The last write, for the log.
};

}  // namespace insula::tenant_registry
