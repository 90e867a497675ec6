// What a process tells its operator over HTTP.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "libs/http/message.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"

namespace insula::runtime {

// Whether the process may get work. Thread-safe.
class Readiness {
 public:
  using Check = std::function<absl::Status()>;

  // Checks run between SetReady() and SetDraining(), one at a time.
  void Add(std::string name, Check check) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetReady() ABSL_LOCKS_EXCLUDED(mutex_);
  // Returns once no check runs; none runs afterwards.
  void SetDraining() ABSL_LOCKS_EXCLUDED(mutex_);

  // 200, or 503 with a line "NAME: REASON" for each check that fails.
  http::Response Answer() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  enum class Phase { kStarting, kServing, kDraining };

  sync::Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kStarting;
  std::vector<std::pair<std::string, Check>> checks_ ABSL_GUARDED_BY(mutex_);
};

// What the admin server shows. All of it outlives the server.
struct AdminPages {
  Readiness* readiness;
  const metrics::Registry* metrics;
  const std::string* config_dump;
};

// Answers GET and HEAD of /metrics, /livez, /readyz and /config.
http::Response AnswerAdmin(const AdminPages& pages,
                           const http::Request& request);

}  // namespace insula::runtime
