#include "libs/spool/queue_index.h"

#include <algorithm>
#include <utility>

namespace insula::spool {

void QueueIndex::Reserve(absl::string_view uid, uint64_t bytes) {
  Queue& queue = queues_[uid];
  queue.reserved += bytes;
  ++queue.reservations;
  reserved_ += bytes;
  ++reservations_;
}

void QueueIndex::Settle(absl::string_view uid, uint64_t bytes) {
  Queue& queue = queues_[uid];
  queue.reserved -= bytes;
  --queue.reservations;
  reserved_ -= bytes;
  --reservations_;
  EraseIfEmpty(uid);
}

void QueueIndex::Add(absl::string_view uid, const Place& place) {
  Queue& queue = queues_[uid];
  queue.places.push_back(place);
  queue.bytes += place.bytes;
  bytes_ += place.bytes;
  ++records_;
}

std::vector<Place> QueueIndex::TakeWhile(
    absl::string_view uid, const std::function<bool(const Place&)>& which) {
  std::vector<Place> taken;
  const auto it = queues_.find(uid);
  if (it == queues_.end()) return taken;
  Queue& queue = it->second;
  while (!queue.places.empty() && which(queue.places.front())) {
    taken.push_back(queue.places.front());
    queue.places.pop_front();
    Took(taken.back(), &queue);
  }
  EraseIfEmpty(uid);
  return taken;
}

std::vector<Place> QueueIndex::Take(absl::string_view uid,
                                    const std::vector<uint64_t>& sequences) {
  std::vector<Place> taken;
  const auto it = queues_.find(uid);
  if (it == queues_.end()) return taken;
  Queue& queue = it->second;
  std::deque<Place> kept;
  for (const Place& place : queue.places) {
    if (std::binary_search(sequences.begin(), sequences.end(),
                           place.sequence)) {
      taken.push_back(place);
      Took(place, &queue);
    } else {
      kept.push_back(place);
    }
  }
  queue.places = std::move(kept);
  EraseIfEmpty(uid);
  return taken;
}

const QueueIndex::Queue* QueueIndex::Find(absl::string_view uid) const {
  const auto it = queues_.find(uid);
  return it == queues_.end() ? nullptr : &it->second;
}

void QueueIndex::TakeReservations(const QueueIndex& other) {
  for (const auto& [uid, theirs] : other.queues_) {
    if (theirs.reservations == 0) continue;
    Queue& queue = queues_[uid];
    queue.reserved += theirs.reserved;
    queue.reservations += theirs.reservations;
    reserved_ += theirs.reserved;
    reservations_ += theirs.reservations;
  }
}

void QueueIndex::Took(const Place& place, Queue* queue) {
  queue->bytes -= place.bytes;
  bytes_ -= place.bytes;
  --records_;
}

void QueueIndex::EraseIfEmpty(absl::string_view uid) {
  const auto it = queues_.find(uid);
  if (it != queues_.end() && it->second.places.empty() &&
      it->second.reservations == 0) {
    queues_.erase(it);
  }
}

}  // namespace insula::spool
