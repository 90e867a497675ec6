// Lines that are written together.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "libs/sync/mutex.h"

namespace insula::logging::internal {

// Holds lines back for a while, so that many of them cost one system call.
// Lines come out in the order in which they were given. Thread-safe.
class LineBuffer {
 public:
  // Writes lines with '\n' between them, and puts one behind the last. Called
  // by one thread at a time.
  using Write = std::function<void(absl::string_view lines)>;

  static constexpr std::chrono::milliseconds kLongest{100};
  static constexpr size_t kMostBytes = size_t{64} << 10;

  explicit LineBuffer(Write write);
  // Writes what is held.
  ~LineBuffer();
  LineBuffer(const LineBuffer&) = delete;
  LineBuffer& operator=(const LineBuffer&) = delete;

  // Holds `line` for kLongest at most; all are written once they are kMostBytes
  // together. The first call starts a thread for that.
  void Hold(absl::string_view line) ABSL_LOCKS_EXCLUDED(mutex_);
  // Writes what is held, and then `line`.
  void Add(absl::string_view line) ABSL_LOCKS_EXCLUDED(mutex_);
  // Writes what is held.
  void Flush() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Append(absl::string_view line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteHeld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);

  const Write write_;
  sync::Mutex mutex_;
  std::condition_variable_any
      changed_;  // held_ is not empty any more, or end_.
  std::string held_ ABSL_GUARDED_BY(mutex_);
  bool end_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_ ABSL_GUARDED_BY(mutex_);  // Of Run(), once there is one.
};

}  // namespace insula::logging::internal
