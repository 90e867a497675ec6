#include "libs/rpc/internal_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/status/status_matchers.h"

namespace insula::rpc {
namespace {

using ::testing::AllOf;
using ::testing::Eq;
using ::testing::HasSubstr;

struct TestConfig {
  InternalConfig internal;
  std::string listen_address = "127.0.0.1:9701";

  void Describe(config::Fields& fields) {
    internal.Describe(fields);
    fields.Add("listen_address", listen_address, "Where.");
  }
  absl::Status Validate() const {
    return internal.Validate({{"listen_address", listen_address}});
  }
};

absl::StatusOr<TestConfig> Load(
    const std::string& yaml,
    std::vector<std::pair<std::string, std::string>> flags = {}) {
  config::Sources sources;
  sources.service = "test";
  sources.yaml = yaml;
  sources.yaml_name = "test.yaml";
  sources.flags = std::move(flags);
  return config::Load<TestConfig>(sources);
}

constexpr char kTls[] = "internal: {cert_file: c, key_file: k, ca_file: a}\n";

TEST(InternalConfigTest, WithoutCertificatesSaysWhatToDo) {
  EXPECT_THAT(Load(""), StatusIs(absl::StatusCode::kInvalidArgument,
                                 AllOf(HasSubstr("internal.cert_file"),
                                       HasSubstr("tools/dev-ca"),
                                       HasSubstr("--insecure-internal"))));
}

TEST(InternalConfigTest, CertificatesAreForServersAndClients) {
  const auto config = Load(kTls);
  ASSERT_THAT(config, IsOk());
  EXPECT_THAT(config->internal.client()->cert_file, Eq("c"));
  metrics::Registry metrics;
  const ServerOptions server =
      config->internal.ServerAt("0.0.0.0:1", nullptr, &metrics, nullptr);
  EXPECT_THAT(server.tls->ca_file, Eq("a"));
  EXPECT_THAT(server.listen_address, Eq("0.0.0.0:1"));
}

TEST(InternalConfigTest, PlainTextStaysOnTheHost) {
  for (const char* inside : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1",
                             "[::1]:1", "unix:/run/insula.sock"}) {
    const auto config =
        Load("", {{"insecure-internal", "true"}, {"listen-address", inside}});
    ASSERT_THAT(config, IsOk()) << inside;
    EXPECT_FALSE(config->internal.client().has_value());
  }
  for (const char* outside :
       {"0.0.0.0:1", "[::]:1", ":1", "10.0.0.1:1", "128.0.0.1:1", "registry:1",
        "127.0.0.1.example.org:1", "localhost.example.org:1"}) {
    EXPECT_THAT(
        Load("", {{"insecure-internal", "true"}, {"listen-address", outside}}),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 AllOf(HasSubstr("listen_address"), HasSubstr("plain text"))))
        << outside;
  }
  EXPECT_THAT(Load(std::string(kTls) + "listen_address: 0.0.0.0:1"), IsOk());
}

TEST(InternalConfigTest, HalfACertificateIsNone) {
  EXPECT_THAT(Load("internal: {cert_file: c, key_file: k}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("belong together")));
  EXPECT_THAT(Load(kTls, {{"insecure-internal", "true"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("the one or the other")));
}

TEST(InternalConfigTest, AListOfRevokedCertificatesIsForBothEnds) {
  const auto config =
      Load("internal: {cert_file: c, key_file: k, ca_file: a, crl_file: r}\n");
  ASSERT_THAT(config, IsOk());
  EXPECT_THAT(config->internal.client()->crl_file, Eq("r"));
  metrics::Registry metrics;
  EXPECT_THAT(config->internal.ServerAt("0.0.0.0:1", nullptr, &metrics, nullptr)
                  .tls->crl_file,
              Eq("r"));
  EXPECT_THAT(Load("internal: {crl_file: r}\ninsecure_internal: true\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("internal.crl_file")));
}

TEST(InternalConfigTest, AdminsAreSpiffeIds) {
  EXPECT_THAT(Load("internal: {cert_file: c, key_file: k, ca_file: a, "
                   "admins: [jo]}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("internal.admins: 'jo' is no identity")));
}

}  // namespace
}  // namespace insula::rpc
