#include "libs/limits/refusals.h"

#include <utility>

namespace insula::limits {
namespace {

void Cut(std::string* text, size_t most) {
  if (text->size() <= most) return;
  text->resize(most);
  text->shrink_to_fit();
}

}  // namespace

void Refusals::Add(absl::string_view tenant, Refusal refusal) {
  for (std::string* text :
       {&refusal.reason, &refusal.caller, &refusal.example, &refusal.detail}) {
    Cut(text, options_.max_text_bytes);
  }
  sync::MutexLock lock(&mutex_);
  auto it = tenants_.find(tenant);
  if (it == tenants_.end()) {
    used_.emplace_front(tenant);
    it = tenants_.emplace(std::string(tenant), Entry{{}, used_.begin()}).first;
  } else {
    used_.splice(used_.begin(), used_, it->second.in_use);
  }
  std::deque<Refusal>& refusals = it->second.refusals;
  refusals.push_back(std::move(refusal));
  ++size_;
  if (refusals.size() > options_.per_tenant) {
    refusals.pop_front();
    --size_;
  }
  while (size_ > options_.in_all && used_.size() > 1) {
    Forget(std::string(used_.back()));
  }
}

void Refusals::Forget(const std::string& tenant) {
  const auto it = tenants_.find(tenant);
  size_ -= it->second.refusals.size();
  used_.erase(it->second.in_use);
  tenants_.erase(it);
}

std::vector<Refusal> Refusals::Of(absl::string_view tenant) const {
  sync::MutexLock lock(&mutex_);
  const auto it = tenants_.find(tenant);
  if (it == tenants_.end()) return {};
  return {it->second.refusals.rbegin(), it->second.refusals.rend()};
}

std::vector<Refusals::Summary> Refusals::Tenants(size_t most) const {
  sync::MutexLock lock(&mutex_);
  std::vector<Summary> summaries;
  for (const std::string& tenant : used_) {
    if (summaries.size() == most) break;
    const std::deque<Refusal>& refusals = tenants_.at(tenant).refusals;
    summaries.push_back({tenant, refusals.size(), refusals.back().at});
  }
  return summaries;
}

}  // namespace insula::limits
