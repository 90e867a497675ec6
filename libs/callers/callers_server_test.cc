// A server over TLS whose callers have bindings.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "insula/rpc/testing/echo.grpc.pb.h"
#include "libs/callers/snapshot_bindings.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/grpc_status.h"
#include "libs/rpc/serve.h"
#include "libs/rpc/server.h"
#include "libs/status/status_matchers.h"
#include "libs/sync/mutex.h"
#include "libs/time/fake_clock.h"
#include "libs/tls/test_authority.h"

namespace insula::callers {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::registry::v1;
using rpc::testing::EchoMessage;
using ::testing::AllOf;
using ::testing::Eq;
using ::testing::HasSubstr;

constexpr char kJo[] = "spiffe://test/team/jo";
const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

std::string Read(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Answers with what it was asked for, and counts.
class ShopService final : public rpc::testing::Shop::CallbackService {
 public:
  explicit ShopService(asio::any_io_executor executor)
      : executor_(std::move(executor)) {}

  grpc::ServerUnaryReactor* Sell(grpc::CallbackServerContext* context,
                                 const rpc::testing::SellRequest* request,
                                 EchoMessage* response) override {
    return rpc::Serve(context, request, executor_,
                      Handle(request->tenant_id(), response));
  }
  grpc::ServerUnaryReactor* Repair(grpc::CallbackServerContext* context,
                                   const rpc::testing::RepairRequest* request,
                                   EchoMessage* response) override {
    const std::string& thing = request->thing();
    const size_t slash = thing.find('/');
    return rpc::ServeFor(
        context, request,
        slash == std::string::npos ? "" : thing.substr(0, slash), executor_,
        Handle(rpc::CallerOf(*context).name(), response));
  }

  grpc::ServerWriteReactor<EchoMessage>* Watch(
      grpc::CallbackServerContext* context,
      const rpc::testing::ShopWatchRequest* /*request*/) override {
    return rpc::ServeWriter<EchoMessage>(
        context, executor_, [this](rpc::ServerWriter<EchoMessage>* writer) {
          return Tick(writer);
        });
  }

  std::atomic<int> handled = 0;

 private:
  // Writes until the peer is gone.
  asio::awaitable<absl::Status> Tick(rpc::ServerWriter<EchoMessage>* writer) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (true) {
      EchoMessage message;
      const bool ok = co_await writer->Write(std::move(message));
      if (!ok) co_return absl::CancelledError("peer gone");
      timer.expires_after(std::chrono::milliseconds(10));
      co_await timer.async_wait(asio::use_awaitable);
    }
  }
  asio::awaitable<absl::Status> Handle(std::string text,
                                       EchoMessage* response) {
    ++handled;
    response->set_text(std::move(text));
    co_return absl::OkStatus();
  }

  const asio::any_io_executor executor_;
};

class CallersServerTest : public ::testing::Test {
 protected:
  CallersServerTest() : service_(pool_.get_executor()) {
    rpc::ServerOptions options;
    options.tls = rpc::Tls{server_certificate_->cert_file,
                           server_certificate_->key_file, authority_.ca_file()};
    options.bindings = &bindings_;
    options.recheck_interval = absl::Milliseconds(50);
    options.metrics = &metrics_;
    auto server = rpc::Server::Start(options, {&service_});
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
  }
  ~CallersServerTest() override {
    server_->Drain(absl::Seconds(5));
    pool_.join();
  }

  // A connection with a certificate of these names.
  std::shared_ptr<grpc::Channel> ChannelOf(const std::string& names) {
    const auto identity =
        authority_.Issue(absl::StrCat("client", ++clients_), names);
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = Read(authority_.ca_file());
    options.pem_cert_chain = Read(identity->cert_file);
    options.pem_private_key = Read(identity->key_file);
    return grpc::CreateChannel(server_->address(),
                               grpc::SslCredentials(options));
  }

  static absl::Status Sell(const std::shared_ptr<grpc::Channel>& channel,
                           const std::string& tenant) {
    const auto stub = rpc::testing::Shop::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    rpc::testing::SellRequest request;
    request.set_tenant_id(tenant);
    EchoMessage response;
    const grpc::Status status = stub->Sell(&context, request, &response);
    EXPECT_THAT(response.text(), Eq(status.ok() ? tenant : ""));
    return rpc::FromGrpc(status);
  }
  static absl::Status Repair(const std::shared_ptr<grpc::Channel>& channel,
                             const std::string& thing, std::string* text) {
    const auto stub = rpc::testing::Shop::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    rpc::testing::RepairRequest request;
    request.set_thing(thing);
    EchoMessage response;
    const grpc::Status status = stub->Repair(&context, request, &response);
    *text = response.text();
    return rpc::FromGrpc(status);
  }

