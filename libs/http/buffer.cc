#include "libs/http/buffer.h"

#include <sanitizer/asan_interface.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "absl/base/optimization.h"

namespace insula::http {
namespace {

// Blocks come in powers of two from 4 KiB to 1 MiB; each thread keeps at most
// kKeptBytes of each size.
constexpr int kMinBits = 12;
constexpr int kMaxBits = 20;
constexpr size_t kKeptBytes = size_t{2} << kMaxBits;
constexpr size_t kMaxKept = 64;

struct FreeList {
  std::array<char*, kMaxKept> blocks;
  size_t size = 0;
};

char* NewBlock(size_t bytes) {
  void* block = std::malloc(bytes);
  if (ABSL_PREDICT_FALSE(block == nullptr)) std::abort();
  return static_cast<char*>(block);
}

void DeleteBlock(char* block, [[maybe_unused]] size_t bytes) {
  ASAN_UNPOISON_MEMORY_REGION(block, bytes);
  std::free(block);
}

int BitsFor(size_t bytes) {
  const int bits = static_cast<int>(std::bit_width(bytes - 1));
  return bits < kMinBits ? kMinBits : bits;
}

// A buffer may outlive the pool of its thread when the thread ends.
thread_local bool pool_is_gone = false;

class Pool {
 public:
  ~Pool() {
    pool_is_gone = true;
    for (int bits = kMinBits; bits <= kMaxBits; ++bits) {
      FreeList& list = lists_[bits - kMinBits];
      while (list.size > 0) {
        DeleteBlock(list.blocks[--list.size], size_t{1} << bits);
      }
    }
  }

  char* Take(int bits) {
    FreeList& list = lists_[bits - kMinBits];
    if (list.size == 0) return NewBlock(size_t{1} << bits);
    return list.blocks[--list.size];
  }

  void Give(char* block, int bits) {
    FreeList& list = lists_[bits - kMinBits];
    if (list.size >= kMaxKept || list.size >= (kKeptBytes >> bits)) {
      DeleteBlock(block, size_t{1} << bits);
      return;
    }
    list.blocks[list.size++] = block;
  }

 private:
  std::array<FreeList, kMaxBits - kMinBits + 1> lists_;
};

thread_local Pool pool;

// A block of at least `*bytes`; sets `*bytes` to what it has.
char* Allocate(size_t* bytes) {
  const int bits = BitsFor(*bytes);
  if (bits > kMaxBits) return NewBlock(*bytes);
  *bytes = size_t{1} << bits;
  return pool_is_gone ? NewBlock(*bytes) : pool.Take(bits);
}

void Release(char* block, size_t bytes) {
  const int bits = BitsFor(bytes);
  if (bits > kMaxBits || pool_is_gone) {
    DeleteBlock(block, bytes);
    return;
  }
  ASAN_POISON_MEMORY_REGION(block, bytes);
  pool.Give(block, bits);
}

// Makes `size` bytes and the padding of `block` accessible, and nothing behind.
void SetEnd(char* block, size_t size, [[maybe_unused]] size_t capacity) {
  ASAN_UNPOISON_MEMORY_REGION(block, size + Buffer::kPadding);
  ASAN_POISON_MEMORY_REGION(block + size + Buffer::kPadding, capacity - size);
  std::memset(block + size, 0, Buffer::kPadding);
}

}  // namespace

char* Buffer::Empty() {
  static char zeros[kPadding] = {};
  return zeros;
}

Buffer::Buffer(size_t size) { Resize(size); }

Buffer::Buffer(absl::string_view text) : Buffer(text.size()) {
  if (!text.empty()) std::memcpy(data_, text.data(), text.size());
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, Empty())),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  Buffer old(std::move(*this));
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(capacity_, other.capacity_);
  return *this;
}

Buffer::~Buffer() {
  if (capacity_ > 0) Release(data_, capacity_ + kPadding);
}

void Buffer::Resize(size_t size) {
  if (size > capacity_) {
    size_t bytes = size + kPadding;
    char* block = Allocate(&bytes);
    const size_t capacity = bytes - kPadding;
    SetEnd(block, size, capacity);
    if (size_ > 0) std::memcpy(block, data_, size_);
    if (capacity_ > 0) Release(data_, capacity_ + kPadding);
    data_ = block;
    capacity_ = capacity;
  } else if (capacity_ > 0) {
    SetEnd(data_, size, capacity_);
  }
  size_ = size;
}

}  // namespace insula::http
