#include "libs/outbound/credential_config.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/config/config.h"
#include "libs/http/url.h"
#include "libs/status/status_matchers.h"

namespace insula::outbound {
namespace {

using testing::HasSubstr;

struct TestConfig {
  std::vector<CredentialConfig> credentials;
  void Describe(config::Fields& fields) {
    fields.AddList("credentials", credentials, "Credentials.");
  }
  absl::Status Validate() const {
    return ValidateCredentials("credentials", credentials);
  }
};

absl::StatusOr<TestConfig> Load(const std::string& yaml) {
  config::Sources sources;
  sources.service = "test";
  sources.yaml = absl::StrCat("credentials:\n", yaml);
  sources.yaml_name = "test.yaml";
  return config::Load<TestConfig>(sources);
}

TEST(CredentialConfigTest, TakesEachKind) {
  const auto config = Load(R"(
  - {url: https://a.example/, bearer_file: /a}
  - {url: https://b.example/, basic_user: u, basic_password_file: /p}
  - url: https://c.example/
    oauth2: {token_url: "https://idp/token", client_id: i,
             client_secret_file: /s, scopes: [w], endpoint_params: [audience=x]}
    headers: [{name: X-Api-Key, file: /k}]
  - {url: https://d.example/, tls_cert_file: /c, tls_key_file: /k}
)");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->credentials.size(), 4U);
  EXPECT_EQ(config->credentials[2].oauth2.Params().value()[0].second, "x");
  EXPECT_EQ(config->credentials[2].headers[0].name, "X-Api-Key");
}

TEST(CredentialConfigTest, AnErrorNamesTheKey) {
  for (const auto& [yaml, expected] :
       std::vector<std::pair<const char*, const char*>>{
           {"{bearer_file: /a}", "url: "},
           {"{url: \"https://a/?x=y\", bearer_file: /a}", "without a query"},
           {"{url: \"https://u:p@a/\", bearer_file: /a}", "user info"},
           {"{url: \"https://a/\"}", "has no credential"},
           {"{url: \"https://a/\", basic_user: u}", "basic_password_file"},
           {"{url: \"https://a/\", basic_user: \"u:v\", basic_password_file: "
            "/p}",
            "basic_user: must be without ':'"},
           {"{url: \"https://a/\", bearer_file: /a, basic_user: u, "
            "basic_password_file: /p}",
            "has several of"},
           {"{url: \"https://a/\", headers: [{name: \"X Y\", file: /k}]}",
            "headers[0].name: must be the name of a header"},
           {"{url: \"https://a/\", headers: [{name: authorization, file: /k}]}",
            "'authorization' is set otherwise"},
           {"{url: \"https://a/\", headers: [{name: Host, file: /k}]}",
            "'Host' is set otherwise"},
           {"{url: \"https://a/\", headers: [{name: X-A, file: /k}, {name: "
            "x-a, file: /l}]}",
            "is there twice"},
           {"{url: \"https://a/\", tls_cert_file: /c}", "tls_key_file"},
           {"{url: \"http://a/\", tls_ca_file: /c}", "must be https"},
           {"{url: \"https://a/\", oauth2: {client_id: i}}",
            "oauth2.token_url: must be set"},
           {"{url: \"https://a/\", oauth2: {token_url: \"http://idp/\", "
            "client_id: i, client_secret_file: /s}}",
            "oauth2.token_url: must be https"},
           {"{url: \"https://a/\", oauth2: {token_url: \"https://idp/\", "
            "client_id: i, client_secret_file: /s, endpoint_params: [x]}}",
            "must be NAME=VALUE"},
           {"{url: \"https://a/\", oauth2: {token_url: \"https://idp/\", "
            "client_id: i, client_secret_file: /s, endpoint_params: "
            "[scope=x]}}",
            "'scope' is set otherwise"},
       }) {
    EXPECT_THAT(Load(absl::StrCat("  - ", yaml, "\n")),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         testing::AllOf(HasSubstr("test.yaml:"),
                                        HasSubstr("credentials[0]."),
                                        HasSubstr(expected))))
        << yaml;
  }
}

TEST(CredentialConfigTest, AUrlHasOneCredentialAndAHostOneSetOfCertificates) {
  EXPECT_THAT(Load(R"(
  - {url: https://a.example, bearer_file: /a}
  - {url: "https://A.example:443/", bearer_file: /b}
)"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("credentials[1].url: is that of "
                                 "credentials[0]")));
  EXPECT_THAT(Load(R"(
  - {url: https://a.example/x, tls_ca_file: /a}
  - {url: https://a.example/y, tls_ca_file: /b}
)"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("connections to a host are shared")));
  EXPECT_THAT(Load(R"(
  - {url: https://a.example/x, tls_ca_file: /a}
  - {url: https://a.example/y, tls_ca_file: /a, bearer_file: /b}
  - {url: https://a.example/z, bearer_file: /b}
)"),
              IsOk());
}

TEST(CredentialConfigTest, AUrlCoversWhatLiesBelowIt) {
  const auto covers = [](const char* url, const char* at) {
    return Covers(http::Url::Parse(url).value(), http::Url::Parse(at).value());
  };
  EXPECT_TRUE(covers("https://a.example", "https://a.example/"));
  EXPECT_TRUE(covers("https://a.example/", "https://A.example:443/x?y=z"));
  EXPECT_TRUE(covers("https://a.example/x", "https://a.example/x"));
  EXPECT_TRUE(covers("https://a.example/x", "https://a.example/x?y"));
  EXPECT_TRUE(covers("https://a.example/x/", "https://a.example/x/y"));
  EXPECT_FALSE(covers("https://a.example/x", "https://a.example/xy"));
  EXPECT_FALSE(covers("https://a.example/x", "https://a.example/"));
  EXPECT_FALSE(covers("https://a.example/", "http://a.example/"));
  EXPECT_FALSE(covers("https://a.example/", "https://a.example:444/"));
  EXPECT_FALSE(covers("https://a.example/", "https://a.example.evil/"));
  EXPECT_FALSE(covers("https://a.example/", "https://b.a.example/"));
}

TEST(CredentialConfigTest, TheLongestPathCounts) {
  std::vector<CredentialConfig> credentials(3);
  credentials[0].url = "https://a.example/";
  credentials[1].url = "https://a.example/x/y";
  credentials[2].url = "https://a.example/x";
  const auto find = [&credentials](const char* url) {
    return FindCredential(credentials, http::Url::Parse(url).value());
  };
  EXPECT_EQ(find("https://a.example/z"), &credentials[0]);
  EXPECT_EQ(find("https://a.example/x/y/z"), &credentials[1]);
  EXPECT_EQ(find("https://a.example/x/z"), &credentials[2]);
  EXPECT_EQ(find("https://b.example/x"), nullptr);
}

}  // namespace
}  // namespace insula::outbound
