#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "libs/rpc/echo_fixture.h"
#include "libs/rpc/tls.h"

namespace insula::rpc {
namespace {

using ::testing::Eq;
using ::testing::HasSubstr;

// A directory with a CA, certificates that it signed and one that it did not.
class TlsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string pattern = ::testing::TempDir() + "rpc_tls_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = new std::string(pattern);
    MakeCa("ca");
    MakeCa("other_ca");
    MakeCertificate("ca", "server");
    MakeCertificate("ca", "client");
    MakeCertificate("other_ca", "stranger");
  }
  static void TearDownTestSuite() {
    std::filesystem::remove_all(*dir_);
    delete dir_;
  }

  TlsTest() : service_(pool_.get_executor()) {}
  ~TlsTest() override {
    if (server_ != nullptr) server_->Drain(absl::Seconds(5));
    pool_.join();
  }

  static std::string Path(absl::string_view name) {
    return absl::StrCat(*dir_, "/", name);
  }
  static Tls Files(absl::string_view name, absl::string_view ca = "ca") {
    Tls tls;
    tls.cert_file = Path(absl::StrCat(name, ".pem"));
    tls.key_file = Path(absl::StrCat(name, ".key"));
    tls.ca_file = Path(absl::StrCat(ca, ".pem"));
    return tls;
  }

  void StartServer() {
    ServerOptions options;
    options.tls = Files("server");
    auto server = Server::Start(options, {&service_});
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
  }

  // The result of one call with the credentials.
  absl::Status CallWith(std::shared_ptr<grpc::ChannelCredentials> credentials) {
    EchoClient client(
        grpc::CreateChannel(server_->address(), std::move(credentials)));
    return asio::co_spawn(pool_, client.Unary("acme", absl::Seconds(10)),
                          asio::use_future)
        .get()
        .status();
  }
  absl::Status CallWith(const Tls& tls) {
    const auto credentials = ChannelCredentials(tls);
    if (!credentials.ok()) return credentials.status();
    return CallWith(*credentials);
  }

 private:
  static void OpenSsl(const std::string& arguments) {
    const std::string command =
        absl::StrCat("openssl ", arguments, " 2>>", Path("openssl.log"));
    ASSERT_THAT(std::system(command.c_str()), Eq(0)) << command;
  }
  static void MakeCa(absl::string_view name) {
    OpenSsl(absl::StrCat(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes ",
        "-days 2 -subj /CN=", name, " -keyout ", Path(name), ".key -out ",
        Path(name), ".pem"));
  }
  static void MakeCertificate(absl::string_view ca, absl::string_view name) {
    const std::string path = Path(name);
    std::ofstream(path + ".ext") << "subjectAltName=IP:127.0.0.1,"
                                    "URI:spiffe://test/insula/"
                                 << name << "\n";
    OpenSsl(
        absl::StrCat("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
                     "-nodes -subj /CN=",
                     name, " -keyout ", path, ".key -out ", path, ".csr"));
    OpenSsl(absl::StrCat("x509 -req -days 2 -in ", path, ".csr -CA ", Path(ca),
                         ".pem -CAkey ", Path(ca), ".key -CAcreateserial ",
                         "-extfile ", path, ".ext -out ", path, ".pem"));
  }

  static std::string* dir_;

  asio::thread_pool pool_{2};
  EchoService service_;
  std::unique_ptr<Server> server_;
};
std::string* TlsTest::dir_ = nullptr;

TEST_F(TlsTest, PeersOfTheSameCaTalk) {
  StartServer();
  EXPECT_THAT(CallWith(Files("client")), IsOk());
}

TEST_F(TlsTest, AClientWithoutCertificateIsRefused) {
  StartServer();
  std::ifstream file(Path("ca.pem"));
  grpc::SslCredentialsOptions options;
  options.pem_root_certs.assign(std::istreambuf_iterator<char>(file), {});
  EXPECT_THAT(CallWith(grpc::SslCredentials(options)),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, AClientOfAnotherCaIsRefused) {
  StartServer();
  EXPECT_THAT(CallWith(Files("stranger")),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, AServerOfAnotherCaIsRefused) {
  StartServer();
  EXPECT_THAT(CallWith(Files("client", "other_ca")),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, PlainTextIsRefused) {
  StartServer();
  EXPECT_THAT(CallWith(grpc::InsecureChannelCredentials()),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, FilesThatCannotServeAreNamed) {
  Tls missing = Files("server");
  missing.cert_file = Path("nowhere.pem");
  EXPECT_THAT(ServerCredentials(missing).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("nowhere.pem' can't be read")));
  Tls mixed = Files("server");
  mixed.key_file = Path("client.key");
  EXPECT_THAT(ChannelCredentials(mixed).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("client.key' does not belong to")));
  Tls no_pem = Files("server");
  no_pem.ca_file = Path("server.ext");
  EXPECT_THAT(ServerCredentials(no_pem).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("server.ext' holds no PEM certificate")));
}

}  // namespace
}  // namespace insula::rpc
