// The declarations of a cluster, and what becomes of those that vanish.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "services/tenant_registry/kube_declaration.h"
#include "services/tenant_registry/kube_feeds.h"

namespace insula::tenant_registry {

// Not thread-safe.
class KubeBook {
 public:
  struct Item {
    std::shared_ptr<const KubeDeclaration> declaration;
    // Of the resource that this is, or that it continues: one that was deleted
    // and made again is another, unless it was deleted together with its kind.
    std::string identity;
    bool present = false;  // False: it has vanished, but stays in effect.
  };

  // What a call of Take() has found.
  struct News {
    bool changed = false;         // A declaration.
    std::set<KubeKey> same;       // Only something else of the resource.
    std::set<KubeKind> appeared;  // Resources of these kinds did.
  };

  // Reads what has changed. Resources that vanished stay in effect until it is
  // decided about them. Takes long for many.
  News Take(const std::map<KubeKey, kube::Object>& changes);

  // The kinds of which resources have vanished that are not decided about.
  std::set<KubeKind> undecided() const;

  // Decides about those: of a kind that is gone they stay in effect until they
  // are there again; of one that is there they are gone.
  void Decide(KubeKind kind, KubeKindState state);

  // All that is in effect, by kind and key.
  std::map<KubeKey, Item> Items() const;

  // Of them, those that have vanished, except undecided ones.
  size_t kept() const { return kept_.size(); }

 private:
  std::map<KubeKey, Item> present_;
  std::map<KubeKey, Item> undecided_;  // The key may be in present_, too.
  std::map<KubeKey, Item> kept_;       // Never in present_.
};

}  // namespace insula::tenant_registry
