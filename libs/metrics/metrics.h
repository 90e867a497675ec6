// The metrics of a process: a thin face over prometheus-cpp.
//
//   metrics::Registry registry;
//   metrics::Counter& refused = registry.AddCounter(
//       "ingest_gateway_samples_refused_total", "Samples refused.",
//       {{"reason", "rate_limited"}});
//   refused.Increment();
//
// Get a child once and keep the reference; it lives as long as the registry.
// Everything is thread-safe. Invalid names are a bug and abort.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace insula::metrics {

using Labels = std::map<std::string, std::string>;

// Only grows.
class Counter {
 public:
  explicit Counter(prometheus::Counter* counter) : counter_(counter) {}
  void Increment(double by = 1);
  double Value() const;

 private:
  prometheus::Counter* counter_;
};

class Gauge {
 public:
  explicit Gauge(prometheus::Gauge* gauge) : gauge_(gauge) {}
  void Set(double value);
  void Add(double by);
  double Value() const;

 private:
  prometheus::Gauge* gauge_;
};

class Histogram {
 public:
  explicit Histogram(prometheus::Histogram* histogram)
      : histogram_(histogram) {}
  void Observe(double value);

 private:
  prometheus::Histogram* histogram_;
};

// Keeps an update of Registry::OnCollect registered. Destroy it before what the
// update uses; that waits for a running update, so hold no lock the update
// takes. May outlive the registry.
class CollectHook {
 public:
  CollectHook() = default;
  CollectHook(CollectHook&&) = default;
  CollectHook& operator=(CollectHook&&) = default;

 private:
  friend class Registry;
  explicit CollectHook(std::shared_ptr<void> hook) : hook_(std::move(hook)) {}
  std::shared_ptr<void> hook_;
};

// Upper bounds in seconds, from 0.5 ms to 60 s.
const std::vector<double>& LatencyBuckets();

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The child of the family `name` with `labels`, made if it is not there yet.
  Counter& AddCounter(absl::string_view name, absl::string_view help,
                      const Labels& labels = {});
  Gauge& AddGauge(absl::string_view name, absl::string_view help,
                  const Labels& labels = {});
  Histogram& AddHistogram(
      absl::string_view name, absl::string_view help, const Labels& labels = {},
      const std::vector<double>& buckets = LatencyBuckets());

  // Calls `update` before each exposition, to set gauges that are read off
  // something else. It must not block. Calls do not overlap. Ends when the hook
  // is destroyed.
  [[nodiscard]] CollectHook OnCollect(std::function<void()> update);

  // All metrics in the Prometheus text format, version 0.0.4.
  std::string Expose() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace insula::metrics
