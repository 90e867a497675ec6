// What a process tells its operator over HTTP.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
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

// Pages of JSON that a service adds to the admin server. Thread-safe.
class DebugPages {
 public:
  // The page for the text after '?' of a request.
  using Render = std::function<absl::StatusOr<std::string>(absl::string_view)>;

  void Add(std::string path, Render page) ABSL_LOCKS_EXCLUDED(mutex_);
  // Pages are called between the two, one at a time; once Close() returns, none
  // runs.
  void Open() ABSL_LOCKS_EXCLUDED(mutex_);
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

  // Nullopt if there is no such page. 503 if it is not open. A page that fails
  // is told in plain text, with the status that its code stands for.
  std::optional<http::Response> Answer(absl::string_view path,
                                       absl::string_view query)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // "/debug/a, /debug/b"; empty if there are none.
  std::string Paths() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable sync::Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Render> pages_ ABSL_GUARDED_BY(mutex_);
};

// What the admin server shows. All of it outlives the server.
struct AdminPages {
  Readiness* readiness;
  const metrics::Registry* metrics;
  const std::string* config_dump;
  DebugPages* debug;
};

// Answers GET and HEAD of /metrics, /livez, /readyz, /config and the debug
// pages.
http::Response AnswerAdmin(const AdminPages& pages,
                           const http::Request& request);

}  // namespace insula::runtime
