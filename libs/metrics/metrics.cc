#include "libs/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <list>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "libs/sync/mutex.h"

namespace insula::metrics {
namespace {

// prometheus-cpp throws std::invalid_argument on an invalid name, on a name
// used for two types and on labels that a family has as constant ones.
[[noreturn]] void Die(absl::string_view name, const char* what) {
  std::fprintf(stderr, "metric '%.*s' can't be added: %s\n",
               static_cast<int>(name.size()), name.data(), what);
  std::abort();
}

// Each has a lock of its own, which is held while it runs: an update may take
// locks under which others are added, and end.
struct Update {
  sync::Mutex mutex;
  std::function<void()> run ABSL_GUARDED_BY(mutex);  // Empty: it has ended.
};

// The updates of a registry.
struct Updates {
  sync::Mutex mutex;
  std::list<std::shared_ptr<Update>> list ABSL_GUARDED_BY(mutex);
};

}  // namespace

struct Registry::State {
  // One type's families by name, and its children by the library's pointer (the
  // library returns the same child for the same labels).
  template <typename Face, typename Metric>
  struct Kind {
    std::map<std::string, prometheus::Family<Metric>*, std::less<>> families;
    std::map<Metric*, std::unique_ptr<Face>> children;
  };

  // Adds a child; `build` makes the family if there is none of that name.
  template <typename Face, typename Metric, typename Build, typename... Args>
  Face& Add(Kind<Face, Metric>& kind, absl::string_view name,
            absl::string_view help, const Labels& labels, Build build,
            const Args&... args) {
    sync::MutexLock lock(&mutex);
    try {
      const std::string key(name);
      prometheus::Family<Metric>*& family = kind.families[key];
      if (family == nullptr) {
        family = &build().Name(key).Help(std::string(help)).Register(registry);
      }
      Metric& metric = family->Add(labels, args...);
      std::unique_ptr<Face>& face = kind.children[&metric];
      if (face == nullptr) face = std::make_unique<Face>(&metric);
      return *face;
    } catch (const std::exception& error) {
      Die(name, error.what());
    }
  }

  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Throw};
  sync::Mutex mutex;
  Kind<Counter, prometheus::Counter> counters ABSL_GUARDED_BY(mutex);
  Kind<Gauge, prometheus::Gauge> gauges ABSL_GUARDED_BY(mutex);
  Kind<Histogram, prometheus::Histogram> histograms ABSL_GUARDED_BY(mutex);
  std::shared_ptr<Updates> updates = std::make_shared<Updates>();
};

void Counter::Increment(double by) { counter_->Increment(by); }
double Counter::Value() const { return counter_->Value(); }

void Gauge::Set(double value) { gauge_->Set(value); }
void Gauge::Add(double by) { gauge_->Increment(by); }
double Gauge::Value() const { return gauge_->Value(); }

void Histogram::Observe(double value) { histogram_->Observe(value); }

const std::vector<double>& LatencyBuckets() {
  static const auto& buckets = *new std::vector<double>{
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
      0.25,   0.5,   1,      2.5,   5,    10,    30,   60};
  return buckets;
}

Registry::Registry() : state_(std::make_unique<State>()) {}
Registry::~Registry() = default;

Counter& Registry::AddCounter(absl::string_view name, absl::string_view help,
                              const Labels& labels) {
  return state_->Add(state_->counters, name, help, labels,
                     prometheus::BuildCounter);
}

Gauge& Registry::AddGauge(absl::string_view name, absl::string_view help,
                          const Labels& labels) {
  return state_->Add(state_->gauges, name, help, labels,
                     prometheus::BuildGauge);
}

Histogram& Registry::AddHistogram(absl::string_view name,
                                  absl::string_view help, const Labels& labels,
                                  const std::vector<double>& buckets) {
  return state_->Add(state_->histograms, name, help, labels,
                     prometheus::BuildHistogram, buckets);
}

CollectHook Registry::OnCollect(std::function<void()> update) {
  const std::shared_ptr<Updates> updates = state_->updates;
  auto kept = std::make_shared<Update>();
  {
    sync::MutexLock lock(&kept->mutex);
    kept->run = std::move(update);
  }
  sync::MutexLock lock(&updates->mutex);
  const auto added = updates->list.insert(updates->list.end(), kept);
  return CollectHook(
      std::shared_ptr<void>(nullptr, [updates, added, kept](void*) {
        {
          sync::MutexLock erasing(&updates->mutex);
          updates->list.erase(added);
        }
        std::function<void()> ended;
        sync::MutexLock waiting(&kept->mutex);
        ended.swap(kept->run);
      }));
}

std::string Registry::Expose() const {
  std::vector<std::shared_ptr<Update>> updates;
  {
    sync::MutexLock lock(&state_->updates->mutex);
    updates.assign(state_->updates->list.begin(), state_->updates->list.end());
  }
  for (const std::shared_ptr<Update>& update : updates) {
    sync::MutexLock lock(&update->mutex);
    if (update->run) update->run();
  }
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace insula::metrics
