// The parts of one request in the making.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "libs/remote_write/part_builder.h"
#include "libs/remote_write/part_stock.h"

namespace insula::remote_write {

// One for each destination that was asked for, in that order. Not thread-safe.
class PartSet {
 public:
  // New parts take their memory from `stock`, which outlives this.
  explicit PartSet(PartStock* stock) : stock_(stock) {}

  // The part of a destination, made at the first call. Stays where it is.
  PartBuilder* Of(const Destination* destination) {
    if (last_ == nullptr || last_->destination() != destination) {
      last_ = Find(destination);
    }
    return last_;
  }

  size_t size() const { return parts_.size(); }
  PartBuilder& operator[](size_t i) { return *parts_[i]; }
  auto begin() const { return parts_.begin(); }
  auto end() const { return parts_.end(); }

 private:
  PartBuilder* Find(const Destination* destination) {
    PartBuilder*& part = part_of_[destination];
    if (part == nullptr) {
      parts_.push_back(
          std::make_unique<PartBuilder>(destination, stock_->Take()));
      part = parts_.back().get();
    }
    return part;
  }

  PartStock* const stock_;
  std::vector<std::unique_ptr<PartBuilder>> parts_;
  absl::flat_hash_map<const Destination*, PartBuilder*> part_of_;
  PartBuilder* last_ = nullptr;  // Neighbours mostly go to the same one.
};

}  // namespace insula::remote_write
