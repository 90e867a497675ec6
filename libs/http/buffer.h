// A byte buffer from a pool, for bodies.
#pragma once

#include <cstddef>
#include <memory>

#include "absl/strings/string_view.h"

namespace insula::http {

// Owns `size` bytes, behind which kPadding zero bytes can be read (parsers may
// read over the end by a vector register), also when it is empty. Move-only.
// Goes back to a pool of the thread that destroys it; large ones are freed. New
// bytes have no particular value until they are written.
class Buffer {
 public:
  static constexpr size_t kPadding = 64;

  Buffer() = default;
  explicit Buffer(size_t size);
  explicit Buffer(absl::string_view text);  // A copy.
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  char* data() { return data_; }
  const char* data() const { return data_; }
  size_t size() const { return size_; }
  absl::string_view view() const { return {data_, size_}; }

  // Cuts or grows the buffer; what was there up to the smaller size stays.
  void Resize(size_t size);

 private:
  static char* Empty();  // kPadding zeros, shared, never written.

  char* data_ = Empty();
  size_t size_ = 0;
  size_t capacity_ = 0;  // Without the padding; 0: data_ is Empty().
};

}  // namespace insula::http
