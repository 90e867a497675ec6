// What the tests of the client share.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/http/test_support.h"
#include "libs/http/url.h"

namespace insula::http {

using Result = absl::StatusOr<Response>;

class ClientFixture : public ServerFixture {
 protected:
  ~ClientFixture() override { client_.reset(); }

  // A client; its base class has the server, if the test starts one.
  void Make(ClientOptions options = ClientOptions()) {
    options.name = "upstream";
    client_ = std::make_unique<Client>(std::move(options), pool_.get_executor(),
                                       &metrics_);
  }

  // Ends what runs on the fixture's threads. Another context that a client was
  // used from lives until then: they may hold its executors for a moment after
  // they have handed an answer over.
  void End() {
    client_.reset();
    server_.reset();
    pool_.join();
  }

  ClientRequest To(int port, absl::string_view target = "/") {
    ClientRequest request;
    request.url =
        Url::Parse(absl::StrCat("http://127.0.0.1:", port, target)).value();
    return request;
  }

  // The answer to `request`, to come on a strand of its own.
  std::future<Result> Ask(ClientRequest request,
                          absl::Duration timeout = absl::Seconds(20)) {
    return boost::asio::co_spawn(
        boost::asio::make_strand(pool_.get_executor()),
        client_->Send(std::move(request), absl::Now() + timeout),
        boost::asio::use_future);
  }

  // What the client makes of an answer that `bytes` are, and the connection
  // closed behind it.
  Result Interpret(absl::string_view bytes, std::string method = "GET") {
    RawListener listener;
    ClientRequest request = To(listener.port());
    request.method = std::move(method);
    std::future<Result> result = Ask(std::move(request));
    auto upstream = listener.Accept();
    upstream->ReadMessage();
    upstream->Send(bytes);
    upstream.reset();
    return result.get();
  }

  double Connections() {
    return metrics_
        .AddGauge("insula_http_client_connections",
                  "Open connections, also idle ones.", {{"client", "upstream"}})
        .Value();
  }

  std::unique_ptr<Client> client_;
};

}  // namespace insula::http
