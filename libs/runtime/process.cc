#include "libs/runtime/process.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "libs/http/server.h"
#include "libs/logging/logging.h"
#include "libs/runtime/admin.h"
#include "libs/runtime/event_loops.h"
#include "libs/runtime/ports_file.h"
#include "libs/runtime/process_metrics.h"
#include "libs/runtime/signals.h"
#include "libs/runtime/stall_watch.h"
#include "libs/runtime/version.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/sync/mutex.h"

namespace insula::runtime {
namespace {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

// Work for the disk waits in memory; this much of it means that the disk is
// gone.
constexpr int kBlockingQueue = 1000;

// How long the executor may take to finish when everything has been told to.
constexpr auto kJoinTimeout = std::chrono::seconds(2);

int WorkerThreads(int configured) {
  if (configured > 0) return configured;
  return std::max(2, static_cast<int>(std::thread::hardware_concurrency()));
}

http::ServerOptions AdminOptions(const std::string& address) {
  http::ServerOptions options;
  options.name = "admin";
  options.listen_address = address;
  options.max_body_bytes = 0;
  options.max_connections = 100;
  options.request_timeout = absl::Seconds(30);
  return options;
}

asio::awaitable<http::Response> ServeAdmin(AdminPages pages,
                                           http::Request request) {
  co_return AnswerAdmin(pages, request);
}

// Joins `pool`, and stops it if that takes too long.
void Join(asio::thread_pool* pool) {
  std::mutex mutex;
  std::condition_variable done_changed;
  bool done = false;
  std::thread patience([&] {
    std::unique_lock lock(mutex);
    if (done_changed.wait_for(lock, kJoinTimeout, [&] { return done; })) return;
    logging::Warn("work left on the executor is dropped");
    pool->stop();
  });
  pool->join();
  {
    const std::lock_guard lock(mutex);
    done = true;
  }
  done_changed.notify_all();
  patience.join();
}

}  // namespace

// Members end in reverse order; the destructor first ends the threads.
struct Process::State {
  State(absl::string_view name, const ProcessConfig& settings, std::string dump)
      : service(name),
        config(settings),
        config_dump(std::move(dump)),
        process_metrics(AddProcessMetrics(name, &metrics)),
        pool(WorkerThreads(settings.worker_threads)),
        blocking(std::make_unique<BlockingPool>(settings.blocking_threads,
                                                kBlockingQueue, &metrics)),
        signals(&background,
                [this] {
                  readiness.SetDraining();
                  debug.Close();
                }),
        stall_watch(&background, &metrics),
        background_thread([this] { background.run(); }) {
    stall_watch.Watch(pool.get_executor());
  }

  ~State() {
    admin.reset();
    background.stop();
    background_thread.join();
    blocking.reset();
    if (loops != nullptr && !loops->Finish(absl::FromChrono(kJoinTimeout))) {
      logging::Warn("work left on the event loops is dropped");
    }
    Join(&pool);
  }

  const std::string service;
  const ProcessConfig config;
  const std::string config_dump;
  const RealClock clock;
  metrics::Registry metrics;
  const metrics::CollectHook process_metrics;
  Readiness readiness;
  DebugPages debug;
  std::unique_ptr<EventLoops> loops;  // Set by the first who wants them.
  asio::thread_pool pool;
  std::unique_ptr<BlockingPool> blocking;

  // Signals and the stall watch have a thread of their own: they must work when
  // the executor does not.
  asio::io_context background{1};
  asio::executor_work_guard<asio::io_context::executor_type> background_work{
      background.get_executor()};
  Signals signals;
  StallWatch stall_watch;
  std::thread background_thread;

  std::unique_ptr<http::Server> admin;

  sync::Mutex mutex;
  bool ready ABSL_GUARDED_BY(mutex) = false;
  std::vector<std::pair<std::string, std::string>> listeners
      ABSL_GUARDED_BY(mutex);
  std::vector<std::function<void()>> reload_handlers ABSL_GUARDED_BY(mutex);

