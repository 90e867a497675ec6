// Queries that run now, and those that took long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/sync/mutex.h"

namespace insula::query_frontend {

// Texts are those of tenants: escape them. Thread-safe.
class QueryWatch {
 public:
  struct Options {
    absl::Duration slow = absl::Seconds(10);  // From here on; 0: none is.
    size_t max_slow = 100;                    // Kept, the newest.
    size_t max_slow_of_tenant = 20;
    size_t max_text_bytes = 1024;  // Of a query; the rest is cut.
  };
  struct Query {
    std::string tenant;  // Several: joined by '|'.
    std::string caller;  // "binding/ID".
    std::string endpoint;
    std::string text;
    std::string request_id;
    absl::Time since;
  };
  struct SlowQuery {
    Query query;
    absl::Duration time;
    int code = 0;  // HTTP status of the answer.
    size_t bytes = 0;
  };

  // A query is running as long as this lives.
  class Running {
   public:
    Running(QueryWatch* watch, uint64_t number)
        : watch_(watch), number_(number) {}
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() { watch_->End(number_); }

   private:
    QueryWatch* const watch_;
    const uint64_t number_;
  };

  explicit QueryWatch(Options options) : options_(options) {}

  [[nodiscard]] Running Begin(Query query);

  bool IsSlow(absl::Duration time) const {
    return options_.slow > absl::ZeroDuration() && time >= options_.slow;
  }
  void NoteSlow(SlowQuery slow) ABSL_LOCKS_EXCLUDED(mutex_);

  // At most `most`, those that have run the longest.
  std::vector<Query> AllRunning(size_t most) const ABSL_LOCKS_EXCLUDED(mutex_);
  // The last one first.
  std::vector<SlowQuery> Slow() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void End(uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_);
  Query Cut(Query query) const;

  const Options options_;
  mutable sync::Mutex mutex_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Query> running_ ABSL_GUARDED_BY(mutex_);
  std::deque<SlowQuery> slow_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::query_frontend
