// The custom resources of a cluster that the tenant-registry reads.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "libs/kube/client.h"
#include "libs/kube/informer.h"
#include "libs/kube/resource.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"
#include "services/tenant_registry/kube_declaration.h"

namespace insula::tenant_registry {

using KubeKind = KubeDeclaration::Kind;

// All of them, each with its place in the API.
const std::vector<std::pair<KubeKind, kube::Resource>>& KubeResources();

// A custom resource: its kind, and "NAMESPACE/NAME".
using KubeKey = std::pair<KubeKind, std::string>;

// Follows the resources of some kinds in some namespaces. Thread-safe.
class KubeFeeds {
 public:
  struct Options {
    std::vector<std::string> namespaces;  // None: all.
    std::set<KubeKind> kinds;             // None: all.
  };

  // `changed` is called, on any thread, when Take() has something new; it must
  // be quick. `client` and `metrics` outlive the feeds.
  KubeFeeds(Options options, kube::Client* client,
            std::function<void()> changed,
            boost::asio::any_io_executor executor, metrics::Registry* metrics);

  // Waits for a call of `changed`. Blocks.
  ~KubeFeeds();

  // What has changed since the last call.
  struct Batch {
    // The newest state of each resource, null for one that is gone. First all
    // that there are.
    std::map<KubeKey, kube::Object> changes;
    // The kinds of which there are no resources but those in batches so far;
    // also those that are not followed.
    std::set<KubeKind> listed;
  };
  Batch Take();

  // OK while all are being followed.
  absl::Status status() const;

  // Its present state; null: there is none.
  kube::Object Find(const KubeKey& key) const;

 private:
  struct Feed {
    KubeKind kind;
    kube::Selection selection;
    std::unique_ptr<kube::Informer> informer;
  };

  void Hear(Feed* feed, const std::vector<kube::Change>& changes);

  const std::function<void()> changed_;
  mutable sync::Mutex mutex_;
  std::map<KubeKey, kube::Object> pending_ ABSL_GUARDED_BY(mutex_);
  // Those whose first list is in pending_; informers know it earlier.
  std::set<const Feed*> listed_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Feed>> feeds_;  // Last: informers end first.
};

// What a look at the kind itself tells of resources that have vanished.
enum class KubeKindState {
  kThere,    // They were deleted one by one.
  kGone,     // The kind was deleted, and they with it.
  kUnknown,  // It can't be looked at now.
};

// Tells the deletion of resources from that of their kind: the API deletes
// those of a kind that is deleted, so both look the same. Used on one strand.
class KubeKindWatch {
 public:
  // `client` outlives it.
  explicit KubeKindWatch(kube::Client* client) : client_(client) {}

  // To be called when resources have vanished. Without the right to look, all
  // kinds are there.
  boost::asio::awaitable<KubeKindState> Look(KubeKind kind);

  // Whether it is to be called when resources have appeared, too.
  bool WantsLook(KubeKind kind) const;

 private:
  struct Known {
    std::string uid;
    bool gone = false;
    bool forbidden = false;
  };

  kube::Client* const client_;
  std::map<KubeKind, Known> known_;
  bool warned_ = false;
};

}  // namespace insula::tenant_registry
