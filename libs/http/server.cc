#include "libs/http/server.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/http/alarms.h"
#include "libs/http/connection.h"
#include "libs/http/server_core.h"
#include "libs/http/tls_source.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"
#include "libs/sync/strand.h"

namespace insula::http {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

// How long to wait for file descriptors or memory before accepting again.
constexpr std::chrono::milliseconds kAcceptPause(100);

// When all places are taken: how soon to look again for idle ones.
constexpr std::chrono::milliseconds kFullPause(500);

// File descriptors that connections leave to what requests need: files, and
// connections to others. A server that has few is let in all the same, so that
// one with many does not keep it from answering.
constexpr rlim_t kReservedDescriptors = 256;
constexpr size_t kFewConnections = 8;

absl::Status AddressError(absl::string_view address, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("listen address '", address, "': ", what,
                   "; write HOST:PORT, like 127.0.0.1:8080 or [::]:8080"));
}

// Looks up "host:port". May block.
absl::StatusOr<tcp::endpoint> ResolveListenAddress(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == address.npos) return AddressError(address, "has no port");
  absl::string_view host = address.substr(0, colon);
  const absl::string_view port_text = address.substr(colon + 1);
  int port = -1;
  if (port_text.size() > 5 || !absl::SimpleAtoi(port_text, &port) || port < 0 ||
      port > 65535) {
    return AddressError(address, "port is not of 0 to 65535");
  }
  const bool v6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (v6) host = host.substr(1, host.size() - 2);
  if (host.empty()) return AddressError(address, "has no host");
  if (!v6 && host.find(':') != host.npos) {
    return AddressError(address, "an IPv6 address needs brackets");
  }

  boost::system::error_code error;
  const auto numeric = asio::ip::make_address(std::string(host), error);
  const auto number = static_cast<uint16_t>(port);
  if (!error) return tcp::endpoint(numeric, number);
  asio::io_context lookup;
  tcp::resolver resolver(lookup);
  const auto found = resolver.resolve(std::string(host), "", error);
  if (error || found.empty()) {
    return absl::UnavailableError(
        absl::StrCat("listen address '", address, "': ", error.message()));
  }
  return tcp::endpoint(found.begin()->endpoint().address(), number);
}

std::string EndpointText(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return endpoint.address().is_v6()
             ? absl::StrCat("[", host, "]:", endpoint.port())
             : absl::StrCat(host, ":", endpoint.port());
}

}  // namespace

class Server::Impl : public std::enable_shared_from_this<Server::Impl> {
 public:
  Impl(std::shared_ptr<ServerCore> core, asio::any_io_executor executor)
      : core_(std::move(core)),
        executor_(std::move(executor)),
        strand_(sync::MakeStrand(executor_)),
        acceptor_(strand_),
        pause_(strand_) {}

  absl::Status Listen(const std::string& address);
  void Start();
  void Drain(absl::Duration timeout);
  const tcp::endpoint& endpoint() const { return endpoint_; }

 private:
  asio::awaitable<void> Accept();
  bool IsShortOfDescriptors();
  asio::awaitable<void> Pause(const boost::system::error_code* error);

  const std::shared_ptr<ServerCore> core_;
  const asio::any_io_executor executor_;
  const asio::any_io_executor strand_;  // Of the members below.
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  tcp::endpoint endpoint_;
  bool out_of_resources_ = false;

  std::promise<void> accept_ended_;
  std::shared_future<void> accept_end_ = accept_ended_.get_future().share();
};

absl::Status Server::Impl::Listen(const std::string& address) {
  ASSIGN_OR_RETURN(const tcp::endpoint wanted, ResolveListenAddress(address));
  boost::system::error_code error;
  acceptor_.open(wanted.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(wanted, error);
  if (!error)
    acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (!error) endpoint_ = acceptor_.local_endpoint(error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("can't listen on '", address, "': ", error.message(),
                   "; choose another address or stop what uses it"));
}

void Server::Impl::Start() {
  // Wakes Accept() when it waits for a free place or file descriptor.
  core_->on_removed = [weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      asio::post(self->strand_, [self] { self->pause_.cancel(); });
    }
  };
  asio::co_spawn(strand_, Accept(),
                 [self = shared_from_this()](std::exception_ptr) {
                   self->accept_ended_.set_value();
                 });
}

