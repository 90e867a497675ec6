// Memory that a benchmark shares with its child processes.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "tests/bench/harness.h"

namespace insula::bench {

// Numbers, all 0 at first. Made before the children that use it.
class SharedNumbers {
 public:
  explicit SharedNumbers(size_t size)
      : size_(size),
        memory_(mmap(nullptr, size * sizeof(Number), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ == MAP_FAILED) Die("no memory to share");
  }
  ~SharedNumbers() { munmap(memory_, size_ * sizeof(Number)); }
  SharedNumbers(const SharedNumbers&) = delete;
  SharedNumbers& operator=(const SharedNumbers&) = delete;

  using Number = std::atomic<int64_t>;
  static_assert(Number::is_always_lock_free);

  size_t size() const { return size_; }
  Number& operator[](size_t i) const {
    if (i >= size_) Die("a number that is not shared");
    return static_cast<Number*>(memory_)[i];
  }

 private:
  const size_t size_;
  void* const memory_;
};

}  // namespace insula::bench
