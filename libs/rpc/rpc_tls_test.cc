#include <openssl/ssl.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "libs/audit/audit_log.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/channel.h"
#include "libs/rpc/echo_fixture.h"
#include "libs/rpc/refused_call.h"
#include "libs/rpc/tls.h"
#include "libs/time/clock.h"
#include "libs/tls/test_authority.h"

namespace insula::rpc {
namespace {

using ::testing::AllOf;
using ::testing::Eq;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Ne;
using ::testing::Not;

using Authority = tls::TestAuthority;
using Certificate = tls::TestIdentity;
using Socket = asio::ip::tcp::socket;

constexpr char kServer[] = "IP:127.0.0.1,URI:spiffe://test/insula/rule-sync";
constexpr char kService[] = "URI:spiffe://test/insula/ingest-gateway";
constexpr char kServiceId[] = "spiffe://test/insula/ingest-gateway";
constexpr char kJo[] = "spiffe://test/admin/jo";

// Stands between one client and a server, and keeps what the server says.
class Tap {
 public:
  explicit Tap(int port)
      : acceptor_(context_, {asio::ip::address_v4::loopback(), 0}),
        thread_([this, port] { Run(port); }) {}
  ~Tap() { thread_.join(); }

  std::string address() const {
    return absl::StrCat("127.0.0.1:", acceptor_.local_endpoint().port());
  }
  std::string heard() {
    sync::MutexLock lock(&mutex_);
    return heard_;
  }

 private:
  void Run(int port) {
    Socket client = acceptor_.accept();
    Socket server(context_);
    server.connect({asio::ip::address_v4::loopback(),
                    static_cast<asio::ip::port_type>(port)});
    std::thread up([&] { Pump(&client, &server, false); });
    Pump(&server, &client, true);
    up.join();
  }
  void Pump(Socket* from, Socket* to, bool keep) {
    char buffer[4096];
    boost::system::error_code error;
    while (true) {
      const size_t size = from->read_some(asio::buffer(buffer), error);
      if (keep) {
        sync::MutexLock lock(&mutex_);
        heard_.append(buffer, size);
      }
      if (!error) asio::write(*to, asio::buffer(buffer, size), error);
      if (error) break;
    }
    to->shutdown(Socket::shutdown_both, error);
    from->shutdown(Socket::shutdown_both, error);
  }

  asio::io_context context_;
  asio::ip::tcp::acceptor acceptor_;
  sync::Mutex mutex_;
  std::string heard_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

// The version that a server chose, from the first bytes that it sent: 0x0304 is
// TLS 1.3. 0: there is no ServerHello.
int VersionOf(const std::string& hello) {
  const auto at = [&hello](size_t i) -> size_t {
    return i < hello.size() ? static_cast<unsigned char>(hello[i]) : 0;
  };
  const auto two = [&at](size_t i) { return at(i) << 8 | at(i + 1); };
  constexpr size_t kHandshake = 22, kServerHello = 2, kVersions = 43;
  if (at(0) != kHandshake || at(5) != kServerHello) return 0;
  size_t i = 5 + 4;              // The body of the handshake message.
  const size_t legacy = two(i);  // What TLS 1.2 says.
  i += 2 + 32;                   // Its random bytes.
  i += 1 + at(i);                // The session.
  i += 2 + 1;                    // Cipher and compression.
  const size_t end = i + 2 + two(i);
  for (i += 2; i + 4 <= end; i += 4 + two(i + 2)) {
    if (two(i) == kVersions) return static_cast<int>(two(i + 4));
  }
  return static_cast<int>(legacy);
}

// Waits until it holds, for 20 s at most.
bool Eventually(const std::function<bool()>& holds) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (!holds()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return true;
}

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() : service_(pool_.get_executor()) {}
  ~TlsTest() override {
    if (server_ != nullptr) server_->Drain(absl::Seconds(5));
    pool_.join();
  }

  Tls Files(const Certificate& certificate) const {
    return {certificate.cert_file, certificate.key_file, authority_.ca_file(),
            crl_file_};
  }

  // Services call no Echo, so the one here is an admin as well.
  void StartServer(std::vector<std::string> admins = {kServiceId}) {
    ServerOptions options;
    options.tls = Files(*server_certificate_);
    options.admins = std::move(admins);
    options.metrics = &metrics_;
    options.on_refused = on_refused_;
    auto server = Server::Start(options, {&service_});
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
  }

  ChannelOptions Options(const Tls& tls) {
    ChannelOptions options;
    options.address = server_->address();
    options.service = "rule-sync";
    options.tls = tls;
    options.arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return options;
  }

