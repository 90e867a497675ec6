#include "services/ingest_gateway/usage.h"

#include <algorithm>

namespace insula::ingest_gateway {
namespace {

constexpr absl::Duration kForgotten = absl::Minutes(10);
constexpr size_t kMaxMetricBytes = 200;
constexpr size_t kTopMetrics = 10;

}  // namespace

Traffic& Traffic::operator+=(const Traffic& other) {
  requests += other.requests;
  series += other.series;
  samples += other.samples;
  bytes += other.bytes;
  refused_samples += other.refused_samples;
  return *this;
}

void Usage::Note(absl::string_view tenant, absl::string_view uid,
                 const Traffic& traffic, absl::string_view metric,
                 absl::Time now) {
  sync::MutexLock lock(&mutex_);
  if (tenants_.size() >= sweep_at_ && !tenants_.contains(tenant)) Sweep(now);
  const auto [it, added] = tenants_.try_emplace(tenant);
  Entry& entry = it->second;
  if (added || entry.uid != uid) {
    entry = Entry{};
    entry.uid = std::string(uid);
    entry.first = now;
  }
  entry.last = now;
  entry.total += traffic;
  const int64_t number = absl::ToUnixSeconds(now) / kSlotSeconds;
  Slot& slot = entry.slots[static_cast<size_t>(number % kSlots)];
  if (slot.number != number) slot = {number, {}};
  slot.traffic += traffic;
  if (!metric.empty()) NoteMetric(metric, traffic.series, &entry);
}

void Usage::NoteMetric(absl::string_view metric, int64_t weight, Entry* entry) {
  metric = metric.substr(0, kMaxMetricBytes);
  auto& metrics = entry->metrics;
  for (auto& [name, so_far] : metrics) {
    if (name != metric) continue;
    so_far += weight;
    return;
  }
  if (metrics.size() < kMetrics) {
    metrics.emplace_back(std::string(metric), weight);
    return;
  }
  const auto least = std::min_element(
      metrics.begin(), metrics.end(),
      [](const auto& a, const auto& b) { return a.second < b.second; });
  *least = {std::string(metric), least->second + weight};
}

Usage::Report Usage::ReportOf(const std::string& tenant, const Entry& entry,
                              absl::Time now) {
  Report report;
  report.tenant = tenant;
  report.uid = entry.uid;
  report.total = entry.total;
  const int64_t unix_seconds = absl::ToUnixSeconds(now);
  const int64_t number = unix_seconds / kSlotSeconds;
  for (const Slot& slot : entry.slots) {
    if (slot.number > number - kSlots && slot.number <= number) {
      report.recent += slot.traffic;
    }
  }
  const double window = static_cast<double>((kSlots - 1) * kSlotSeconds +
                                            unix_seconds % kSlotSeconds);
  report.seconds =
      std::clamp(absl::ToDoubleSeconds(now - entry.first), 1.0, window);
  report.top_metrics.reserve(entry.metrics.size());
  int64_t all = 0;
  for (const auto& [name, weight] : entry.metrics) all += weight;
  for (const auto& [name, weight] : entry.metrics) {
    report.top_metrics.emplace_back(
        name,
        all == 0 ? 0 : static_cast<double>(weight) / static_cast<double>(all));
  }
  std::sort(report.top_metrics.begin(), report.top_metrics.end(),
            [](const auto& a, const auto& b) {
              return a.second != b.second ? a.second > b.second
                                          : a.first < b.first;
            });
  if (report.top_metrics.size() > kTopMetrics) {
    report.top_metrics.resize(kTopMetrics);
  }
  return report;
}

std::vector<Usage::Report> Usage::Reports(size_t most, absl::string_view tenant,
                                          absl::Time now) const {
  std::vector<Report> reports;
  sync::MutexLock lock(&mutex_);
  if (!tenant.empty()) {
    const auto it = tenants_.find(tenant);
    if (it != tenants_.end()) {
      reports.push_back(ReportOf(it->first, it->second, now));
    }
    return reports;
  }
  reports.reserve(tenants_.size());
  for (const auto& [name, entry] : tenants_) {
    if (now - entry.last > kForgotten) continue;
    reports.push_back(ReportOf(name, entry, now));
  }
  std::sort(reports.begin(), reports.end(), [](const auto& a, const auto& b) {
    return a.recent.samples != b.recent.samples
               ? a.recent.samples > b.recent.samples
               : a.tenant < b.tenant;
  });
  if (reports.size() > most) reports.resize(most);
  return reports;
}

void Usage::Sweep(absl::Time now) {
  absl::erase_if(tenants_, [now](const auto& item) {
    return now - item.second.last > kForgotten;
  });
  // Twice what is left, so that sweeps cost O(1) a new tenant.
  sweep_at_ = std::max<size_t>(64, 2 * tenants_.size());
}

}  // namespace insula::ingest_gateway
