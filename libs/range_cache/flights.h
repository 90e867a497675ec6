// One piece of work for all who want the same at the same time.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/sync/event.h"
#include "libs/sync/mutex.h"
#include "libs/sync/strand.h"

namespace insula::range_cache {

// Who waits may give up, and the work goes on for the others; it is cancelled
// when the last of them has. Keys are compared as a whole. Thread-safe. Held by
// a shared_ptr, and lives until the last work has ended.
template <typename Value>
class Flights : public std::enable_shared_from_this<Flights<Value>> {
 public:
  using Result = absl::StatusOr<Value>;
  // Makes the work, which owns what it uses, and runs on a strand of its own
  // until `deadline` at the latest.
  using Work =
      std::function<boost::asio::awaitable<Result>(absl::Time deadline)>;

 private:
  struct Flight {
    explicit Flight(const boost::asio::any_io_executor& executor)
        : strand(sync::MakeStrand(sync::ExecutorBelow(executor))) {}
    const boost::asio::any_io_executor strand;
    boost::asio::cancellation_signal cancel;  // On the strand.
    // The rest under the mutex of Flights.
    int waiting = 0;
    std::vector<std::shared_ptr<sync::Event>> landed;
    std::optional<Result> result;  // Never changes once it is set.
  };

 public:
  // The place of one who waits. Gives up when it is destroyed.
  class Seat {
   public:
    Seat() = default;
    Seat(Seat&& other) noexcept { *this = std::move(other); }
    Seat& operator=(Seat&& other) noexcept {
      std::swap(flights_, other.flights_);
      std::swap(flight_, other.flight_);
      std::swap(key_, other.key_);
      std::swap(landed_, other.landed_);
      std::swap(first_, other.first_);
      return *this;
    }
    ~Seat() {
      if (flights_ != nullptr) flights_->Leave(key_, flight_);
    }
    // Whether the work was begun for this seat.
    bool first() const { return first_; }

   private:
    friend class Flights;
    std::shared_ptr<Flights> flights_;
    std::shared_ptr<Flight> flight_;
    std::string key_;
    std::shared_ptr<sync::Event> landed_;
    bool first_ = false;
  };

  // Joins the work of `key` that is under way, or begins it, where the caller
  // runs: on what its strand, `executor`, is a strand on.
  Seat Join(std::string key, const Work& work,
            const boost::asio::any_io_executor& executor, absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    Seat seat;
    seat.landed_ = std::make_shared<sync::Event>();
    {
      sync::MutexLock lock(&mutex_);
      std::shared_ptr<Flight>& flight = flights_[key];
      if (flight == nullptr) {
        flight = std::make_shared<Flight>(executor);
        seat.first_ = true;
      }
      ++flight->waiting;
      flight->landed.push_back(seat.landed_);
      seat.flight_ = flight;
    }
    seat.flights_ = this->shared_from_this();
    seat.key_ = std::move(key);
    if (seat.first_) Start(seat.key_, seat.flight_, work, deadline);
    return seat;
  }

  // What the work resulted in. DEADLINE_EXCEEDED at `deadline`, CANCELLED if
  // the calling coroutine was. When work that somebody else began ran out of
  // time or was cancelled, it is begun again for who has time left. The caller
  // runs on a strand.
  static boost::asio::awaitable<Result> Wait(Seat seat, Work work,
                                             absl::Time deadline) {
    while (true) {
      const std::shared_ptr<sync::Event> landed = seat.landed_;
      switch (co_await sync::Event::Wait(landed, deadline)) {
        case sync::Event::End::kDeadline:
          co_return absl::DeadlineExceededError("no answer in time");
        case sync::Event::End::kCancelled:
          co_return absl::CancelledError("nobody waits for the answer");
        case sync::Event::End::kSet:
          break;
      }
      Result result = seat.flights_->ResultOf(*seat.flight_);
      const bool mine = seat.first_;
      if (mine || (!absl::IsDeadlineExceeded(result.status()) &&
                   !absl::IsCancelled(result.status()))) {
        co_return result;
      }
      const std::shared_ptr<Flights> flights = seat.flights_;
      const boost::asio::any_io_executor executor =
          co_await boost::asio::this_coro::executor;
      seat = flights->Join(seat.key_, work, executor, deadline);
    }
  }

  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_) {
    sync::MutexLock lock(&mutex_);
    return flights_.size();
  }

 private:
  void Start(const std::string& key, const std::shared_ptr<Flight>& flight,
             const Work& work, absl::Time deadline) {
    boost::asio::co_spawn(
        flight->strand, work(deadline),
        boost::asio::bind_cancellation_slot(
            flight->cancel.slot(),
            boost::asio::bind_executor(
                flight->strand, [self = this->shared_from_this(), key, flight](
                                    std::exception_ptr failed, Result result) {
                  self->Land(key, flight,
                             failed == nullptr
                                 ? std::move(result)
                                 : absl::CancelledError("given up"));
                })));
  }

  Result ResultOf(const Flight& flight) const ABSL_LOCKS_EXCLUDED(mutex_) {
    sync::MutexLock lock(&mutex_);
    return *flight.result;
  }

  void Land(const std::string& key, const std::shared_ptr<Flight>& flight,
            Result result) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<std::shared_ptr<sync::Event>> landed;
    {
      sync::MutexLock lock(&mutex_);
      flight->result = std::move(result);
      landed.swap(flight->landed);
      Forget(key, flight);
    }
    for (const auto& event : landed) event->Set();
  }

  void Leave(const std::string& key, const std::shared_ptr<Flight>& flight)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      sync::MutexLock lock(&mutex_);
      if (--flight->waiting > 0 || flight->result.has_value()) return;
      Forget(key, flight);  // Who comes now begins anew.
    }
    boost::asio::post(flight->strand, [flight] {
      flight->cancel.emit(boost::asio::cancellation_type::all);
    });
  }

  void Forget(const std::string& key, const std::shared_ptr<Flight>& flight)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = flights_.find(key);
    if (found != flights_.end() && found->second == flight) {
      flights_.erase(found);
    }
  }

  mutable sync::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<Flight>> flights_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::range_cache
