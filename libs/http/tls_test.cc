#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include <atomic>
#include <boost/asio/strand.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "libs/http/client.h"
#include "libs/http/test_support.h"
#include "libs/status/status_matchers.h"
#include "libs/tls/test_authority.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;
using testing::ElementsAre;
using testing::HasSubstr;

using Authority = tls::TestAuthority;
using Identity = tls::TestIdentity;

std::string TextOf(const std::string& file) {
  std::ifstream stream(file);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

class TlsTest : public ServerFixture {
 protected:
  void StartTls(bool with_client_ca, Handler handler = Echo,
                std::string crl_file = "") {
    ServerOptions options;
    ServerTls tls;
    tls.cert_file = server_identity_->cert_file;
    tls.key_file = server_identity_->key_file;
    if (with_client_ca) tls.client_ca_file = authority_.ca_file();
    tls.client_crl_file = std::move(crl_file);
    options.tls = tls;
    options.header_timeout = absl::Seconds(5);
    Start(std::move(options), std::move(handler));
  }

  absl::StatusOr<Response> Ask(ClientTls tls, std::string host = "127.0.0.1",
                               std::string body = "",
                               absl::Duration idle = absl::Seconds(50)) {
    ClientOptions options;
    options.name = "tls";
    options.tls = std::move(tls);
    options.idle_timeout = idle;
    client_ = std::make_unique<Client>(std::move(options), pool_.get_executor(),
                                       &metrics_);
    return Again(std::move(host), std::move(body));
  }

  absl::StatusOr<Response> Again(std::string host = "127.0.0.1",
                                 std::string body = "") {
    ClientRequest request;
    request.method = "POST";
    request.url =
        Url::Parse(absl::StrCat("https://", host, ":", server_->port(), "/x"))
            .value();
    request.body = std::move(body);
    return asio::co_spawn(asio::make_strand(pool_.get_executor()),
                          client_->Send(std::move(request),
                                        absl::Now() + absl::Seconds(20)),
                          asio::use_future)
        .get();
  }

  ClientTls Trusting() {
    ClientTls tls;
    tls.ca_file = authority_.ca_file();
    return tls;
  }

  // The serial number of the certificate that a new connection sees, 0 if it
  // sees none.
  int64_t SeenSerial() {
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL* ssl = SSL_new(context);
    BIO* bio = BIO_new_connect(server_->address().c_str());
    int64_t serial = 0;
    if (BIO_do_connect(bio) == 1) {
      SSL_set_bio(ssl, bio, bio);
      X509* const seen =
          SSL_connect(ssl) == 1 ? SSL_get1_peer_certificate(ssl) : nullptr;
      if (seen != nullptr) {
        ASN1_INTEGER_get_int64(&serial, X509_get0_serialNumber(seen));
      }
      X509_free(seen);
    } else {
      BIO_free(bio);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    return serial;
  }

  // What OpenSSL's client got from the server.
  struct Visit {
    bool resumed = false;
    std::string answer;
    // To come again with.
    std::shared_ptr<SSL_SESSION> session;
  };
  // Connects with a certificate by this version alone, with a session if there
  // is one, and asks once.
  Visit VisitAs(const Identity& identity, int version,
                SSL_SESSION* session = nullptr) {
    Visit visit;
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_use_certificate(context, identity.certificate);
    SSL_CTX_use_PrivateKey(context, identity.key);
    SSL* ssl = SSL_new(context);
    if (session != nullptr) SSL_set_session(ssl, session);
    BIO* bio = BIO_new_connect(server_->address().c_str());
    if (BIO_do_connect(bio) == 1) {
      SSL_set_bio(ssl, bio, bio);
      const std::string request =
          "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
      if (SSL_connect(ssl) == 1 &&
          SSL_write(ssl, request.data(), static_cast<int>(request.size())) >
              0) {
        char piece[4096];
        int size = 0;
        while ((size = SSL_read(ssl, piece, sizeof(piece))) > 0) {
          visit.answer.append(piece, static_cast<size_t>(size));
        }
      }
      visit.resumed = SSL_session_reused(ssl) == 1;
      // Of TLS 1.3 it comes after the handshake.
      visit.session.reset(SSL_get1_session(ssl), &SSL_SESSION_free);
      SSL_shutdown(ssl);
    } else {
      BIO_free(bio);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    return visit;
  }

  static int64_t SerialOf(const Identity& identity) {
    int64_t serial = 0;
    ASN1_INTEGER_get_int64(&serial,
                           X509_get0_serialNumber(identity.certificate));
    return serial;
  }

  double Reloads(absl::string_view result) {
    return metrics_
        .AddCounter("insula_tls_reloads_total", "",
                    {{"file", server_identity_->cert_file},
                     {"result", std::string(result)}})
        .Value();
  }
  double ReloadFails() {
    return metrics_
        .AddGauge("insula_tls_reload_failing", "",
                  {{"file", server_identity_->cert_file}})
        .Value();
  }

  // Opens connections until `done`, for 20 s at most.
  bool ConnectUntil(const std::function<bool()>& done) {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (!done()) {
      if (absl::Now() > deadline) return false;
      EXPECT_NE(SeenSerial(), 0);
      absl::SleepFor(absl::Milliseconds(20));
    }
    return true;
  }

  Authority authority_;
  std::unique_ptr<Identity> server_identity_ =
      authority_.Issue("server", "IP:127.0.0.1,DNS:localhost");
  std::unique_ptr<Client> client_;
};

TEST_F(TlsTest, CarriesRequestsAndAnswers) {
  StartTls(/*with_client_ca=*/false);
  const std::string body(1'000'000, 'x');
  const auto response = Ask(Trusting(), "127.0.0.1", body);
  ASSERT_THAT(response, IsOk());
  EXPECT_TRUE(response->body == "POST /x " + body + "\n");
  ASSERT_THAT(Again(), IsOk());
  EXPECT_EQ(
      metrics_
          .AddGauge("insula_http_client_connections",
                    "Open connections, also idle ones.", {{"client", "tls"}})
          .Value(),
      1);
}

TEST_F(TlsTest, AcceptsTheServersOtherName) {
  StartTls(/*with_client_ca=*/false);
  EXPECT_THAT(Ask(Trusting(), "localhost"), IsOk());
}

TEST_F(TlsTest, RefusesAServerOfAnotherName) {
  StartTls(/*with_client_ca=*/false);
  ClientTls tls = Trusting();
  tls.server_name = "other.example";
  EXPECT_THAT(Ask(tls), StatusIs(absl::StatusCode::kUnavailable,
                                 HasSubstr("certificate verify failed")));
}

TEST_F(TlsTest, RefusesAServerOfAnotherAuthority) {
  StartTls(/*with_client_ca=*/false);
  Authority other;
  ClientTls tls;
  tls.ca_file = other.ca_file();
  EXPECT_THAT(Ask(tls), StatusIs(absl::StatusCode::kUnavailable,
                                 HasSubstr("TLS handshake failed")));
  EXPECT_THAT(Ask(ClientTls()), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, TellsTheHandlerWhoTheClientIs) {
  StartTls(/*with_client_ca=*/true,
           [](Request request) -> asio::awaitable<Response> {
             EXPECT_TRUE(request.peer.tls);
             EXPECT_THAT(request.peer.san_uris,
                         ElementsAre("spiffe://insula/query-frontend"));
             EXPECT_THAT(request.peer.san_dns,
                         ElementsAre("a.example", "b.example"));
             co_return TextResponse(200, "known");
           });
  const auto identity = authority_.Issue(
      "client",
      "URI:spiffe://insula/query-frontend,DNS:a.example,DNS:b.example");
  ClientTls tls = Trusting();
  tls.cert_file = identity->cert_file;
  tls.key_file = identity->key_file;
  const auto response = Ask(tls);
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->body, "known\n");
}

TEST_F(TlsTest, TakesCertificatesAsText) {
  StartTls(/*with_client_ca=*/true);
  const auto identity = authority_.Issue("client", "DNS:a.example");
  ClientTls tls;
  tls.ca_pem = TextOf(authority_.ca_file());
  tls.cert_pem = TextOf(identity->cert_file);
  tls.key_pem = TextOf(identity->key_file);
  EXPECT_THAT(Ask(tls), IsOk());

  tls.key_pem = TextOf(server_identity_->key_file);
  EXPECT_THAT(Ask(tls), StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("private key")));
  for (std::string ClientTls::* text :
       {&ClientTls::ca_pem, &ClientTls::cert_pem, &ClientTls::key_pem}) {
    ClientTls wrong = tls;
    wrong.*text = "no PEM";
    EXPECT_THAT(Ask(wrong), StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_F(TlsTest, DemandsAClientCertificateOfItsAuthority) {
  StartTls(/*with_client_ca=*/true);
  EXPECT_THAT(Ask(Trusting()), StatusIs(absl::StatusCode::kUnavailable));
  Authority other;
  const auto stranger = other.Issue("client", "DNS:a.example");
  ClientTls tls = Trusting();
  tls.cert_file = stranger->cert_file;
  tls.key_file = stranger->key_file;
  EXPECT_THAT(Ask(tls), StatusIs(absl::StatusCode::kUnavailable));
  server_.reset();
  EXPECT_EQ(Rejected("handshake"), 2);
}

TEST_F(TlsTest, RefusesPlainHttpAndOldVersions) {
  StartTls(/*with_client_ca=*/false);
  RawSocket plain(server_->port());
  plain.Send(Get("/"));
  EXPECT_EQ(StatusOf(plain.ReadToEnd()), 0);

  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
  SSL* ssl = SSL_new(context);
  BIO* bio = BIO_new_connect(server_->address().c_str());
  ASSERT_EQ(BIO_do_connect(bio), 1);
  SSL_set_bio(ssl, bio, bio);
  EXPECT_LT(SSL_connect(ssl), 1);
  SSL_free(ssl);
  SSL_CTX_free(context);
}

TEST_F(TlsTest, ShowsWhenTheServersCertificateEnds) {
  StartTls(/*with_client_ca=*/false);
  const metrics::Gauge& expiry =
      metrics_.AddGauge("insula_tls_certificate_expiry_timestamp_seconds", "",
                        {{"file", server_identity_->cert_file}});
  const absl::Time end =
      absl::FromUnixSeconds(static_cast<int64_t>(expiry.Value()));
  EXPECT_GT(end, absl::Now() + absl::Minutes(50));
  EXPECT_LE(end, absl::Now() + absl::Hours(1));
}

TEST_F(TlsTest, ServesANewCertificateWithoutDroppingConnections) {
  StartTls(/*with_client_ca=*/false);
  ASSERT_THAT(Ask(Trusting()), IsOk());
  const auto next = authority_.Issue("next", "IP:127.0.0.1");
  ASSERT_EQ(SeenSerial(), SerialOf(*server_identity_));
  Authority::Replace(*server_identity_, *next);

  // Requests go on, on the old connection and on new ones.
  ASSERT_TRUE(ConnectUntil([&] {
    EXPECT_THAT(Again(), IsOk());
    return SeenSerial() == SerialOf(*next);
  }));
  EXPECT_THAT(Again(), IsOk());
  EXPECT_EQ(Reloads("ok"), 1);
  EXPECT_EQ(ReloadFails(), 0);
}

TEST_F(TlsTest, APairThatDoesNotFitLeavesTheOldOneInPlace) {
  StartTls(/*with_client_ca=*/false);
  const auto next = authority_.Issue("next", "IP:127.0.0.1");
  std::filesystem::copy_file(next->key_file, server_identity_->key_file,
                             std::filesystem::copy_options::overwrite_existing);
  ASSERT_TRUE(ConnectUntil([&] { return ReloadFails() == 1; }));
  EXPECT_EQ(SeenSerial(), SerialOf(*server_identity_));
  EXPECT_EQ(Reloads("failed"), 1);

  // The other half of the pair mends it.
  Authority::Replace(*server_identity_, *next);
  ASSERT_TRUE(ConnectUntil([&] { return ReloadFails() == 0; }));
  EXPECT_EQ(SeenSerial(), SerialOf(*next));
}

TEST_F(TlsTest, ACertificateThatHasEndedOrIsNoneLeavesTheOldOneInPlace) {
  StartTls(/*with_client_ca=*/false);
  authority_.set_lifetime(absl::Minutes(50));
  const auto ended = authority_.Issue("ended", "IP:127.0.0.1");
  Authority::Replace(*server_identity_, *ended);
  ASSERT_TRUE(ConnectUntil([&] { return Reloads("failed") == 1; }));
  EXPECT_EQ(SeenSerial(), SerialOf(*server_identity_));

  std::ofstream(server_identity_->cert_file) << "no PEM";
  ASSERT_TRUE(ConnectUntil([&] { return Reloads("failed") == 2; }));
  std::filesystem::remove(server_identity_->cert_file);
  ASSERT_TRUE(ConnectUntil([&] { return Reloads("failed") == 3; }));
  EXPECT_EQ(SeenSerial(), SerialOf(*server_identity_));
}

TEST_F(TlsTest, AChainOutOfOrderLeavesTheOldOneInPlace) {
  StartTls(/*with_client_ca=*/false);
  const auto next = authority_.Issue("next", "IP:127.0.0.1");
  const auto stray = authority_.Issue("stray", "DNS:x");
  const std::string chain = TextOf(next->cert_file) + TextOf(stray->cert_file);
  std::ofstream(next->cert_file) << chain;
  Authority::Replace(*server_identity_, *next);
  ASSERT_TRUE(ConnectUntil([&] { return ReloadFails() == 1; }));
  EXPECT_EQ(SeenSerial(), SerialOf(*server_identity_));

  const std::string good =
      chain.substr(0, chain.find("-----END")) +
      chain.substr(chain.find("-----END"),
                   chain.find("-----BEGIN", 1) - chain.find("-----END")) +
      TextOf(authority_.ca_file());
  std::ofstream(server_identity_->cert_file) << good;
  ASSERT_TRUE(ConnectUntil([&] { return ReloadFails() == 0; }));
  EXPECT_EQ(SeenSerial(), SerialOf(*next));
}

TEST_F(TlsTest, ABadSetIsSeenWhenMetricsAreCollected) {
  StartTls(/*with_client_ca=*/false);
  std::ofstream(server_identity_->key_file) << "no PEM";
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (ReloadFails() == 0 && absl::Now() < deadline) {
    metrics_.Expose();
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_EQ(ReloadFails(), 1);
}

TEST_F(TlsTest, AClientPresentsItsNewCertificate) {
  std::atomic<int> seen = 0;
  StartTls(/*with_client_ca=*/true,
           [&seen](Request request) -> asio::awaitable<Response> {
             seen = request.peer.san_dns.front() == "new.example" ? 2 : 1;
             co_return TextResponse(200, "known");
           });
  const auto identity = authority_.Issue("client", "DNS:old.example");
  ClientTls tls = Trusting();
  tls.cert_file = identity->cert_file;
  tls.key_file = identity->key_file;
  // Each request on a connection of its own.
  ASSERT_THAT(Ask(tls, "127.0.0.1", "", absl::Milliseconds(1)), IsOk());
  EXPECT_EQ(seen, 1);
  Authority::Replace(*identity, *authority_.Issue("new", "DNS:new.example"));
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (seen == 1 && absl::Now() < deadline) {
    ASSERT_THAT(Again(), IsOk());
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_EQ(seen, 2);
}

TEST_F(TlsTest, ARevokedCertificateIsRefusedAsSoonAsTheListSaysSo) {
  const auto one = authority_.Issue("one", "DNS:a.example");
  const auto other = authority_.Issue("other", "DNS:b.example");
  const std::string crl_file = authority_.Revoke({one.get()});
  StartTls(/*with_client_ca=*/true, Echo, crl_file);
  const auto with = [&](const Identity& identity) {
    ClientTls tls = Trusting();
    tls.cert_file = identity.cert_file;
    tls.key_file = identity.key_file;
    return Ask(tls);
  };
  EXPECT_THAT(with(*one), StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_THAT(with(*other), IsOk());
  const metrics::Gauge& expiry = metrics_.AddGauge(
      "insula_tls_crl_expiry_timestamp_seconds", "", {{"file", crl_file}});
  EXPECT_GT(expiry.Value(), absl::ToUnixSeconds(absl::Now()) + 3000);

  // A list that has ended is not taken for the one that is there, nor one that
  // is none, nor one that another CA has signed.
  int failed = 0;
  const auto is_not_taken = [&] {
    EXPECT_TRUE(ConnectUntil([&] { return Reloads("failed") > failed; }));
    EXPECT_EQ(ReloadFails(), 1);
    ++failed;
    EXPECT_THAT(with(*one), StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_THAT(with(*other), IsOk());
  };
  authority_.Revoke({}, -absl::Minutes(1));
  is_not_taken();
  std::ofstream(crl_file) << "no PEM";
  is_not_taken();
  Authority stranger;
  std::filesystem::copy_file(stranger.Revoke({}), crl_file,
                             std::filesystem::copy_options::overwrite_existing);
  is_not_taken();

  // Who is connected stays so.
  ASSERT_THAT(with(*other), IsOk());
  authority_.Revoke({one.get(), other.get()});
  ASSERT_TRUE(ConnectUntil([&] { return ReloadFails() == 0; }));
  EXPECT_THAT(Again(), IsOk());
  EXPECT_THAT(with(*other), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, AListOfRevokedCertificatesThatHasEndedLetsNobodyIn) {
  const auto one = authority_.Issue("one", "DNS:a.example");
  StartTls(/*with_client_ca=*/true, Echo,
           authority_.Revoke({}, -absl::Minutes(1)));
  ClientTls tls = Trusting();
  tls.cert_file = one->cert_file;
  tls.key_file = one->key_file;
  EXPECT_THAT(Ask(tls), StatusIs(absl::StatusCode::kUnavailable));
}

// Otherwise who has a session of another client would be taken for it.
TEST_F(TlsTest, ASessionOfOneClientIsNoneOfAnother) {
  const auto one = authority_.Issue("one", "DNS:a.example");
  const auto other = authority_.Issue("other", "DNS:b.example");
  const auto who = [](Request request) -> asio::awaitable<Response> {
    const auto& names = request.peer.san_dns;
    co_return TextResponse(200, names.empty() ? "nobody" : names[0]);
  };
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    StartTls(/*with_client_ca=*/true, who);
    const Visit first = VisitAs(*one, version);
    EXPECT_THAT(first.answer, HasSubstr("a.example"));
    const Visit second = VisitAs(*other, version, first.session.get());
    EXPECT_FALSE(second.resumed);
    EXPECT_THAT(second.answer, HasSubstr("b.example"));
    EXPECT_FALSE(VisitAs(*one, version, first.session.get()).resumed);
    // Without certificates there is nothing to mix up: this test can tell.
    StartTls(/*with_client_ca=*/false, who);
    const Visit plain = VisitAs(*one, version);
    EXPECT_THAT(plain.answer, HasSubstr("nobody"));
    EXPECT_TRUE(VisitAs(*one, version, plain.session.get()).resumed);
  }
}

TEST_F(TlsTest, EndsASlowHandshake) {
  ServerOptions options;
  ServerTls tls;
  tls.cert_file = server_identity_->cert_file;
  tls.key_file = server_identity_->key_file;
  options.tls = tls;
  options.header_timeout = absl::Milliseconds(50);
  Start(std::move(options), Echo);
  RawSocket silent(server_->port());
  EXPECT_TRUE(silent.AtEnd());
}

TEST_F(TlsTest, DrainEndsIdleConnections) {
  StartTls(/*with_client_ca=*/false);
  ASSERT_THAT(Ask(Trusting()), IsOk());
  server_->Drain(absl::InfiniteDuration());
}

TEST_F(TlsTest, StartNamesTheFileThatCannotBeUsed) {
  const auto other = authority_.Issue("other", "DNS:x");
  const auto start = [this](const std::string& cert, const std::string& key,
                            const std::string& ca) {
    ServerOptions options;
    ServerTls tls;
    tls.cert_file = cert;
    tls.key_file = key;
    tls.client_ca_file = ca;
    options.tls = tls;
    return Server::Start(std::move(options), pool_.get_executor(), Echo,
                         &metrics_)
        .status();
  };
  const std::string cert = server_identity_->cert_file;
  const std::string key = server_identity_->key_file;
  EXPECT_THAT(
      start("/nowhere.pem", key, ""),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/nowhere.pem")));
  EXPECT_THAT(
      start(cert, "/nowhere.key", ""),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/nowhere.key")));
  EXPECT_THAT(start(cert, other->key_file, ""),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      start(cert, key, "/nowhere.ca"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/nowhere.ca")));
}

}  // namespace
}  // namespace insula::http
