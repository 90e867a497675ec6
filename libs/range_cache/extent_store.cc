#include "libs/range_cache/extent_store.h"

#include <algorithm>

namespace insula::range_cache {
namespace {

using Extents = ExtentStore::Extents;

constexpr int kAttempts = 3;
// Beside the extents, for a key and what finds it.
constexpr size_t kEntryOverhead = 256;

bool Touch(const Extent& a, const Extent& b) {
  return a.steps.at(a.steps.count) == b.steps.first;
}

// Adds to `extents`, which are in order, what they do not cover of `extent`.
void AddUncovered(const std::shared_ptr<const Extent>& extent,
                  Extents* extents) {
  Extents added;
  int64_t from = extent->steps.first;
  const int64_t last = extent->steps.last();
  const auto add = [&](int64_t to) {
    const auto steps = extent->steps.Within(from, to);
    if (!steps.has_value()) return;
    added.push_back(*steps == extent->steps
                        ? extent
                        : std::make_shared<const Extent>(Cut(*extent, *steps)));
  };
  for (const auto& other : *extents) {
    if (other->steps.last() < from || other->steps.first > last) continue;
    add(other->steps.first - 1);
    from = other->steps.last() + 1;
  }
  add(last);
  extents->insert(extents->end(), added.begin(), added.end());
  std::sort(extents->begin(), extents->end(), [](const auto& a, const auto& b) {
    return a->steps.first < b->steps.first;
  });
}

// Joins neighbours unless the earlier one is much larger than what follows it.
void Compact(Extents* extents) {
  for (size_t i = extents->size(); i-- > 1;) {
    const Extent& left = *(*extents)[i - 1];
    const Extent& right = *(*extents)[i];
    if (!Touch(left, right) || left.bytes > 2 * right.bytes) continue;
    (*extents)[i - 1] = std::make_shared<const Extent>(Join(left, right));
    extents->erase(extents->begin() + static_cast<std::ptrdiff_t>(i));
  }
}

size_t BytesOfAll(absl::string_view key, const Extents& extents) {
  size_t bytes = kEntryOverhead + key.size();
  for (const auto& extent : extents) bytes += extent->bytes;
  return bytes;
}

}  // namespace

struct ExtentStore::Tenant {
  std::string uid;
  size_t bytes = 0;
  std::list<Entry*> used;  // The most recent first.
};

struct ExtentStore::Entry {
  std::string key;
  Tenant* tenant = nullptr;
  std::list<Entry*>::iterator in_use;  // In tenant->used.
  Extents extents;
  size_t bytes = 0;
  uint64_t version = 0;
};

size_t ExtentStore::Hash::operator()(
    const std::unique_ptr<Entry>& entry) const {
  return (*this)(entry->key);
}

bool ExtentStore::Equal::operator()(absl::string_view key,
                                    const std::unique_ptr<Entry>& entry) const {
  return key == entry->key;
}

bool ExtentStore::Equal::operator()(const std::unique_ptr<Entry>& a,
                                    const std::unique_ptr<Entry>& b) const {
  return a->key == b->key;
}

ExtentStore::ExtentStore(Options options)
    : options_(options), entries_(0, Hash{options.hash_mask}) {}

ExtentStore::~ExtentStore() = default;

ExtentStore::Entry* ExtentStore::FindEntry(absl::string_view key) {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : found->get();
}

size_t ExtentStore::DropExpired(Extents* extents, absl::Time now) const {
  return std::erase_if(*extents, [&](const auto& extent) {
    return extent->read_at + options_.ttl <= now;
  });
}

Extents ExtentStore::Find(absl::string_view key, absl::Time now) {
  sync::MutexLock lock(&mutex_);
  Entry* const entry = FindEntry(key);
  if (entry == nullptr) return {};
  if (const size_t expired = DropExpired(&entry->extents, now)) {
    evictions_.expired += expired;
    entry->version = ++last_version_;
    if (entry->extents.empty()) {
      Remove(entry);
      return {};
    }
    Resize(entry, BytesOfAll(entry->key, entry->extents));
  }
  std::list<Entry*>& used = entry->tenant->used;
  used.splice(used.begin(), used, entry->in_use);
  return entry->extents;
}

Extents ExtentStore::Get(absl::string_view key, uint64_t* version) {
  sync::MutexLock lock(&mutex_);
  Entry* const entry = FindEntry(key);
  *version = entry == nullptr ? 0 : entry->version;
  return entry == nullptr ? Extents() : entry->extents;
}

void ExtentStore::Put(absl::string_view tenant_uid, absl::string_view key,
                      const std::shared_ptr<const Extent>& extent, size_t quota,
                      absl::Time now) {
  quota = std::min(quota, options_.max_bytes);
  if (extent->bytes > quota) return;
  for (int i = 0; i < kAttempts; ++i) {
    uint64_t version = 0;
    Extents extents = Get(key, &version);
    DropExpired(&extents, now);
    AddUncovered(extent, &extents);
    Compact(&extents);
    if (BytesOfAll(key, extents) > quota) return;
    if (Replace(tenant_uid, key, version, std::move(extents), quota)) return;
  }
}

bool ExtentStore::Replace(absl::string_view tenant_uid, absl::string_view key,
                          uint64_t version, Extents extents, size_t quota) {
  sync::MutexLock lock(&mutex_);
  Entry* entry = FindEntry(key);
  if ((entry == nullptr ? 0 : entry->version) != version) return false;
  if (entry == nullptr) entry = AddEntry(tenant_uid, key);
  entry->version = ++last_version_;
  entry->extents.swap(extents);
  std::list<Entry*>& used = entry->tenant->used;
  used.splice(used.begin(), used, entry->in_use);
  Resize(entry, BytesOfAll(entry->key, entry->extents));
  Evict(entry->tenant, quota);
  return true;
}

ExtentStore::Entry* ExtentStore::AddEntry(absl::string_view tenant_uid,
                                          absl::string_view key) {
  auto found = tenants_.find(tenant_uid);
  if (found == tenants_.end()) {
    auto made = std::make_unique<Tenant>();
    made->uid = std::string(tenant_uid);
    by_bytes_.insert({0, made.get()});
    found = tenants_.emplace(made->uid, std::move(made)).first;
  }
  auto entry = std::make_unique<Entry>();
  entry->key = std::string(key);
  entry->tenant = found->second.get();
  entry->in_use =
      entry->tenant->used.insert(entry->tenant->used.begin(), entry.get());
  return entries_.insert(std::move(entry)).first->get();
}

void ExtentStore::Resize(Entry* entry, size_t bytes) {
  Tenant* const tenant = entry->tenant;
  by_bytes_.erase({tenant->bytes, tenant});
  tenant->bytes += bytes - entry->bytes;
  bytes_ += bytes - entry->bytes;
  entry->bytes = bytes;
  by_bytes_.insert({tenant->bytes, tenant});
}

void ExtentStore::Remove(Entry* entry) {
  Tenant* const tenant = entry->tenant;
  Resize(entry, 0);
  tenant->used.erase(entry->in_use);
  if (tenant->used.empty()) {
    by_bytes_.erase({tenant->bytes, tenant});
    tenants_.erase(tenants_.find(tenant->uid));
  }
  entries_.erase(entries_.find(absl::string_view(entry->key)));
}

void ExtentStore::Evict(Tenant* tenant, size_t quota) {
  // The entry in use is the first of its tenant and fits by itself.
  while (tenant->bytes > quota) {
    Remove(tenant->used.back());
    ++evictions_.quota;
  }
  while (bytes_ > options_.max_bytes) {
    Remove(by_bytes_.rbegin()->second->used.back());
    ++evictions_.memory;
  }
}

void ExtentStore::Drop(absl::string_view tenant_uid) {
  sync::MutexLock lock(&mutex_);
  const auto found = tenants_.find(tenant_uid);
  if (found == tenants_.end()) return;
  Tenant* const tenant = found->second.get();
  for (size_t left = tenant->used.size(); left > 0; --left) {
    Remove(tenant->used.back());
  }
}

size_t ExtentStore::bytes() const {
  sync::MutexLock lock(&mutex_);
  return bytes_;
}

size_t ExtentStore::keys() const {
  sync::MutexLock lock(&mutex_);
  return entries_.size();
}

size_t ExtentStore::BytesOf(absl::string_view tenant_uid) const {
  sync::MutexLock lock(&mutex_);
  const auto found = tenants_.find(tenant_uid);
  return found == tenants_.end() ? 0 : found->second->bytes;
}

ExtentStore::Evictions ExtentStore::evictions() const {
  sync::MutexLock lock(&mutex_);
  return evictions_;
}

}  // namespace insula::range_cache
