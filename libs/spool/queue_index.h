// What waits for each tenant, without the bodies.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::spool {

// Where a record is, and what it is worth.
struct Place {
  uint64_t sequence = 0;
  uint64_t bytes = 0;
  int64_t samples = 0;
  absl::Time enqueued;
};

// Not thread-safe.
class QueueIndex {
 public:
  struct Queue {
    std::deque<Place> places;  // By sequence.
    uint64_t bytes = 0;        // Of the places.
    uint64_t reserved = 0;     // Of records that are about to be here.
    int64_t reservations = 0;
  };

  // Makes room for a record that is about to come; Settle() ends that.
  void Reserve(absl::string_view uid, uint64_t bytes);
  void Settle(absl::string_view uid, uint64_t bytes);

  // At the end of the tenant's queue.
  void Add(absl::string_view uid, const Place& place);

  // Takes places off the front while `which` says so.
  std::vector<Place> TakeWhile(absl::string_view uid,
                               const std::function<bool(const Place&)>& which);
  // Takes out those with the given sequences, sorted.
  std::vector<Place> Take(absl::string_view uid,
                          const std::vector<uint64_t>& sequences);

  // Null if the tenant has none.
  const Queue* Find(absl::string_view uid) const;
  const absl::flat_hash_map<std::string, Queue>& queues() const {
    return queues_;
  }

  // With what is reserved.
  uint64_t bytes() const { return bytes_ + reserved_; }
  int64_t records() const { return records_ + reservations_; }
  // Without.
  uint64_t stored_bytes() const { return bytes_; }
  int64_t stored_records() const { return records_; }

  // Takes over the reservations of another.
  void TakeReservations(const QueueIndex& other);

 private:
  void Took(const Place& place, Queue* queue);
  void EraseIfEmpty(absl::string_view uid);

  absl::flat_hash_map<std::string, Queue> queues_;
  uint64_t bytes_ = 0;
  uint64_t reserved_ = 0;
  int64_t records_ = 0;
  int64_t reservations_ = 0;
};

}  // namespace insula::spool
