// The lease of this process in the registry, by which the others know that it
// is there.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.grpc.pb.h"
#include "libs/registry_client/stub_source.h"
#include "libs/time/backoff.h"

namespace insula::registry_client {

// Renews the lease from Begin() on, until Stop() ends it. Everything happens on
// its strand. Made with make_shared.
class Lease : public std::enable_shared_from_this<Lease> {
 public:
  // What it tells its owner, on its strand.
  struct Events {
    // Each attempt to renew it.
    std::function<void(const absl::Status&)> on_renewal;
    // It has ended for good after Stop().
    std::function<void()> on_end;
  };

  Lease(boost::asio::any_io_executor executor, StubSource stubs, std::string id,
        registry::v1::Instance instance, Events events);

  // Takes the lease. Calls after the first do nothing.
  void Begin();
  // Ends it, if it was taken; the registry is told within a second, or not at
  // all. Then on_end. Calls after the first do nothing.
  void Stop();

 private:
  static boost::asio::awaitable<void> Run(std::shared_ptr<Lease> self);
  boost::asio::awaitable<absl::Duration> Renew();
  boost::asio::awaitable<void> End();

  const boost::asio::strand<boost::asio::any_io_executor> strand_;
  const StubSource stubs_;
  const std::string id_;
  const registry::v1::Instance instance_;
  const Events events_;

  boost::asio::steady_timer due_;
  Backoff backoff_;
  bool begun_ = false;
  bool stopping_ = false;
  bool held_ = false;  // As far as the registry has said.
};

}  // namespace insula::registry_client