  void WritePorts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (config.ports_file.empty()) return;
    const absl::Status status = WritePortsFile(config.ports_file, listeners);
    if (!status.ok()) logging::Error("ports file failed", {{"err", status}});
  }
};

Process::Process(std::unique_ptr<State> state) : state_(std::move(state)) {}
Process::~Process() = default;

absl::StatusOr<std::unique_ptr<Process>> Process::Start(
    absl::string_view service, const ProcessConfig& config,
    std::string config_dump) {
  auto state = std::make_unique<State>(service, config, std::move(config_dump));
  const AdminPages pages{&state->readiness, &state->metrics,
                         &state->config_dump, &state->debug};
  absl::StatusOr<std::unique_ptr<http::Server>> admin = http::Server::Start(
      AdminOptions(config.admin_listen_address), state->pool.get_executor(),
      [pages](http::Request request) {
        return ServeAdmin(pages, std::move(request));
      },
      &state->metrics);
  if (!admin.ok()) return Annotate(admin.status(), "admin server");
  state->admin = *std::move(admin);
  std::unique_ptr<Process> process(new Process(std::move(state)));
  process->Announce("admin", process->admin_address());
  return process;
}

asio::any_io_executor Process::executor() {
  return state_->pool.get_executor();
}
std::vector<asio::any_io_executor> Process::loop_executors() {
  sync::MutexLock lock(&state_->mutex);
  if (state_->loops == nullptr) {
    state_->loops = std::make_unique<EventLoops>(
        WorkerThreads(state_->config.worker_threads));
    for (const asio::any_io_executor& loop : state_->loops->executors()) {
      state_->stall_watch.Watch(loop);
    }
  }
  return state_->loops->executors();
}

BlockingPool& Process::blocking() { return *state_->blocking; }
metrics::Registry& Process::metrics() { return state_->metrics; }
const Clock& Process::clock() { return state_->clock; }
const std::string& Process::service() const { return state_->service; }
std::string Process::admin_address() const { return state_->admin->address(); }

void Process::AddReadyCheck(std::string name, ReadyCheck check) {
  state_->readiness.Add(std::move(name), std::move(check));
}

void Process::AddDebugPage(std::string path, DebugPage page) {
  state_->debug.Add(std::move(path), std::move(page));
}

void Process::Announce(absl::string_view name, absl::string_view address) {
  logging::Info("listening", {{"name", name}, {"address", address}});
  sync::MutexLock lock(&state_->mutex);
  state_->listeners.emplace_back(name, address);
  if (state_->ready) state_->WritePorts();
}

void Process::SetReady() {
  state_->readiness.SetReady();
  state_->debug.Open();
  logging::Info("ready", {{"version", Version()}});
  sync::MutexLock lock(&state_->mutex);
  state_->ready = true;
  state_->WritePorts();
}

void Process::WaitForSignal() {
  while (state_->signals.Wait() == Signals::Event::kReload) {
    logging::Info("reloading");
    std::vector<std::function<void()>> handlers;
    {
      sync::MutexLock lock(&state_->mutex);
      handlers = state_->reload_handlers;
    }
    for (const std::function<void()>& handler : handlers) handler();
  }
  std::this_thread::sleep_for(
      absl::ToChronoNanoseconds(state_->config.drain_delay));
}

void Process::OnReload(std::function<void()> handler) {
  sync::MutexLock lock(&state_->mutex);
  state_->reload_handlers.push_back(std::move(handler));
}

absl::Duration Process::DrainTimeLeft() const {
  const std::optional<Steady::time_point> ended = state_->signals.ended_at();
  if (!ended.has_value()) return state_->config.drain_timeout;
  const absl::Duration passed = absl::FromChrono(Steady::now() - *ended);
  return std::max(absl::ZeroDuration(), state_->config.drain_timeout - passed);
}

}  // namespace insula::runtime