  // The result of one call.
  absl::Status CallOn(std::shared_ptr<grpc::Channel> channel) {
    EchoClient client(std::move(channel));
    return asio::co_spawn(pool_, client.Unary("acme", absl::Seconds(10)),
                          asio::use_future)
        .get()
        .status();
  }
  // On a connection of its own.
  absl::Status CallWith(ChannelOptions options) {
    const auto channel = Channel::Make(std::move(options), &metrics_);
    if (!channel.ok()) return channel.status();
    return CallOn((*channel)->Get());
  }
  absl::Status CallWith(const Tls& tls) { return CallWith(Options(tls)); }
  absl::Status CallWith(std::shared_ptr<grpc::ChannelCredentials> credentials) {
    return CallOn(
        grpc::CreateChannel(server_->address(), std::move(credentials)));
  }

  // Connects with OpenSSL, of these versions at most. The serial number of the
  // server's certificate; 0: it refuses.
  int64_t SeenSerial(int max_version = TLS1_3_VERSION) {
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, max_version);
    SSL_CTX_use_certificate_file(context, client_->cert_file.c_str(),
                                 SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context, client_->key_file.c_str(),
                                SSL_FILETYPE_PEM);
    SSL* ssl = SSL_new(context);
    BIO* bio = BIO_new_connect(server_->address().c_str());
    int64_t serial = 0;
    if (BIO_do_connect(bio) == 1) {
      SSL_set_bio(ssl, bio, bio);
      X509* const seen =
          SSL_connect(ssl) == 1 ? SSL_get1_peer_certificate(ssl) : nullptr;
      if (seen != nullptr) serial = SerialOf(seen);
      X509_free(seen);
    } else {
      BIO_free(bio);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    return serial;
  }
  static int64_t SerialOf(const X509* certificate) {
    int64_t serial = 0;
    ASN1_INTEGER_get_int64(&serial, X509_get0_serialNumber(certificate));
    return serial;
  }

  double ReloadFails() {
    return metrics_
        .AddGauge("insula_tls_reload_failing", "",
                  {{"file", server_certificate_->cert_file}})
        .Value();
  }
  double Refused() {
    return metrics_.AddCounter("insula_rpc_calls_refused_total", "").Value();
  }

  Authority authority_;
  std::string crl_file_;
  std::unique_ptr<Certificate> server_certificate_ =
      authority_.Issue("server", kServer);
  std::unique_ptr<Certificate> client_ = authority_.Issue("client", kService);

