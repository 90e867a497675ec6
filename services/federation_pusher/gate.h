// Lets so many in at a time; the others wait their turn.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <deque>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "libs/sync/mutex.h"
#include "services/federation_pusher/one_shot.h"

namespace insula::federation_pusher {

// First come, first served. No bound of its own on those who wait. Thread-safe.
// Outlives all places.
class Gate {
 public:
  // A place inside; given back when destroyed. Empty if none was got.
  class Place {
   public:
    explicit Place(Gate* gate = nullptr) : gate_(gate) {}
    Place(Place&& other) noexcept
        : gate_(std::exchange(other.gate_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (gate_ != nullptr) gate_->Leave();
    }
    explicit operator bool() const { return gate_ != nullptr; }

   private:
    Gate* gate_;
  };

  explicit Gate(int places) : free_(places) {}

  // Waits for a place; empty if the coroutine was cancelled. The caller runs on
  // a strand.
  boost::asio::awaitable<Place> Enter() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Turn = OneShot<bool>;

  // True: there is a place. False: `turn` waits.
  bool EnterOrWait(const std::shared_ptr<Turn>& turn);
  // True: it waits no more. False: its turn had come.
  bool GiveUp(const std::shared_ptr<Turn>& turn);
  void Leave() ABSL_LOCKS_EXCLUDED(mutex_);

  sync::Mutex mutex_;
  int free_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<Turn>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::federation_pusher
