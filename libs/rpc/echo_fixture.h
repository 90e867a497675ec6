// A server and a stub of the Echo service, for the tests here.
#pragma once

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "insula/rpc/testing/echo.grpc.pb.h"
#include "libs/rpc/call.h"
#include "libs/rpc/serve.h"
#include "libs/rpc/server.h"
#include "libs/status/status_macros.h"
#include "libs/status/status_matchers.h"
#include "libs/sync/mutex.h"

namespace insula::rpc {

namespace asio = boost::asio;
using testing::Echo;
using testing::EchoMessage;

inline EchoMessage Message(absl::string_view text) {
  EchoMessage message;
  message.set_text(std::string(text));
  return message;
}

// A number that threads wait for.
class Count {
 public:
  void Add() {
    {
      sync::MutexLock lock(&mutex_);
      ++value_;
    }
    changed_.notify_all();
  }
  int value() {
    sync::MutexLock lock(&mutex_);
    return value_;
  }
  // False if it has not reached `value` after 20 s.
  bool WaitFor(int value) {
    std::unique_lock<sync::Mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20),
                             [&] { return value_ >= value; });
  }

 private:
  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  int value_ = 0;
};

class CountAtExit {
 public:
  explicit CountAtExit(Count* count) : count_(count) {}
  ~CountAtExit() { count_->Add(); }

 private:
  Count* const count_;
};

// What a text does stands beside its comparison.
class EchoService final : public Echo::CallbackService {
 public:
  explicit EchoService(asio::any_io_executor executor)
      : executor_(std::move(executor)) {}

  Count entered;  // Handlers that began to wait or to write.
  Count left;     // Those of them that ended, however they did.
  Count written;  // Messages that Write took from "flood".

  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const EchoMessage* request,
                                  EchoMessage* response) override {
    return Serve(context, request, executor_, HandleUnary(request, response));
  }
  grpc::ServerWriteReactor<EchoMessage>* Down(
      grpc::CallbackServerContext* context,
      const EchoMessage* request) override {
    return ServeWriter<EchoMessage>(
        context, executor_,
        [this, text = request->text()](ServerWriter<EchoMessage>* writer) {
          return HandleDown(text, writer);
        });
  }
  grpc::ServerBidiReactor<EchoMessage, EchoMessage>* Both(
      grpc::CallbackServerContext* context) override {
    return ServeBidi<EchoMessage, EchoMessage>(
        context, executor_,
        [this](ServerStream<EchoMessage, EchoMessage>* stream) {
          return HandleBoth(stream);
        });
  }

 private:
  asio::awaitable<absl::Status> HandleUnary(const EchoMessage* request,
                                            EchoMessage* response) {
    if (request->text() == "fail")
      co_return absl::NotFoundError("no such thing");
    if (request->text() == "throw") throw std::runtime_error("a library threw");
    if (request->text() == "wait") {  // Until cancelled.
      CountAtExit at_exit(&left);
      entered.Add();
      asio::steady_timer timer(co_await asio::this_coro::executor,
                               std::chrono::hours(1));
      co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
      co_return absl::InternalError("an hour passed");
    }
    *response = *request;
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::Status> HandleDown(std::string text,
                                           ServerWriter<EchoMessage>* writer) {
    int count = 0;
    if (!absl::SimpleAtoi(text, &count)) {
      co_return absl::InvalidArgumentError("not a number");
    }
    for (int i = 0; i < count; ++i) {
      const bool ok = co_await writer->Write(Message(absl::StrCat(i)));
      if (!ok) co_return absl::CancelledError("peer gone");
    }
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::Status> HandleBoth(
      ServerStream<EchoMessage, EchoMessage>* stream) {
    CountAtExit at_exit(&left);
    entered.Add();
    while (true) {
      std::optional<EchoMessage> message = co_await stream->Read();
      if (!message.has_value()) break;
      if (message->text() == "bye") {
        co_return absl::FailedPreconditionError("bye yourself");
      }
      if (message->text() == "flood") co_return co_await Flood(stream);
      const bool ok = co_await stream->Write(*std::move(message));
      if (!ok) break;
    }
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::Status> Flood(
      ServerStream<EchoMessage, EchoMessage>* stream) {
    const EchoMessage big = Message(std::string(64 << 10, 'x'));
    while (true) {
      const bool ok = co_await stream->Write(big);
      if (!ok) co_return absl::CancelledError("peer gone");
      written.Add();
    }
  }

  const asio::any_io_executor executor_;
};

using Stub = Echo::StubInterface::async_interface;

// One client of the server.
class EchoClient {
 public:
  using Stream = ClientStream<EchoMessage, EchoMessage>;

  explicit EchoClient(std::shared_ptr<grpc::Channel> channel)
      : stub_(Echo::NewStub(std::move(channel))) {}

  asio::awaitable<absl::StatusOr<EchoMessage>> Unary(std::string text,
                                                     absl::Duration timeout) {
    Echo::StubInterface* stub = stub_.get();
    EchoMessage request = Message(text);
    co_return co_await Call(stub->async(), &Stub::Unary, std::move(request),
                            absl::Now() + timeout);
  }
  std::shared_ptr<Stream> Both(asio::any_io_executor executor,
                               absl::Time deadline = absl::InfiniteFuture()) {
    return Stream::Open(
        std::move(executor),
        [this](grpc::ClientContext* context,
               grpc::ClientBidiReactor<EchoMessage, EchoMessage>* reactor) {
          stub_->async()->Both(context, reactor);
        },
        deadline);
  }
  Echo::Stub* stub() { return stub_.get(); }

 private:
  const std::unique_ptr<Echo::Stub> stub_;
};

class EchoTest : public ::testing::Test {
 protected:
  EchoTest() : service_(pool_.get_executor()) {
    auto server = Server::Start(ServerOptions(), {&service_});
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
    client_ = NewClient();
  }
  ~EchoTest() override {
    server_->Drain(absl::Seconds(10));
    client_ = nullptr;
    pool_.join();
  }

  // A client on a connection of its own.
  std::unique_ptr<EchoClient> NewClient() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return std::make_unique<EchoClient>(grpc::CreateCustomChannel(
        server_->address(), grpc::InsecureChannelCredentials(), arguments));
  }

  // Runs a coroutine on a strand of its own, to its end.
  template <typename T>
  T Await(asio::awaitable<T> coroutine) {
    return Spawn(std::move(coroutine)).get();
  }
  template <typename T>
  std::future<T> Spawn(asio::awaitable<T> coroutine) {
    return asio::co_spawn(asio::make_strand(pool_), std::move(coroutine),
                          asio::use_future);
  }

  asio::thread_pool pool_{4};
  EchoService service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<EchoClient> client_;
};

}  // namespace insula::rpc
