#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <vector>

#include "libs/rpc/echo_fixture.h"

namespace insula::rpc {
namespace {

using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Lt;
using Stream = EchoClient::Stream;

using StreamTest = EchoTest;

asio::awaitable<absl::Status> EchoTexts(std::shared_ptr<Stream> stream,
                                        int count) {
  for (int i = 0; i < count; ++i) {
    const EchoMessage sent = Message(absl::StrCat(i));
    const bool written = co_await stream->Write(sent);
    if (!written) break;
    const std::optional<EchoMessage> got = co_await stream->Read();
    if (!got.has_value()) break;
    EXPECT_THAT(got->text(), Eq(sent.text()));
  }
  co_return co_await stream->Finish();
}

asio::awaitable<std::vector<std::string>> SendThenReadAll(
    std::shared_ptr<Stream> stream, std::string text, absl::Status* status) {
  std::vector<std::string> texts;
  const EchoMessage message = Message(text);
  co_await stream->Write(message);
  while (true) {
    const std::optional<EchoMessage> got = co_await stream->Read();
    if (!got.has_value()) break;
    texts.push_back(got->text());
  }
  *status = co_await stream->Finish();
  co_return texts;
}

asio::awaitable<std::optional<EchoMessage>> ReadOne(
    std::shared_ptr<Stream> stream) {
  co_return co_await stream->Read();
}
asio::awaitable<bool> WriteOne(std::shared_ptr<Stream> stream,
                               std::string text) {
  const EchoMessage message = Message(text);
  co_return co_await stream->Write(message);
}
asio::awaitable<absl::Status> FinishIt(std::shared_ptr<Stream> stream) {
  co_return co_await stream->Finish();
}

TEST_F(StreamTest, EchoesInOrderAndEndsWhenTheClientIsDone) {
  EXPECT_THAT(Await(EchoTexts(client_->Both(pool_.get_executor()), 1000)),
              IsOk());
  EXPECT_TRUE(service_.left.WaitFor(1));
}

TEST_F(StreamTest, ManyStreamsAtOnce) {
  std::vector<std::future<absl::Status>> streams;
  for (int i = 0; i < 90; ++i) {
    streams.push_back(
        Spawn(EchoTexts(client_->Both(pool_.get_executor()), 20)));
  }
  for (auto& stream : streams) EXPECT_THAT(stream.get(), IsOk());
}

TEST_F(StreamTest, TheServerMayEndFirst) {
  absl::Status status;
  const auto texts = Await(
      SendThenReadAll(client_->Both(pool_.get_executor()), "bye", &status));
  EXPECT_TRUE(texts.empty());
  EXPECT_THAT(status, Eq(absl::FailedPreconditionError("bye yourself")));
}

TEST_F(StreamTest, WritesAfterTheEndAreRefused) {
  auto stream = client_->Both(pool_.get_executor());
  absl::Status status;
  Await(SendThenReadAll(stream, "bye", &status));
  EXPECT_FALSE(Await(WriteOne(stream, "anybody there?")));
  EXPECT_THAT(Await(ReadOne(stream)), Eq(std::nullopt));
}

TEST_F(StreamTest, ASlowClientHoldsTheWriterBack) {
  auto stream = client_->Both(pool_.get_executor());
  ASSERT_TRUE(Await(WriteOne(stream, "flood")));
  ASSERT_TRUE(service_.written.WaitFor(1));

  // Nobody reads: the transport fills up and then takes no more. Once a read
  // has made room, it goes on.
  int before = -1;
  for (int now = service_.written.value(); now != before;
       now = service_.written.value()) {
    before = now;
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  EXPECT_THAT(before, Lt(1000));  // 64 MiB.
  for (int i = 0; i < before + 10; ++i) {
    ASSERT_TRUE(Await(ReadOne(stream)).has_value());
  }
  EXPECT_TRUE(service_.written.WaitFor(before + 5));

  stream->Cancel();
  EXPECT_TRUE(service_.left.WaitFor(1));
}

TEST_F(StreamTest, AClientThatVanishesEndsTheHandlersRead) {
  auto stream = client_->Both(pool_.get_executor());
  ASSERT_TRUE(Await(WriteOne(stream, "a")));
  ASSERT_TRUE(Await(ReadOne(stream)).has_value());

  stream = nullptr;

  EXPECT_TRUE(service_.left.WaitFor(1));
}

TEST_F(StreamTest, AClientThatVanishesEndsTheHandlersWrite) {
  auto stream = client_->Both(pool_.get_executor());
  ASSERT_TRUE(Await(WriteOne(stream, "flood")));
  ASSERT_TRUE(service_.written.WaitFor(1));

  stream = nullptr;

  EXPECT_TRUE(service_.left.WaitFor(1));
}

TEST_F(StreamTest, CancellingAReadCancelsTheRpc) {
  auto stream = client_->Both(pool_.get_executor());
  auto strand = asio::make_strand(pool_);
  asio::cancellation_signal signal;
  auto read = asio::co_spawn(
      strand, ReadOne(stream),
      asio::bind_cancellation_slot(signal.slot(), asio::use_future));
  ASSERT_TRUE(service_.entered.WaitFor(1));

  asio::post(strand, [&] { signal.emit(asio::cancellation_type::terminal); });

  EXPECT_THAT(read.get(), Eq(std::nullopt));
  EXPECT_TRUE(service_.left.WaitFor(1));
  EXPECT_THAT(Await(FinishIt(stream)), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(StreamTest, TheDeadlineEndsBothSides) {
  auto stream = client_->Both(pool_.get_executor(),
                              absl::Now() + absl::Milliseconds(200));
  EXPECT_THAT(Await(ReadOne(stream)), Eq(std::nullopt));
  EXPECT_THAT(Await(FinishIt(stream)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(service_.left.WaitFor(service_.entered.value()));
}

TEST_F(StreamTest, AServerThatGoesAwayEndsTheStream) {
  auto stream = client_->Both(pool_.get_executor());
  ASSERT_TRUE(Await(WriteOne(stream, "a")));
  ASSERT_TRUE(Await(ReadOne(stream)).has_value());

  server_->Drain(absl::ZeroDuration());

  EXPECT_THAT(service_.left.value(), Eq(1));
  EXPECT_THAT(Await(ReadOne(stream)), Eq(std::nullopt));
  EXPECT_FALSE(Await(FinishIt(stream)).ok());
}

// The server's Read survives the cancellation of its waiter.
class PatientService final : public Echo::CallbackService {
 public:
  explicit PatientService(asio::any_io_executor executor)
      : executor_(std::move(executor)) {}

  Count timeouts;

  grpc::ServerBidiReactor<EchoMessage, EchoMessage>* Both(
      grpc::CallbackServerContext* context) override {
    return ServeBidi<EchoMessage, EchoMessage>(
        context, executor_,
        [this](ServerStream<EchoMessage, EchoMessage>* stream) {
          return Handle(stream);
        });
  }

 private:
  asio::awaitable<absl::Status> Handle(
      ServerStream<EchoMessage, EchoMessage>* stream) {
    using namespace asio::experimental::awaitable_operators;  // NOLINT
    while (true) {
      asio::steady_timer timer(co_await asio::this_coro::executor,
                               std::chrono::milliseconds(1));
      auto either =
          co_await (stream->Read() || timer.async_wait(asio::use_awaitable));
      if (either.index() == 1) {
        timeouts.Add();
        continue;
      }
      std::optional<EchoMessage> message = std::get<0>(std::move(either));
      if (!message.has_value()) co_return absl::OkStatus();
      const bool ok = co_await stream->Write(*std::move(message));
      if (!ok) co_return absl::OkStatus();
    }
  }

  const asio::any_io_executor executor_;
};

TEST(ServerStreamTest, ACancelledReadLosesNoMessage) {
  asio::thread_pool pool(4);
  PatientService service(pool.get_executor());
  auto server = Server::Start(ServerOptions(), {&service});
  ASSERT_THAT(server, IsOk());
  EchoClient client(grpc::CreateChannel((*server)->address(),
                                        grpc::InsecureChannelCredentials()));
  auto stream = client.Both(pool.get_executor());
  for (int round = 1; round <= 20; ++round) {
    ASSERT_TRUE(service.timeouts.WaitFor(round * 3));
    const std::string text = absl::StrCat(round);
    ASSERT_TRUE(
        asio::co_spawn(pool, WriteOne(stream, text), asio::use_future).get());
    const auto got =
        asio::co_spawn(pool, ReadOne(stream), asio::use_future).get();
    ASSERT_TRUE(got.has_value());
    EXPECT_THAT(got->text(), Eq(text));
  }
  EXPECT_THAT(asio::co_spawn(pool, FinishIt(stream), asio::use_future).get(),
              IsOk());
  (*server)->Drain(absl::Seconds(5));
  pool.join();
}

TEST_F(StreamTest, ServerStreamingWritesInOrder) {
  grpc::ClientContext context;
  const EchoMessage request = Message("250");
  auto reader = client_->stub()->Down(&context, request);
  EchoMessage message;
  int count = 0;
  while (reader->Read(&message)) {
    EXPECT_THAT(message.text(), Eq(absl::StrCat(count++)));
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_THAT(count, Eq(250));
}

TEST_F(StreamTest, ServerStreamingReturnsTheStatusOfTheHandler) {
  grpc::ClientContext context;
  const EchoMessage request = Message("many");
  auto reader = client_->stub()->Down(&context, request);
  EchoMessage message;
  EXPECT_FALSE(reader->Read(&message));
  EXPECT_THAT(
      FromGrpc(reader->Finish()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("number")));
}

}  // namespace
}  // namespace insula::rpc