  metrics::Registry metrics_;
  OnRefused on_refused_;
  asio::thread_pool pool_{2};
  EchoService service_;
  std::unique_ptr<Server> server_;
};

TEST_F(TlsTest, PeersOfTheSameCaTalk) {
  StartServer();
  EXPECT_THAT(CallWith(Files(*client_)), IsOk());
  EXPECT_THAT(Refused(), Eq(0));
}

TEST_F(TlsTest, TheyAgreeOnTls13) {
  StartServer();
  Tap tap(server_->port());
  ChannelOptions options = Options(Files(*client_));
  options.address = tap.address();
  EXPECT_THAT(CallWith(options), IsOk());
  EXPECT_THAT(VersionOf(tap.heard()), Eq(0x0304));
}

TEST_F(TlsTest, VersionsBefore12AreRefused) {
  StartServer();
  EXPECT_THAT(SeenSerial(TLS1_1_VERSION), Eq(0));
  EXPECT_THAT(SeenSerial(TLS1_2_VERSION), Ne(0));
}

TEST_F(TlsTest, AClientWithoutCertificateIsRefused) {
  StartServer();
  std::ifstream file(authority_.ca_file());
  grpc::SslCredentialsOptions options;
  options.pem_root_certs.assign(std::istreambuf_iterator<char>(file), {});
  EXPECT_THAT(CallWith(grpc::SslCredentials(options)),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, AClientOfAnotherCaIsRefused) {
  StartServer();
  Authority other;
  EXPECT_THAT(CallWith(Files(*other.Issue("client", kService))),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, AServerOfAnotherCaIsRefused) {
  StartServer();
  Authority other;
  Tls tls = Files(*client_);
  tls.ca_file = other.ca_file();
  EXPECT_THAT(CallWith(tls), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, PlainTextIsRefused) {
  StartServer();
  EXPECT_THAT(CallWith(grpc::InsecureChannelCredentials()),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, AServerThatIsAnotherServiceIsRefused) {
  StartServer();
  ChannelOptions options = Options(Files(*client_));
  options.service = "tenant-registry";
  EXPECT_THAT(CallWith(options),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("spiffe://test/insula/rule-sync"),
                             HasSubstr("expected spiffe://test/insula/"
                                       "tenant-registry"))));
}

TEST_F(TlsTest, AServerOfAnotherTrustDomainIsRefused) {
  server_certificate_ = authority_.Issue(
      "server", "IP:127.0.0.1,URI:spiffe://other/insula/rule-sync");
  StartServer();
  EXPECT_THAT(CallWith(Files(*client_)),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("spiffe://other/insula/rule-sync")));
}

TEST_F(TlsTest, ACertificateThatHasEndedIsRefused) {
  authority_.set_lifetime(absl::Minutes(50));  // From an hour ago on.
  const auto ended = authority_.Issue("ended", kService);
  StartServer();
  EXPECT_THAT(CallWith(Files(*ended)),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, ACallerWithoutTheRoleIsRefusedByName) {
  StartServer();
  const auto jo = authority_.Issue("jo", absl::StrCat("URI:", kJo));
  EXPECT_THAT(CallWith(Files(*jo)),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("spiffe://test/admin/jo may not call "
                                       "insula.rpc.testing.Echo.Unary"),
                             HasSubstr("ROLE_OPERATOR"))));
  EXPECT_THAT(Refused(), Eq(1));

  // Streams are no way around it.
  const auto channel = Channel::Make(Options(Files(*jo)), &metrics_);
  ASSERT_THAT(channel, IsOk());
  EchoClient client((*channel)->Get());
  const auto stream = client.Both(pool_.get_executor());
  EXPECT_THAT(asio::co_spawn(pool_, stream->Finish(), asio::use_future).get(),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(kJo)));
  EXPECT_THAT(service_.entered.value(), Eq(0));
}

TEST_F(TlsTest, ARefusedCallIsALineOfTheAudit) {
  audit::AuditConfig config;
  config.file = authority_.ca_file() + ".audit";
  const RealClock clock;
  auto log = audit::AuditLog::Open(config, "rule-sync", &clock, &metrics_);
  ASSERT_THAT(log, IsOk());
  on_refused_ = AuditRefusals(log->get());
  StartServer();
  const auto jo = authority_.Issue("jo", absl::StrCat("URI:", kJo));
  const auto call = [&](const Certificate& caller, const char* request_id) {
    const auto channel = Channel::Make(Options(Files(caller)), &metrics_);
    ASSERT_THAT(channel, IsOk());
    EchoClient client((*channel)->Get());
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
    context.AddMetadata("x-request-id", request_id);
    context.AddMetadata("authorization", "Bearer canary");
    EchoMessage answer;
    client.stub()->Unary(&context, Message("canary"), &answer);
  };
  call(*client_, "allowed");
  call(*jo, "r-1");
  call(*jo, "of no sense");
  server_->Drain(absl::Seconds(5));
  log->reset();  // Writes what waits.

  std::ifstream file(config.file);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) {
    EXPECT_THAT(line, Not(HasSubstr("canary")));
    lines.push_back(nlohmann::json::parse(line));
  }
  ASSERT_EQ(lines.size(), 2);
  for (nlohmann::json& line : lines) line.erase("time");
  nlohmann::json expected = {{"service", "rule-sync"},
                             {"event", "call"},
                             {"decision", "refused"},
                             {"code", "PERMISSION_DENIED"},
                             {"method", "insula.rpc.testing.Echo.Unary"},
                             {"principal", kJo},
                             {"request_id", "r-1"}};
  EXPECT_EQ(lines[0], expected);
  expected.erase("request_id");
  EXPECT_EQ(lines[1], expected);
}

// gRPC reads these variables by itself. Nobody listens at that port.
TEST_F(TlsTest, AProxyOfTheEnvironmentIsNotUsed) {
  constexpr const char* kNames[] = {"grpc_proxy", "https_proxy", "http_proxy"};
  for (const char* name : kNames) setenv(name, "http://127.0.0.1:1", 1);
  const absl::Cleanup unset = [&] {
    for (const char* name : kNames) unsetenv(name);
  };
  StartServer();
  EXPECT_THAT(CallWith(Files(*client_)), IsOk());
  // A channel that is made without care is in trouble.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  EchoClient careless(grpc::CreateCustomChannel(
      server_->address(), grpc::InsecureChannelCredentials(), arguments));
  const absl::Status failed =
      asio::co_spawn(pool_, careless.Unary("acme", absl::Seconds(10)),
                     asio::use_future)
          .get()
          .status();
  EXPECT_THAT(failed, StatusIs(absl::StatusCode::kUnavailable,
                               HasSubstr("127.0.0.1:1")));
}

