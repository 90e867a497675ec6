// The services that every port has. Their messages are written by hand here, as
// bytes on the wire.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include "libs/rpc/echo_fixture.h"

namespace insula::rpc {
namespace {

using ::testing::Eq;
using ::testing::HasSubstr;

grpc::ByteBuffer Bytes(absl::string_view text) {
  const grpc::Slice slice(text.data(), text.size());
  return grpc::ByteBuffer(&slice, 1);
}
std::string Text(const grpc::ByteBuffer& bytes) {
  grpc::Slice slice;
  EXPECT_TRUE(bytes.DumpToSingleSlice(&slice).ok());
  return std::string(reinterpret_cast<const char*>(slice.begin()),
                     slice.size());
}

class StandardServicesTest : public EchoTest {
 protected:
  using Stream = ClientStream<grpc::ByteBuffer, grpc::ByteBuffer>;

  // The answer to one message.
  absl::StatusOr<std::string> Ask(std::string method, std::string request) {
    return Await(Exchange(&generic_, std::move(method), std::move(request),
                          pool_.get_executor()));
  }
  absl::StatusOr<std::string> Health(absl::string_view service) {
    const std::string length(1, static_cast<char>(service.size()));
    return Ask("/grpc.health.v1.Health/Check",
               service.empty() ? "" : absl::StrCat("\x0a", length, service));
  }

 private:
  static asio::awaitable<absl::StatusOr<std::string>> Exchange(
      grpc::GenericStub* stub, std::string method, std::string request,
      asio::any_io_executor executor) {
    auto stream = Stream::Open(
        executor,
        [stub, method](grpc::ClientContext* context,
                       grpc::ClientBidiReactor<grpc::ByteBuffer,
                                               grpc::ByteBuffer>* reactor) {
          const grpc::StubOptions options;
          stub->PrepareBidiStreamingCall(context, method, options, reactor);
        },
        absl::Now() + absl::Seconds(10));
    co_await stream->Write(Bytes(request));
    const std::optional<grpc::ByteBuffer> answer = co_await stream->Read();
    const absl::Status status = co_await stream->Finish();
    if (!answer.has_value()) co_return status;
    co_return Text(*answer);
  }

  grpc::GenericStub generic_{grpc::CreateChannel(
      server_->address(), grpc::InsecureChannelCredentials())};
};

constexpr char kServing[] = "\x08\x01";
constexpr char kNotServing[] = "\x08\x02";

TEST_F(StandardServicesTest, HealthAnswersForTheServerAndForEachService) {
  for (const char* service : {"", "insula.rpc.testing.Echo"}) {
    const auto healthy = Health(service);
    ASSERT_THAT(healthy, IsOk()) << service;
    EXPECT_THAT(*healthy, Eq(kServing));
  }
  EXPECT_THAT(Health("no.such.Service"), StatusIs(absl::StatusCode::kNotFound));
  server_->SetServing(false);
  for (const char* service : {"", "insula.rpc.testing.Echo"}) {
    EXPECT_THAT(*Health(service), Eq(kNotServing));
  }
}

TEST_F(StandardServicesTest, ReflectionListsTheServices) {
  // ServerReflectionRequest.list_services, field 7.
  const auto answer =
      Ask("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
          "\x3a\x01*");
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(*answer, HasSubstr("insula.rpc.testing.Echo"));
  EXPECT_THAT(*answer, HasSubstr("grpc.health.v1.Health"));
}

}  // namespace
}  // namespace insula::rpc
