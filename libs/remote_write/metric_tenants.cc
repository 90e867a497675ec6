#include "libs/remote_write/metric_tenants.h"

#include <xxhash.h>

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "libs/remote_write/metadata.h"
#include "libs/remote_write/wire.h"

namespace insula::remote_write {

MetricTenants::MetricTenants(Options options)
    : options_(options), seed_(absl::Uniform<uint64_t>(absl::BitGen())) {}

bool MetricTenants::IsDue() {
  sync::MutexLock lock(&mutex_);
  return turn_++ % options_.one_of == 0;
}

uint64_t MetricTenants::KeyOf(absl::string_view sender,
                              absl::string_view metric) const {
  const uint64_t of_sender =
      XXH3_64bits_withSeed(sender.data(), sender.size(), seed_);
  return XXH3_64bits_withSeed(metric.data(), metric.size(), of_sender);
}

void MetricTenants::Note(absl::string_view sender, absl::string_view tenant,
                         absl::string_view body) {
  absl::flat_hash_set<uint64_t> keys;
  absl::string_view last;
  WireReader reader(body);
  WireField field;
  while (reader.Next(&field)) {
    if (field.number != 1 || field.type != WireType::kBytes) continue;
    const absl::string_view metric = MetricName(field.bytes);
    if (metric.empty() || metric == last) continue;
    last = metric;
    keys.insert(KeyOf(sender, metric));
  }
  sync::MutexLock lock(&mutex_);
  for (const uint64_t key : keys) Add(key, tenant);
}

void MetricTenants::Add(uint64_t key, absl::string_view tenant) {
  Generation* newer = &generations_[newer_];
  if (newer->metrics.size() >= std::max<size_t>(options_.max_metrics / 2, 1) &&
      !newer->metrics.contains(key)) {
    newer_ = 1 - newer_;
    newer = &generations_[newer_];
    *newer = Generation();
  }
  const auto [index, added] = newer->index_of.try_emplace(
      tenant, static_cast<uint32_t>(newer->tenants.size()));
  if (added) newer->tenants.emplace_back(tenant);
  auto& tenants = newer->metrics[key];
  if (tenants.size() < kMaxTenants &&
      std::find(tenants.begin(), tenants.end(), index->second) ==
          tenants.end()) {
    tenants.push_back(index->second);
  }
}

std::vector<std::string> MetricTenants::Find(absl::string_view sender,
                                             absl::string_view family) {
  std::vector<uint64_t> keys;
  for (const std::string& metric : MetricsOf(family)) {
    keys.push_back(KeyOf(sender, metric));
  }
  std::vector<std::string> found;
  sync::MutexLock lock(&mutex_);
  for (const Generation& generation : generations_) {
    for (const uint64_t key : keys) {
      const auto it = generation.metrics.find(key);
      if (it == generation.metrics.end()) continue;
      for (const uint32_t index : it->second) {
        found.push_back(generation.tenants[index]);
      }
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

size_t MetricTenants::size() {
  sync::MutexLock lock(&mutex_);
  return generations_[0].metrics.size() + generations_[1].metrics.size();
}

}  // namespace insula::remote_write
