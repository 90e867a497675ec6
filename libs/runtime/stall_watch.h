// Measures how long the executor lets work wait.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>

#include "absl/time/time.h"
#include "libs/metrics/metrics.h"

namespace insula::runtime {

// Each `interval` posts a probe to each executor and measures how late it runs:
// insula_executor_stall_seconds is the last delay, or that of a probe that
// still waits, and the longest of all executors;
// insula_executor_stall_max_seconds the longest since the last exposition. A
// delay above a second is logged.
class StallWatch {
 public:
  // The timer runs on `background`, which does nothing long. All outlive this.
  StallWatch(boost::asio::io_context* background, metrics::Registry* metrics,
             absl::Duration interval = absl::Seconds(1));

  // The thread of `background` must have ended.
  ~StallWatch() = default;

  // Watches `executor`, too, which outlives this. Thread-safe.
  void Watch(boost::asio::any_io_executor executor);

 private:
  struct Delays;
  void Arm();

  const absl::Duration interval_;
  boost::asio::steady_timer timer_;
  // Shared with the probes in flight, which may outlive this.
  const std::shared_ptr<Delays> delays_;
  metrics::CollectHook hook_;
};

}  // namespace insula::runtime
