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
  // something else. It must not block.
  void OnCollect(std::function<void()> update);

  // All metrics in the Prometheus text format, version 0.0.4.
  std::string Expose() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace insula::metrics
