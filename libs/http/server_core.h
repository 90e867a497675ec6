// What the connections of one server share. For libs/http alone.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/ip/address.hpp>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "libs/http/alarms.h"
#include "libs/http/body.h"
#include "libs/http/code_counters.h"
#include "libs/http/server.h"
#include "libs/http/stream.h"
#include "libs/http/tls_source.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"

namespace insula::http {

class Connection;

// The steady clock, in ns.
int64_t SteadyNanos();

// Why a request was not given to the handler, or its answer not to the client.
enum class Rejection {
  kAddress,       // Too many connections from where it came from.
  kAccept,        // No file descriptors or memory for another connection.
  kHandshake,     // TLS failed or took too long.
  kFraming,       // 400, 417 or 505.
  kHeaderLimit,   // 431.
  kTimeout,       // The client was too slow; 408, or closed.
  kBodyLimit,     // 413.
  kMemory,        // 503, max_buffered_bytes.
  kBody,          // Malformed gzip or chunks.
  kAdmission,     // By options.admit.
  kClientGone,    // Before its answer.
  kDeadline,      // 504.
  kCrowded,       // Idle, and its place was needed.
  kHandlerError,  // It threw, or answered what can't be sent.
  kCount,
};

// Those whom one bound of connections is for: an IPv4 address, also as IPv6
// writes it, or an IPv6 network of /64, of which one host may have any address.
using AddressKey = std::array<unsigned char, 16>;
AddressKey AddressKeyOf(const boost::asio::ip::address& address);

class ServerMetrics {
 public:
  ServerMetrics(const std::string& server, metrics::Registry* registry);

  void CountRejection(Rejection reason) {
    rejected_[static_cast<size_t>(reason)]->Increment();
  }
  void CountRequest(int code, absl::Duration duration);
  metrics::Gauge& connections() { return connections_; }

 private:
  metrics::Gauge& connections_;
  metrics::Histogram& seconds_;
  std::array<metrics::Counter*, static_cast<size_t>(Rejection::kCount)>
      rejected_;
  CodeCounters requests_;
};

class ServerCore {
 public:
  ServerCore(ServerOptions server_options, Handler server_handler,
             std::unique_ptr<TlsSource> tls_source,
             std::shared_ptr<Alarms> deadlines, metrics::Registry* registry)
      : options(std::move(server_options)),
        handler(std::move(server_handler)),
        tls(std::move(tls_source)),
        alarms(std::move(deadlines)),
        metrics(options.name, registry),
        budget(options.max_buffered_bytes),
        living_(std::max<size_t>(options.connection_executors.size(), 1)) {}

  const ServerOptions options;
  const Handler handler;
  const std::unique_ptr<TlsSource> tls;  // Null: plain text.
  const std::shared_ptr<Alarms> alarms;
  ServerMetrics metrics;
  Budget budget;

  // Connections answer with "Connection: close" from now on.
  bool draining() const { return draining_.load(std::memory_order_acquire); }

  // Adds a connection before it starts; false, and it must not, when draining,
  // or when its address has as many as it may.
  bool Add(Connection* connection) ABSL_LOCKS_EXCLUDED(mutex_);
  // The connection's last act.
  void Remove(Connection* connection) ABSL_LOCKS_EXCLUDED(mutex_);
  bool full() ABSL_LOCKS_EXCLUDED(mutex_);

  // The number, in options.connection_executors, of that on which the fewest
  // connections live; 0 if there are none.
  size_t IdlestExecutor() ABSL_LOCKS_EXCLUDED(mutex_);

  size_t connections() ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends, soon, the hundredth part of the places' connections that have been
  // idle for longest, if they have been for a while.
  void EndIdle() ABSL_LOCKS_EXCLUDED(mutex_);

  // Called, anywhere, when a connection ended. Set before the first Add().
  std::function<void()> on_removed;

  void SetDraining() ABSL_LOCKS_EXCLUDED(mutex_);
  void ForEach(const std::function<void(Connection*)>& visit)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether all connections ended before `timeout` passed.
  bool WaitUntilEmpty(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::atomic<bool> draining_ = false;
  sync::Mutex mutex_;
  std::condition_variable_any empty_;
  std::unordered_set<Connection*> connections_ ABSL_GUARDED_BY(mutex_);
  // How many connections live on each executor.
  std::vector<size_t> living_ ABSL_GUARDED_BY(mutex_);
  // How many there are from each address; empty if that is not bounded.
  std::map<AddressKey, int> from_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::http