  // A Watch, for 20 s at most.
  class Stream {
   public:
    explicit Stream(const std::shared_ptr<grpc::Channel>& channel)
        : stub_(rpc::testing::Shop::NewStub(channel)) {
      context_.set_deadline(
          absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
      reader_ = stub_->Watch(&context_, rpc::testing::ShopWatchRequest());
    }
    bool Read() {
      EchoMessage message;
      return reader_->Read(&message);
    }
    void Cancel() { context_.TryCancel(); }
    absl::Status Finish() {
      while (Read()) {
      }
      return rpc::FromGrpc(reader_->Finish());
    }

   private:
    const std::unique_ptr<rpc::testing::Shop::Stub> stub_;
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReader<EchoMessage>> reader_;
  };

  // Binds a certificate, to every tenant if `tenant` is empty; `not_after` in
  // seconds from now on, 0: never.
  void Bind(const std::string& id, v1::CertificateFact fact, v1::Role role,
            const std::string& tenant, int64_t not_after = 0) {
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_BINDING);
    object.mutable_meta()->set_id(id);
    v1::Binding* const binding = object.mutable_binding();
    *binding->mutable_certificate() = std::move(fact);
    binding->add_roles(role);
    binding->set_every_tenant(tenant.empty());
    if (!tenant.empty()) binding->add_tenant_ids(tenant);
    if (not_after != 0) {
      binding->mutable_not_after()->set_seconds(absl::ToUnixSeconds(kNow) +
                                                not_after);
    }
    tenancy::SnapshotBuilder builder(*snapshot());
    ASSERT_THAT(builder.Put(object), IsOk());
    Set(&builder);
  }
  void Unbind(const std::string& id) {
    v1::ObjectRef ref;
    ref.set_kind(v1::KIND_BINDING);
    ref.set_id(id);
    tenancy::SnapshotBuilder builder(*snapshot());
    builder.Delete(ref);
    Set(&builder);
  }
  static v1::CertificateFact Uri(const std::string& uri) {
    v1::CertificateFact fact;
    fact.set_uri(uri);
    return fact;
  }
  static v1::CertificateFact Dns(const std::string& dns) {
    v1::CertificateFact fact;
    fact.set_dns(dns);
    return fact;
  }

  std::shared_ptr<const tenancy::Snapshot> snapshot() {
    sync::MutexLock lock(&mutex_);
    return snapshot_;
  }
  void Set(tenancy::SnapshotBuilder* builder) {
    auto next = std::move(*builder).Build(snapshot()->revision() + 1, "epoch");
    sync::MutexLock lock(&mutex_);
    snapshot_ = std::move(next);
  }
  double Refused() {
    return metrics_.AddCounter("insula_rpc_calls_refused_total", "").Value();
  }

  tls::TestAuthority authority_;
  const std::unique_ptr<tls::TestIdentity> server_certificate_ =
      authority_.Issue("server",
                       "IP:127.0.0.1,URI:spiffe://test/insula/rule-sync");
  int clients_ = 0;
  sync::Mutex mutex_;
  std::shared_ptr<const tenancy::Snapshot> snapshot_ ABSL_GUARDED_BY(mutex_) =
      tenancy::SnapshotBuilder(tenancy::Snapshot()).Build(1, "epoch");
  FakeClock clock_{kNow};
  SnapshotBindings bindings_{[this] { return snapshot(); }, &clock_};
  metrics::Registry metrics_;
  asio::thread_pool pool_{2};
  ShopService service_;
  std::unique_ptr<rpc::Server> server_;
};

TEST_F(CallersServerTest, ACallerWorksForItsTenantAndForNoOther) {
  Bind("jo", Uri(kJo), v1::ROLE_READ, "acme");
  const auto jo = ChannelOf(absl::StrCat("URI:", kJo));
  EXPECT_THAT(Sell(jo, "acme"), IsOk());
  EXPECT_THAT(Refused(), Eq(0));

  EXPECT_THAT(Sell(jo, "blue"),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr(kJo), HasSubstr("tenant 'blue'"),
                             HasSubstr("binding 'jo'"))));
  EXPECT_THAT(Sell(jo, ""), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Refused(), Eq(2));
  EXPECT_THAT(service_.handled, Eq(1));
}

TEST_F(CallersServerTest, NobodyElseWorksForIt) {
  Bind("jo", Uri(kJo), v1::ROLE_READ, "acme");
  for (const char* names :
       {"URI:spiffe://test/team/al", "URI:spiffe://test/insula/rule-sync",
        "URI:spiffe://test/team/jo2", "DNS:jo",
        "URI:spiffe://test/team/jo,URI:spiffe://test/team/al"}) {
    EXPECT_THAT(Sell(ChannelOf(names), "acme"),
                StatusIs(absl::StatusCode::kPermissionDenied))
        << names;
  }
  EXPECT_THAT(service_.handled, Eq(0));
}

