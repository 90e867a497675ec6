// A map of shared values that is cheap to copy and cheap to change a copy of.
//
// Keys are spread over 128 * 128 shards in a tree of three levels. A copy of a
// map shares everything; an Editor copies only the nodes on the way to what it
// changes, about 300 pointers per change at a million entries, and each node
// once however many changes follow.
//
//   struct KeyOf {
//     absl::string_view operator()(const Tenant& t) const { return t.id; }
//   };
//   ShardedMap<Tenant, KeyOf> next = present;
//   ShardedMap<Tenant, KeyOf>::Editor(&next).Put(tenant);  // `present` stays.
//
// The key is part of the value, so it is not stored twice.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"

namespace insula::tenancy {

// Reading is thread-safe. `KeyOf` is called as KeyOf()(const T&) and returns
// the key as an absl::string_view into the value.
template <typename T, typename KeyOf>
class ShardedMap {
 private:
  static constexpr size_t kFanOutBits = 7;
  static constexpr size_t kFanOut = size_t{1} << kFanOutBits;

  struct Entry {
    uint32_t tag;  // Part of the key's hash that the place does not use.
    std::shared_ptr<const T> value;
  };
  using Leaf = std::vector<Entry>;  // Sorted by tag.
  using Branch = std::array<std::shared_ptr<Leaf>, kFanOut>;
  using Root = std::array<std::shared_ptr<Branch>, kFanOut>;

  // Where a key belongs.
  struct Place {
    explicit Place(absl::string_view key) {
      const uint64_t hash = absl::Hash<absl::string_view>()(key);
      branch = hash >> (64 - kFanOutBits);
      leaf = (hash >> (64 - 2 * kFanOutBits)) & (kFanOut - 1);
      tag = static_cast<uint32_t>(hash);
    }
    size_t branch;
    size_t leaf;
    uint32_t tag;
  };

 public:
  using Value = std::shared_ptr<const T>;

  // Null if there is none.
  const T* Find(absl::string_view key) const {
    const Value* value = FindValue(key);
    return value == nullptr ? nullptr : value->get();
  }
  // The same, to hold on to.
  Value FindShared(absl::string_view key) const {
    const Value* value = FindValue(key);
    return value == nullptr ? nullptr : *value;
  }

  size_t size() const { return size_; }

  // Calls visit(const T&) for each, in no order.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    if (root_ == nullptr) return;
    for (const auto& branch : *root_) {
      if (branch == nullptr) continue;
      for (const auto& leaf : *branch) {
        if (leaf == nullptr) continue;
        for (const Entry& entry : *leaf) visit(*entry.value);
      }
    }
  }

  // Changes one map; other copies of it stay as they are. Not thread-safe. The
  // map must outlive it, and must not be copied or assigned meanwhile.
  class Editor {
   public:
    explicit Editor(ShardedMap* map) : map_(*map) {}
    Editor(const Editor&) = delete;
    Editor& operator=(const Editor&) = delete;

    // Adds a value, or replaces that of the same key.
    void Put(Value value) {
      const absl::string_view key = KeyOf()(*value);
      const Place place(key);
      Leaf& leaf = OwnedLeaf(place);
      const auto at = Locate(leaf, place, key);
      if (at.found) {
        leaf[at.index].value = std::move(value);
        return;
      }
      // Leaves live long and are many: grow them by little.
      if (leaf.size() == leaf.capacity()) {
        leaf.reserve(leaf.size() + leaf.size() / 8 + 1);
      }
      leaf.insert(leaf.begin() + static_cast<std::ptrdiff_t>(at.index),
                  Entry{place.tag, std::move(value)});
      ++map_.size_;
    }

    // Removes the value of `key`, if there is one.
    void Erase(absl::string_view key) {
      if (map_.FindValue(key) == nullptr) return;
      const Place place(key);
      Leaf& leaf = OwnedLeaf(place);
      const auto at = Locate(leaf, place, key);
      leaf.erase(leaf.begin() + static_cast<std::ptrdiff_t>(at.index));
      --map_.size_;
    }

   private:
    Leaf& OwnedLeaf(const Place& place) {
      if (!owns_root_) {
        map_.root_ = Copy(map_.root_);
        owns_root_ = true;
      }
      std::shared_ptr<Branch>& branch = (*map_.root_)[place.branch];
      if (!owned_branches_[place.branch]) {
        branch = Copy(branch);
        owned_branches_.set(place.branch);
      }
      std::shared_ptr<Leaf>& leaf = (*branch)[place.leaf];
      const size_t number = place.branch * kFanOut + place.leaf;
      if (!owned_leaves_[number]) {
        leaf = Copy(leaf);
        owned_leaves_.set(number);
      }
      return *leaf;
    }

    template <typename Node>
    static std::shared_ptr<Node> Copy(const std::shared_ptr<Node>& node) {
      return node == nullptr ? std::make_shared<Node>()
                             : std::make_shared<Node>(*node);
    }

    ShardedMap& map_;
    // The nodes that no other map can see, so that may change in place.
    bool owns_root_ = false;
    std::bitset<kFanOut> owned_branches_;
    std::bitset<kFanOut * kFanOut> owned_leaves_;
  };

 private:
  struct Location {
    size_t index;  // Of the entry, or of where it would be put.
    bool found;
  };
  static Location Locate(const Leaf& leaf, const Place& place,
                         absl::string_view key) {
    auto entry = std::lower_bound(
        leaf.begin(), leaf.end(), place.tag,
        [](const Entry& e, uint32_t tag) { return e.tag < tag; });
    for (; entry != leaf.end() && entry->tag == place.tag; ++entry) {
      if (KeyOf()(*entry->value) == key) {
        return {static_cast<size_t>(entry - leaf.begin()), true};
      }
    }
    return {static_cast<size_t>(entry - leaf.begin()), false};
  }

  const Value* FindValue(absl::string_view key) const {
    if (root_ == nullptr) return nullptr;
    const Place place(key);
    const auto& branch = (*root_)[place.branch];
    if (branch == nullptr) return nullptr;
    const auto& leaf = (*branch)[place.leaf];
    if (leaf == nullptr) return nullptr;
    const Location at = Locate(*leaf, place, key);
    return at.found ? &(*leaf)[at.index].value : nullptr;
  }

  std::shared_ptr<Root> root_;
  size_t size_ = 0;
};

}  // namespace insula::tenancy
