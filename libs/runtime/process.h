// What every service process has: one executor, a pool for blocking work,
// metrics, an admin server, readiness, and a wait for the end.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/config/config.h"
#include "libs/metrics/metrics.h"
#include "libs/runtime/blocking_pool.h"
#include "libs/time/clock.h"

namespace insula::runtime {

// The settings that every service has. A service's Config holds one as
// `process` and describes it with `process.Describe(fields)`, without a prefix.
struct ProcessConfig {
  std::string admin_listen_address;  // Default set by the service.
  int worker_threads = 0;            // 0: one per core, at least 2.
  int blocking_threads = 4;
  absl::Duration drain_timeout = absl::Seconds(20);
  // How long to stay up, unready, before listeners close, so that load
  // balancers notice.
  absl::Duration drain_delay = absl::ZeroDuration();
  std::string log_level = "info";
  std::string log_format = "logfmt";
  // Not empty: written once all listeners are bound, a line "NAME ADDRESS"
  // each; replaced as a whole, so a reader never sees a part.
  std::string ports_file;

  // Keys: admin.listen_address, worker_threads, blocking_threads,
  // drain_timeout, drain_delay, log_level, log_format, ports_file.
  void Describe(config::Fields& fields);
  absl::Status Validate() const;
};

// Components hold its executor and metrics and must be destroyed before it, as
// they are when Main's `run` declares them. What then remains ends in this
// order: the admin server, which serves till here so that a drain can be
// watched; the pool for blocking work, which finishes its queue; the executor,
// which finishes what runs (what takes longer than 2 s is dropped and logged);
// the metrics. Thread-safe but where noted.
class Process {
 public:
  using ReadyCheck = std::function<absl::Status()>;

  // Starts the threads and the admin server: /metrics, /livez, /readyz,
  // /config and debug pages. `config_dump` is what /config shows. UNAVAILABLE
  // if the admin address can't be bound. Signals are caught from here on: one
  // that comes early ends WaitForSignal at once.
  static absl::StatusOr<std::unique_ptr<Process>> Start(
      absl::string_view service, const ProcessConfig& config,
      std::string config_dump);
  ~Process();

  boost::asio::any_io_executor executor();
  // As many event loops as the executor has threads, for connections whose
  // events cost little each: see EventLoops. They end just before the executor.
  std::vector<boost::asio::any_io_executor> loop_executors();
  BlockingPool& blocking();
  metrics::Registry& metrics();
  const Clock& clock();
  const std::string& service() const;

  // Where the admin server listens, as bound.
  std::string admin_address() const;

  // Adds a dependency that /readyz checks. It must not block. Checks run, one
  // at a time, between SetReady and the signal, so what they use must live from
  // the one to the other.
  void AddReadyCheck(std::string name, ReadyCheck check);

  // Adds a page of JSON, "/debug/NAME", to the admin server: what `page` says
  // to the text after '?' of a request, or its error in plain text. Pages may
  // show what senders wrote; whoever reaches the admin server reads them. They
  // must not block, and run, one at a time, between SetReady and the signal.
  using DebugPage =
      std::function<absl::StatusOr<std::string>(absl::string_view query)>;
  void AddDebugPage(std::string path, DebugPage page);

  // Says that listener `name` is bound to `address`: logs it, and names it in
  // ports_file, which is written by SetReady.
  void Announce(absl::string_view name, absl::string_view address);

  // Everything is built: /readyz answers by the checks from now on.
  void SetReady();

  // Blocks until SIGTERM or SIGINT; a second one ends the process at once.
  // Meanwhile SIGHUP calls the handlers of OnReload, on this thread. On return
  // /readyz is 503 and drain_delay has passed. For one thread.
  void WaitForSignal();

  // `handler` may block. It runs only within WaitForSignal.
  void OnReload(std::function<void()> handler);

  // What is left of drain_timeout since the signal; all of it before.
  absl::Duration DrainTimeLeft() const;

 private:
  struct State;
  explicit Process(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace insula::runtime