TEST_F(TlsTest, AnAdminMayCall) {
  StartServer({kJo});
  const auto jo = authority_.Issue("jo", absl::StrCat("URI:", kJo));
  EXPECT_THAT(CallWith(Files(*jo)), IsOk());
}

TEST_F(TlsTest, ACertificateWithoutANameIsRefusedByTheServer) {
  StartServer();
  const auto nobody = authority_.Issue("nobody", "DNS:nobody");
  grpc::SslCredentialsOptions options;
  const auto read = [](const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  options.pem_root_certs = read(authority_.ca_file());
  options.pem_cert_chain = read(nobody->cert_file);
  options.pem_private_key = read(nobody->key_file);
  EXPECT_THAT(CallWith(grpc::SslCredentials(options)),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("DNS:nobody may not call")));
}

TEST_F(TlsTest, CertificatesChangeUnderLoadAndNoCallFails) {
  StartServer();
  const auto channel = Channel::Make(Options(Files(*client_)), &metrics_);
  ASSERT_THAT(channel, IsOk());
  const std::shared_ptr<grpc::Channel> before = (*channel)->Get();
  // A stream that stays open all along.
  EchoClient old(before);
  const auto stream = old.Both(pool_.get_executor());
  const auto echo = [&]() -> asio::awaitable<bool> {
    const bool written = co_await stream->Write(Message("still there?"));
    if (!written) co_return false;
    const auto answer = co_await stream->Read();
    co_return answer.has_value();
  };
  ASSERT_TRUE(asio::co_spawn(pool_, echo(), asio::use_future).get());

  const auto steady = authority_.Issue("steady", kService);
  std::atomic<bool> done = false;
  std::atomic<int> calls = 0;
  std::atomic<int> failed = 0;
  const auto count = [&](const absl::Status& status) {
    ++calls;
    if (status.ok()) return;
    ++failed;
    ADD_FAILURE() << status;
  };
  std::vector<std::thread> load;
  load.emplace_back([&] {
    while (!done) count(CallOn((*channel)->Get()));
  });
  load.emplace_back([&] {
    while (!done) count(CallWith(Files(*steady)));  // Connects each time.
  });

  int changes = 0;
  for (const char* name : {"second", "third"}) {
    const auto server = authority_.Issue(absl::StrCat(name, "-s"), kServer);
    const auto client = authority_.Issue(absl::StrCat(name, "-c"), kService);
    const std::shared_ptr<grpc::Channel> now = (*channel)->Get();
    Authority::Replace(*server_certificate_, *server);
    EXPECT_TRUE(Eventually(
        [&] { return SeenSerial() == SerialOf(server->certificate); }));
    Authority::Replace(*client_, *client);
    EXPECT_TRUE(Eventually([&] { return (*channel)->Get() != now; }));
    ++changes;
  }
  const int calls_before = calls;
  EXPECT_TRUE(Eventually([&] { return calls > calls_before + 20; }));
  done = true;
  for (std::thread& thread : load) thread.join();

  EXPECT_THAT(changes, Eq(2));
  EXPECT_THAT((*channel)->Get(), Not(Eq(before)));
  EXPECT_THAT(failed, Eq(0));
  EXPECT_THAT(calls, Gt(20));
  EXPECT_TRUE(asio::co_spawn(pool_, echo(), asio::use_future).get());
  stream->Cancel();
}

TEST_F(TlsTest, APairThatDoesNotFitLeavesTheOldOneInPlace) {
  StartServer();
  const int64_t serial = SerialOf(server_certificate_->certificate);
  const auto next = authority_.Issue("next", kServer);
  std::filesystem::copy_file(next->key_file, server_certificate_->key_file,
                             std::filesystem::copy_options::overwrite_existing);
  ASSERT_TRUE(Eventually([&] {
    EXPECT_THAT(SeenSerial(), Eq(serial));
    return ReloadFails() == 1;
  }));
  EXPECT_THAT(CallWith(Files(*client_)), IsOk());
  EXPECT_THAT(SeenSerial(), Eq(serial));

  // The other half of the pair mends it.
  Authority::Replace(*server_certificate_, *next);
  ASSERT_TRUE(Eventually([&] { return SeenSerial() != serial; }));
  EXPECT_THAT(ReloadFails(), Eq(0));
  EXPECT_THAT(CallWith(Files(*client_)), IsOk());
}

