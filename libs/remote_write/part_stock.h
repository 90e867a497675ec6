// Memory for the parts of requests, used again and again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/remote_write/part_builder.h"

namespace insula::remote_write {

// The memory of parts: of those that the last result shows, and of no part,
// which is kept for the next request within bounds. Not thread-safe.
class PartStock {
 public:
  // For a new part.
  PartBuilder::Memory Take() {
    if (spare_.empty()) return {};
    PartBuilder::Memory memory = std::move(spare_.back());
    spare_.pop_back();
    bytes_ -= BytesOf(memory);
    return memory;
  }

  // The body of a result, which stays until Reclaim().
  absl::string_view Show(PartBuilder::Memory memory) {
    shown_.push_back(std::move(memory));
    return shown_.back().body.view();
  }

  // Ends what is shown.
  void Reclaim() {
    for (PartBuilder::Memory& memory : shown_) {
      if (spare_.size() == kMaxKeptParts) break;
      if (bytes_ + BytesOf(memory) > kMaxKeptBytes) continue;
      memory.body.Clear();
      memory.hashes.clear();
      bytes_ += BytesOf(memory);
      spare_.push_back(std::move(memory));
    }
    shown_.clear();
  }

 private:
  static constexpr size_t kMaxKeptParts = 256;
  static constexpr size_t kMaxKeptBytes = 8 << 20;

  static size_t BytesOf(const PartBuilder::Memory& memory) {
    return memory.body.capacity() + memory.hashes.capacity() * sizeof(uint64_t);
  }

  std::vector<PartBuilder::Memory> spare_;
  std::vector<PartBuilder::Memory> shown_;
  size_t bytes_ = 0;  // Of the spare ones.
};

}  // namespace insula::remote_write
