// Does the same work once for all who want it at the same time.
#pragma once

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/auth/digest.h"

namespace insula::auth {

// The work of a key goes on when those who wait for it give up, so it must end
// by itself, and own what it uses. Thread-safe. Owned by a shared_ptr, and
// lives until the last work has ended.
template <typename Value>
class SingleFlight : public std::enable_shared_from_this<SingleFlight<Value>> {
 public:
  using Result = absl::StatusOr<Value>;
  // Makes the work; called on no strand of the caller's. Each work runs on a
  // strand of its own.
  using Work = std::function<boost::asio::awaitable<Result>()>;

  // At most `max_flights` pieces of work at once; further ones are UNAVAILABLE.
  SingleFlight(boost::asio::any_io_executor executor, size_t max_flights)
      : executor_(executor),
        strand_(boost::asio::make_strand(executor)),
        max_flights_(max_flights) {}

  // What `work` results in, or the work of that key that is under way.
  // UNAVAILABLE at `deadline`, and for a caller that is cancelled.
  static boost::asio::awaitable<Result> Run(std::shared_ptr<SingleFlight> self,
                                            Digest key, Work work,
                                            absl::Time deadline) {
    // On the strand, and back.
    co_return co_await boost::asio::co_spawn(
        self->strand_, OnStrand(self, key, std::move(work), deadline),
        boost::asio::use_awaitable);
  }

 private:
  using Strand = boost::asio::strand<boost::asio::any_io_executor>;
  using Timer = boost::asio::steady_timer;
  struct Flight {
    bool done = false;
    Result result = absl::UnavailableError("the check has not ended in time");
    std::vector<std::shared_ptr<Timer>> waiters;
  };

  static boost::asio::awaitable<Result> OnStrand(
      std::shared_ptr<SingleFlight> self, Digest key, Work work,
      absl::Time deadline) {
    std::shared_ptr<Flight> flight;
    if (const auto found = self->flights_.find(key);
        found != self->flights_.end()) {
      flight = found->second;
    } else if (self->flights_.size() >= self->max_flights_) {
      co_return absl::UnavailableError(
          "too many credentials are being checked, try again");
    } else {
      flight = std::make_shared<Flight>();
      self->flights_.emplace(key, flight);
      self->Start(key, flight, work);
    }
    // Longer than any work; a timer can't wait for ever.
    const absl::Duration patience =
        std::min(deadline - absl::Now(), absl::Hours(1));
    auto timer = std::make_shared<Timer>(self->strand_);
    timer->expires_after(absl::ToChronoNanoseconds(patience));
    if (!flight->done) {
      flight->waiters.push_back(timer);
      co_await timer->async_wait(
          boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    if (!flight->done) {
      flight->waiters.erase(
          std::find(flight->waiters.begin(), flight->waiters.end(), timer));
    }
    co_return flight->result;
  }

  void Start(const Digest& key, std::shared_ptr<Flight> flight,
             const Work& work) {
    boost::asio::co_spawn(
        boost::asio::make_strand(executor_), work(),
        boost::asio::bind_executor(
            strand_, [self = this->shared_from_this(), key, flight](
                         std::exception_ptr failed, Result result) {
              flight->result = failed == nullptr
                                   ? std::move(result)
                                   : absl::InternalError("the check failed");
              flight->done = true;
              self->flights_.erase(key);
              for (const auto& waiter : flight->waiters) waiter->cancel();
              flight->waiters.clear();
            }));
  }

  const boost::asio::any_io_executor executor_;
  const Strand strand_;
  const size_t max_flights_;
  std::map<Digest, std::shared_ptr<Flight>> flights_;  // On the strand.
};

}  // namespace insula::auth