TEST_F(CallersServerTest, ABindingCountsUntilItIsTakenAway) {
  const auto jo = ChannelOf(absl::StrCat("URI:", kJo));
  EXPECT_THAT(Sell(jo, "acme"), StatusIs(absl::StatusCode::kPermissionDenied,
                                         HasSubstr("no binding names")));
  Bind("jo", Uri(kJo), v1::ROLE_READ, "acme");
  EXPECT_THAT(Sell(jo, "acme"), IsOk());
  // On the connection that it has.
  Unbind("jo");
  EXPECT_THAT(Sell(jo, "acme"), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CallersServerTest, ABindingEndsAtItsTime) {
  Bind("jo", Uri(kJo), v1::ROLE_READ, "acme", 60);
  const auto jo = ChannelOf(absl::StrCat("URI:", kJo));
  EXPECT_THAT(Sell(jo, "acme"), IsOk());
  clock_.Advance(absl::Seconds(60));
  EXPECT_THAT(Sell(jo, "acme"), StatusIs(absl::StatusCode::kPermissionDenied,
                                         HasSubstr("(expired)")));
}

TEST_F(CallersServerTest, AHostNameOfACertificateMayBeBound) {
  Bind("host", Dns("jo.example.org"), v1::ROLE_READ, "acme");
  EXPECT_THAT(Sell(ChannelOf("DNS:al.example.org,DNS:jo.example.org"), "acme"),
              IsOk());
  EXPECT_THAT(Sell(ChannelOf("DNS:*.example.org"), "acme"),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CallersServerTest, TwoBindingsOfOneCertificateAddUp) {
  Bind("jo", Uri(kJo), v1::ROLE_READ, "acme");
  Bind("host", Dns("jo.example.org"), v1::ROLE_READ, "blue");
  Bind("rules", Uri("https://jo.example.org"), v1::ROLE_RULES, "red");
  const auto jo = ChannelOf(absl::StrCat(
      "URI:", kJo, ",DNS:jo.example.org,URI:https://jo.example.org"));
  EXPECT_THAT(Sell(jo, "acme"), IsOk());
  EXPECT_THAT(Sell(jo, "blue"), IsOk());
  EXPECT_THAT(Sell(jo, "red"), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CallersServerTest, AHandlerMaySayWhichTenantARequestIsOf) {
  Bind("jo", Uri(kJo), v1::ROLE_RULES, "acme");
  const auto jo = ChannelOf(absl::StrCat("URI:", kJo));
  std::string text;
  EXPECT_THAT(Repair(jo, "acme/3", &text), IsOk());
  EXPECT_THAT(text, Eq(kJo));
  EXPECT_THAT(Repair(jo, "blue/3", &text),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Repair(jo, "nothing", &text),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("for what the request names")));
  EXPECT_THAT(service_.handled, Eq(1));
}

TEST_F(CallersServerTest, AStreamEndsWhenItsBindingIsTakenAway) {
  Bind("jo", Uri(kJo), v1::ROLE_READ, "");
  Bind("al", Uri("spiffe://test/team/al"), v1::ROLE_READ, "");
  Stream jo(ChannelOf(absl::StrCat("URI:", kJo)));
  Stream al(ChannelOf("URI:spiffe://test/team/al"));
  EXPECT_TRUE(jo.Read());
  EXPECT_TRUE(al.Read());
  EXPECT_THAT(Refused(), Eq(0));
  Unbind("jo");
  while (jo.Read()) {
  }
  EXPECT_THAT(jo.Finish(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(Refused(), Eq(1));
  // Nobody else's does.
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(al.Read());
  al.Cancel();
  EXPECT_THAT(al.Finish(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(CallersServerTest, APathThatIsNotTheMethodsReachesNoHandler) {
  Bind("jo", Uri(kJo), v1::ROLE_READ, "acme");
  const auto jo = ChannelOf(absl::StrCat("URI:", kJo));
  rpc::testing::SellRequest request;
  request.set_tenant_id("blue");
  const std::string bytes = request.SerializeAsString();
  for (const char* path :
       {"/insula.rpc.testing.Shop/Sell/", "//insula.rpc.testing.Shop/Sell",
        "/insula.rpc.testing.Shop.Sell", "/insula.rpc.testing.Shop/sell",
        "/insula.rpc.testing.Shop//Sell", "/insula.rpc.testing.Shop/Sell?a=b",
        "/insula.rpc.testing.Shop/%53ell", "/grpc.insula.rpc.testing.Shop/Sell",
        "/grpc.health.v1.Health/../insula.rpc.testing.Shop/Sell",
        "/grpc./insula.rpc.testing.Shop/Sell"}) {
    grpc::GenericStub stub(jo);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer sent(&slice, 1);
    grpc::ByteBuffer answer;
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, path, {}, &sent, &answer,
                   [&done](grpc::Status status) { done.set_value(status); });
    EXPECT_THAT(rpc::FromGrpc(done.get_future().get()),
                StatusIs(absl::StatusCode::kUnimplemented))
        << path;
  }
  EXPECT_THAT(service_.handled, Eq(0));
}

}  // namespace
}  // namespace insula::callers
