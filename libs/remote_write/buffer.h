// Bytes that grow at their end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/string_view.h"

namespace insula::remote_write {

// As std::string, but room at the end comes without being filled first, so that
// a record of known size is written through a pointer. Not thread-safe.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }

  // `size` bytes more at the end, which the caller writes. The pointer is good
  // until the next call.
  char* Extend(size_t size) {
    if (capacity_ - size_ < size)
      Reserve(std::max(2 * capacity_, size_ + size));
    char* const added = data_.get() + size_;
    size_ += size;
    return added;
  }
  void Append(absl::string_view bytes) {
    if (!bytes.empty()) {
      std::memcpy(Extend(bytes.size()), bytes.data(), bytes.size());
    }
  }
  void Reserve(size_t capacity) {
    if (capacity <= capacity_) return;
    auto grown = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ > 0) std::memcpy(grown.get(), data_.get(), size_);
    data_ = std::move(grown);
    capacity_ = capacity;
  }
  // The memory stays.
  void Clear() { size_ = 0; }

  absl::string_view view() const {
    return absl::string_view(data_.get(), size_);
  }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  bool empty() const { return size_ == 0; }

 private:
  std::unique_ptr<char[]> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace insula::remote_write
