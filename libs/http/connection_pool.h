// The connections of a client, by host. For libs/http alone.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/stream.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"

namespace insula::http {

// What runs a request, and the events of its connection.
using Context = const boost::asio::execution_context*;

inline Context ContextOf(const boost::asio::any_io_executor& executor) {
  return &boost::asio::query(executor, boost::asio::execution::context);
}

// An open connection to a host, used by one request at a time.
struct ClientConnection {
  ClientConnection(Stream::Socket socket, Stream::TlsContext tls,
                   metrics::Gauge* gauge)
      : context(ContextOf(socket.get_executor())),
        stream(std::move(socket), std::move(tls)),
        open_connections(gauge) {
    open_connections->Add(1);
  }
  ~ClientConnection() { open_connections->Add(-1); }
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  const Context context;
  Stream stream;
  InputBuffer input;
  std::chrono::steady_clock::time_point idle_since;
  metrics::Gauge* const open_connections;
};

// Keeps idle connections and bounds how many there are to a host. Thread-safe.
class ConnectionPool : public std::enable_shared_from_this<ConnectionPool> {
 public:
  using Clock = std::chrono::steady_clock;

  // The right to one connection to a host; it may come with an idle one.
  // Given back when destroyed, with its connection if Keep() was called.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept { *this = std::move(other); }
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { Return(); }

    explicit operator bool() const { return pool_ != nullptr; }
    // The connection may serve another request.
    void Keep() { keep_ = true; }

    std::unique_ptr<ClientConnection> connection;

   private:
    friend class ConnectionPool;
    Lease(std::shared_ptr<ConnectionPool> pool, std::string host,
          Context context)
        : pool_(std::move(pool)), host_(std::move(host)), context_(context) {}
    void Return();

    std::shared_ptr<ConnectionPool> pool_;
    std::string host_;
    Context context_ = nullptr;  // Of the request.
    bool keep_ = false;
  };

  // One who waits for a lease. Its timer, which runs on the strand of its
  // coroutine, is cancelled when the lease is there.
  struct Waiter {
    explicit Waiter(boost::asio::any_io_executor executor)
        : timer(std::move(executor), Clock::time_point::max()) {}
    Context context() { return ContextOf(timer.get_executor()); }
    boost::asio::steady_timer timer;
    Lease lease;  // Guarded by the pool's mutex until the timer ends.
  };

  ConnectionPool(boost::asio::any_io_executor executor, int max_per_host,
                 absl::Duration idle_timeout);

  // A lease for a request that runs on `context`, or an empty one if the host
  // has as many connections as it may. An idle connection of another context
  // comes only if there may be no new one: at each of its events one context
  // would wake the other.
  Lease TryAcquire(const std::string& host, Context context)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // A lease, or an empty one: then `waiter` is in the queue. UNAVAILABLE if
  // that is full.
  absl::StatusOr<Lease> AcquireOrWait(const std::string& host,
                                      std::shared_ptr<Waiter> waiter)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes `waiter` out of the queue. It may have got its lease meanwhile.
  void Abandon(const std::string& host, const Waiter* waiter)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // What `waiter` got; empty if nothing.
  Lease Collect(Waiter* waiter) ABSL_LOCKS_EXCLUDED(mutex_);

  // Closes idle connections and keeps none any more.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Connections = std::vector<std::unique_ptr<ClientConnection>>;
  struct Host {
    int leased = 0;
    Connections idle;  // The one used last is at the end.
    std::list<std::shared_ptr<Waiter>> waiting;
  };

  Lease LeaseUnlessFull(const std::string& host, Context context)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The idle connection that fits best, or null.
  std::unique_ptr<ClientConnection> TakeIdle(Host* host, Context context)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Lets go of a connection that can't be used any more; the lease gets another
  // idle one, or none. Looks at it, and closes it, outside of the lock.
  void DropDead(Lease* lease) ABSL_LOCKS_EXCLUDED(mutex_);
  void Return(const std::string& host,
              std::unique_ptr<ClientConnection> connection)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void ScheduleReaper();
  void Reap() ABSL_LOCKS_EXCLUDED(mutex_);

  const size_t max_per_host_;
  const Clock::duration idle_timeout_;
  sync::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool reaper_scheduled_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Host> hosts_ ABSL_GUARDED_BY(mutex_);
  boost::asio::steady_timer reaper_;  // Used on its strand.
};

}  // namespace insula::http
