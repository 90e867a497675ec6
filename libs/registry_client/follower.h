// Follows the registry: keeps one Watch stream open and turns what it says into
// snapshots.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.grpc.pb.h"
#include "libs/registry_client/stub_source.h"
#include "libs/registry_client/watch_state.h"
#include "libs/rpc/call.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/backoff.h"

namespace insula::registry_client {

// Everything happens on its strand. Made with make_shared; Start() begins and
// keeps it alive until it has ended after Stop().
class Follower : public std::enable_shared_from_this<Follower> {
 public:
  // What it tells its owner, on its strand.
  struct Events {
    // There is a new copy. `replaced`: it is wholly new.
    std::function<void(std::shared_ptr<const tenancy::Snapshot>, bool replaced,
                       const WatchState&)>
        on_snapshot;
    // The registry has said something.
    std::function<void()> on_message;
    std::function<void(WatchState::Refusal, const std::string& message)>
        on_refusal;
    // The stream has ended, or could not be opened.
    std::function<void(const absl::Status&)> on_disconnect;
    // It has ended for good after Stop().
    std::function<void()> on_end;
  };
  struct Settings {
    std::string client_id;
    std::vector<registry::v1::Kind> kinds;
    absl::Duration silence_timeout = absl::Seconds(15);
    bool accept_new_epoch = false;
    // Whether the first stream may go on from `held`. Otherwise everything is
    // asked for again.
    bool resume = true;
  };

  Follower(boost::asio::any_io_executor executor, StubSource stubs,
           Settings settings, std::shared_ptr<const tenancy::Snapshot> held,
           Events events);

  void Start();
  void Stop();

  // Runs `function` on the strand.
  void Post(std::function<void()> function);

 private:
  using Stream = rpc::ClientStream<registry::v1::WatchRequest,
                                   registry::v1::WatchResponse>;
  using SteadyTime = std::chrono::steady_clock::time_point;

  // One stream.
  struct Connection {
    Connection(const boost::asio::any_io_executor& executor,
               std::shared_ptr<Stream> opened);

    const std::shared_ptr<Stream> stream;
    boost::asio::steady_timer ack_due;  // Cancelled to wake up the writer.
    boost::asio::steady_timer silence;  // Until the registry is given up.
    bool ended = false;
    bool subscribed = false;
    // What is to be acknowledged: what was published last, not what came since.
    std::optional<registry::v1::Ack> ack;
    WatchState::Refusal refusal = WatchState::Refusal::kNone;
    bool was_silent = false;
  };

  static boost::asio::awaitable<void> Run(std::shared_ptr<Follower> self);
  // Opens a stream and follows it to its end.
  static boost::asio::awaitable<absl::Status> Follow(
      std::shared_ptr<Follower> self);
  static boost::asio::awaitable<void> Read(
      std::shared_ptr<Follower> self, std::shared_ptr<Connection> connection);
  static boost::asio::awaitable<void> WriteAcks(
      std::shared_ptr<Connection> connection);
  static boost::asio::awaitable<void> WatchSilence(
      std::shared_ptr<Follower> self, std::shared_ptr<Connection> connection);

  std::shared_ptr<Connection> Connect();
  registry::v1::WatchRequest MakeSubscribe() const;
  void Take(Connection* connection, const registry::v1::WatchResponse& message);
  // Publishes what has changed, now or a little later.
  void SchedulePublish();
  void Publish();
  static void End(Connection* connection);
  // How long to wait before the next stream after such a refusal.
  absl::Duration PauseAfter(WatchState::Refusal refusal, Backoff* backoff);

  const boost::asio::strand<boost::asio::any_io_executor> strand_;
  const StubSource stubs_;
  const Settings settings_;
  const Events events_;

  WatchState state_;
  bool resume_;
  SteadyTime diverged_at_;  // When the copy was last found to be wrong.
  bool replaced_ = false;   // Not published yet.
  bool stopping_ = false;
  std::shared_ptr<Connection> connection_;  // The present one.
  boost::asio::steady_timer retry_;
  boost::asio::steady_timer publish_;
  bool publish_scheduled_ = false;
  SteadyTime published_at_;
};

}  // namespace insula::registry_client
