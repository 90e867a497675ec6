// Threads that each run the work of their own connections.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <vector>

#include "absl/time/time.h"

namespace insula::runtime {

// On a pool of threads each event of a connection wakes another thread, which
// waits for the next one. On a loop the thread that waits for an event handles
// it: that is for what does little at each event. What takes long holds up the
// other connections of its loop and belongs on the pool.
class EventLoops {
 public:
  explicit EventLoops(int threads);
  // Stops, and drops what has not run.
  ~EventLoops();
  EventLoops(const EventLoops&) = delete;
  EventLoops& operator=(const EventLoops&) = delete;

  // One of each loop.
  std::vector<boost::asio::any_io_executor> executors();

  // Waits until nothing is left to run, at most for `patience`. Nothing must be
  // given to the loops from then on. False: something is left.
  bool Finish(absl::Duration patience);

 private:
  struct Loop;
  std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace insula::runtime