TEST_F(TlsTest, AClientKeepsItsPairUntilTheNextOneFits) {
  StartServer();
  const auto channel = Channel::Make(Options(Files(*client_)), &metrics_);
  ASSERT_THAT(channel, IsOk());
  const auto before = (*channel)->Get();
  const metrics::Gauge& failing = metrics_.AddGauge(
      "insula_tls_reload_failing", "", {{"file", client_->cert_file}});
  std::ofstream(client_->key_file) << "no PEM";
  ASSERT_TRUE(Eventually([&] {
    EXPECT_THAT((*channel)->Get(), Eq(before));
    return failing.Value() == 1;
  }));
  EXPECT_THAT(CallOn((*channel)->Get()), IsOk());
}

TEST_F(TlsTest, ARevokedCallerIsRefusedOnTheConnectionThatItHas) {
  crl_file_ = authority_.Revoke({});
  StartServer();
  const auto channel = Channel::Make(Options(Files(*client_)), &metrics_);
  ASSERT_THAT(channel, IsOk());
  const std::shared_ptr<grpc::Channel> connection = (*channel)->Get();
  ASSERT_THAT(CallOn(connection), IsOk());

  authority_.Revoke({client_.get()});
  absl::Status status;
  ASSERT_TRUE(Eventually([&] {
    status = CallOn(connection);
    return !status.ok();
  }));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied,
                               HasSubstr("is revoked")));
  EXPECT_THAT(Refused(), Eq(1));
  const auto other = authority_.Issue("other", kService);
  EXPECT_THAT(CallWith(Files(*other)), IsOk());

  // Nobody is let back in by a list that has ended.
  authority_.Revoke({}, -absl::Minutes(1));
  ASSERT_TRUE(Eventually([&] {
    EXPECT_THAT(CallOn(connection), Not(IsOk()));
    return ReloadFails() == 1;
  }));
  EXPECT_THAT(CallOn(connection), Not(IsOk()));
  authority_.Revoke({});
  ASSERT_TRUE(Eventually([&] { return CallOn(connection).ok(); }));
  EXPECT_THAT(ReloadFails(), Eq(0));
}

TEST_F(TlsTest, ARevokedServerIsNotTrusted) {
  crl_file_ = authority_.Revoke({server_certificate_.get()});
  StartServer();
  EXPECT_THAT(
      CallWith(Files(*client_)),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("is revoked")));
}

TEST_F(TlsTest, AListOfRevokedCertificatesThatHasEndedLetsNobodyIn) {
  crl_file_ = authority_.Revoke({}, -absl::Minutes(1));
  StartServer();
  Tls tls = Files(*client_);
  tls.crl_file = "";
  EXPECT_THAT(CallWith(tls), StatusIs(absl::StatusCode::kPermissionDenied,
                                      HasSubstr("renew the CRL")));
}

TEST_F(TlsTest, ShowsWhenTheCertificateEnds) {
  StartServer();
  const metrics::Gauge& expiry =
      metrics_.AddGauge("insula_tls_certificate_expiry_timestamp_seconds", "",
                        {{"file", server_certificate_->cert_file}});
  const absl::Time end =
      absl::FromUnixSeconds(static_cast<int64_t>(expiry.Value()));
  EXPECT_GT(end, absl::Now() + absl::Minutes(50));
  EXPECT_LE(end, absl::Now() + absl::Hours(1));
}

TEST_F(TlsTest, FilesThatCannotServeAreNamed) {
  const auto start = [this](const Tls& tls) {
    ServerOptions options;
    options.tls = tls;
    options.metrics = &metrics_;
    return Server::Start(options, {&service_}).status();
  };
  Tls missing = Files(*server_certificate_);
  missing.cert_file = "/nowhere.pem";
  EXPECT_THAT(start(missing),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("nowhere.pem' can't be read")));
  Tls mixed = Files(*server_certificate_);
  mixed.key_file = client_->key_file;
  EXPECT_THAT(start(mixed), StatusIs(absl::StatusCode::kInvalidArgument,
                                     HasSubstr("does not belong to")));
  Tls no_pem = Files(*server_certificate_);
  no_pem.ca_file = client_->key_file;
  EXPECT_THAT(start(no_pem), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("holds no PEM certificate")));
  EXPECT_THAT(start(Files(*authority_.Issue("nobody", "DNS:nobody"))),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("does not say whose it is")));
}

}  // namespace
}  // namespace insula::rpc