asio::awaitable<void> Server::Impl::Accept() {
  while (!core_->draining()) {
    if (core_->full()) {
      core_->EndIdle();
      pause_.expires_after(kFullPause);
      co_await pause_.async_wait(kAwaitTuple);
      continue;
    }
    if (IsShortOfDescriptors()) {
      const auto [error] =
          co_await acceptor_.async_wait(tcp::acceptor::wait_read, kAwaitTuple);
      if (!error && IsShortOfDescriptors()) {
        const boost::system::error_code none = asio::error::no_descriptors;
        co_await Pause(&none);
      }
      continue;
    }
    const size_t number = core_->IdlestExecutor();
    const auto& executors = core_->options.connection_executors;
    const asio::any_io_executor strand =
        sync::MakeStrand(executors.empty() ? executor_ : executors[number]);
    tcp::endpoint peer;
    auto [error, socket] =
        co_await acceptor_.async_accept(strand, peer, kAwaitTuple);
    if (error == asio::error::operation_aborted) continue;
    if (error == asio::error::bad_descriptor) co_return;
    if (error == asio::error::connection_aborted) continue;
    if (error) {
      co_await Pause(&error);
      continue;
    }
    out_of_resources_ = false;
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    auto connection = std::make_shared<Connection>(
        std::move(socket), core_, number, AddressKeyOf(peer.address()));
    // One that is refused ends here, and so does the loop when draining.
    if (!core_->Add(connection.get())) continue;
    asio::post(strand, [connection] { connection->Start(); });
  }
}

bool Server::Impl::IsShortOfDescriptors() {
  if (core_->connections() < kFewConnections) return false;
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  const rlim_t reserve = std::min(kReservedDescriptors, limit.rlim_cur / 4);
  // The lowest number that is free: so many are in use.
  const int next = fcntl(acceptor_.native_handle(), F_DUPFD_CLOEXEC, 0);
  if (next < 0) return true;
  close(next);
  return static_cast<rlim_t>(next) >= limit.rlim_cur - reserve;
}

asio::awaitable<void> Server::Impl::Pause(
    const boost::system::error_code* error) {
  core_->metrics.CountRejection(Rejection::kAccept);
  if (!std::exchange(out_of_resources_, true)) {
    logging::Warn("can't accept connections, trying again",
                  {{"server", core_->options.name}, {"err", error->message()}});
  }
  pause_.expires_after(kAcceptPause);
  co_await pause_.async_wait(kAwaitTuple);
}

void Server::Impl::Drain(absl::Duration timeout) {
  core_->SetDraining();
  asio::post(strand_, [self = shared_from_this()] {
    boost::system::error_code ignored;
    self->acceptor_.close(ignored);
    self->pause_.cancel();
  });
  accept_end_.wait();
  core_->ForEach([](Connection* connection) { connection->BeginDrain(); });
  if (core_->WaitUntilEmpty(timeout)) return;
  core_->ForEach([](Connection* connection) { connection->Cut(); });
  core_->WaitUntilEmpty(absl::InfiniteDuration());
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    ServerOptions options, asio::any_io_executor executor, Handler handler,
    metrics::Registry* metrics) {
  std::unique_ptr<TlsSource> tls;
  if (options.tls) {
    tls = std::make_unique<TlsSource>(*options.tls, metrics);
    RETURN_IF_ERROR(tls->Get().status());
  }
  const std::string address = options.listen_address;
  auto core = std::make_shared<ServerCore>(
      std::move(options), std::move(handler), std::move(tls),
      std::make_shared<Alarms>(executor), metrics);
  auto impl = std::make_shared<Impl>(std::move(core), std::move(executor));
  RETURN_IF_ERROR(impl->Listen(address));
  impl->Start();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { Drain(absl::ZeroDuration()); }

int Server::port() const { return impl_->endpoint().port(); }

std::string Server::address() const { return EndpointText(impl_->endpoint()); }

void Server::Drain(absl::Duration timeout) { impl_->Drain(timeout); }

}  // namespace insula::http
