#include "services/tenant_registry/kube_book.h"

#include <utility>

namespace insula::tenant_registry {
namespace {

// What `newer` is when it continues `earlier`.
void Continue(const KubeBook::Item& earlier, KubeDeclaration* newer) {
  if (newer->problem.ok()) return;
  newer->former = earlier.declaration->problem.ok()
                      ? earlier.declaration
                      : earlier.declaration->former;
}

}  // namespace

KubeBook::News KubeBook::Take(const std::map<KubeKey, kube::Object>& changes) {
  News news;
  for (const auto& [key, object] : changes) {
    const auto it = present_.find(key);
    if (object == nullptr) {
      if (it == present_.end()) continue;
      // The first one: if several came and went, that one was in effect.
      undecided_.emplace(key, std::move(it->second));
      present_.erase(it);
      news.changed = true;
      continue;
    }
    auto declaration =
        std::make_shared<KubeDeclaration>(ReadKubeObject(key.first, *object));
    Item item;
    item.identity = declaration->uid;
    item.present = true;
    if (it != present_.end() &&
        it->second.declaration->uid == declaration->uid) {
      if (it->second.declaration->generation == declaration->generation &&
          declaration->generation > 0) {
        news.same.insert(key);
        continue;
      }
      Continue(it->second, declaration.get());
      item.identity = it->second.identity;
    } else if (it != present_.end()) {
      undecided_.emplace(key, std::move(it->second));
    } else if (const auto kept = kept_.find(key); kept != kept_.end()) {
      Continue(kept->second, declaration.get());
      item.identity = kept->second.identity;
      kept_.erase(kept);
    }
    news.changed = true;
    news.appeared.insert(key.first);
    item.declaration = std::move(declaration);
    present_[key] = std::move(item);
  }
  return news;
}

std::set<KubeKind> KubeBook::undecided() const {
  std::set<KubeKind> kinds;
  for (const auto& [key, item] : undecided_) kinds.insert(key.first);
  return kinds;
}

void KubeBook::Decide(KubeKind kind, KubeKindState state) {
  if (state == KubeKindState::kUnknown) return;
  for (auto it = undecided_.begin(); it != undecided_.end();) {
    if (it->first.first != kind) {
      ++it;
      continue;
    }
    if (state == KubeKindState::kGone) {
      const auto again = present_.find(it->first);
      if (again != present_.end()) {
        again->second.identity = it->second.identity;
      } else {
        it->second.present = false;
        kept_[it->first] = std::move(it->second);
      }
    }
    it = undecided_.erase(it);
  }
}

std::map<KubeKey, KubeBook::Item> KubeBook::Items() const {
  std::map<KubeKey, Item> items = present_;
  for (const auto& [key, item] : undecided_) {
    const auto [it, fresh] = items.emplace(key, item);
    if (fresh) {
      it->second.present = false;
    } else {
      it->second.identity = item.identity;
    }
  }
  items.insert(kept_.begin(), kept_.end());
  return items;
}

}  // namespace insula::tenant_registry
