#include "libs/logging/line_buffer.h"

#include <mutex>
#include <utility>

namespace insula::logging::internal {

LineBuffer::LineBuffer(Write write) : write_(std::move(write)) {}

LineBuffer::~LineBuffer() {
  std::thread thread;
  {
    sync::MutexLock lock(&mutex_);
    end_ = true;
    thread = std::move(thread_);
  }
  changed_.notify_all();
  if (thread.joinable()) thread.join();
  Flush();
}

void LineBuffer::Hold(absl::string_view line) {
  sync::MutexLock lock(&mutex_);
  const bool first = held_.empty();
  Append(line);
  if (held_.size() >= kMostBytes) {
    WriteHeld();
  } else if (first) {
    if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
    changed_.notify_one();
  }
}

void LineBuffer::Add(absl::string_view line) {
  sync::MutexLock lock(&mutex_);
  if (held_.empty()) {
    write_(line);
    return;
  }
  Append(line);
  WriteHeld();
}

void LineBuffer::Flush() {
  sync::MutexLock lock(&mutex_);
  if (!held_.empty()) WriteHeld();
}

void LineBuffer::Append(absl::string_view line) {
  if (!held_.empty()) held_.push_back('\n');
  held_.append(line.data(), line.size());
}

void LineBuffer::WriteHeld() {
  write_(held_);
  held_.clear();
}

void LineBuffer::Run() {
  std::unique_lock<sync::Mutex> lock(mutex_);
  while (!end_) {
    if (held_.empty()) {
      changed_.wait(lock);
      continue;
    }
    // More come meanwhile; nobody need tell.
    const auto until = std::chrono::steady_clock::now() + kLongest;
    while (!end_ && std::chrono::steady_clock::now() < until) {
      changed_.wait_until(lock, until);
    }
    if (!held_.empty()) WriteHeld();
  }
}

}  // namespace insula::logging::internal
