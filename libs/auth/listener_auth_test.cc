#include "libs/auth/listener_auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/auth/basic.h"
#include "libs/auth/keystone.h"
#include "libs/config/config.h"
#include "libs/status/status_matchers.h"

namespace insula::auth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using enum absl::StatusCode;

absl::StatusOr<ListenerAuth> Load(const std::string& yaml) {
  config::Sources sources;
  sources.service = "door";
  sources.yaml = yaml;
  sources.yaml_name = "door.yaml";
  return config::Load<ListenerAuth>(sources);
}

constexpr char kIssuer[] =
    "jwt:\n"
    "  - issuer: https://id.example/realm\n"
    "    audiences: [insula]\n";

TEST(ListenerAuthTest, ReadsEveryMethod) {
  const auto loaded = Load(absl::StrCat(
      kIssuer,
      "    jwks_url: https://id.example/keys\n"
      "    ca_file: ca.pem\n"
      "    algorithms: [ES256]\n"
      "    claims: [sub, realm_access.roles]\n"
      "    leeway: 5s\n"
      "    max_lifetime: 1h\n"
      "bearer: false\n"
      "api_key_header: X-API-Key\n"
      "basic: {password_file: passwords, realm: door}\n"
      "client_certificate: true\n"
      "keystone: {auth_url: https://keystone:5000/v3, ca_file: k.pem,\n"
      "  user_name: insula, user_domain: ops, project_name: service,\n"
      "  project_domain: other, password_file: p, accepted_roles: [member],\n"
      "  recheck_interval: 20s, timeout: 2s}\n"
      "trusted_header: X-Tenant-Namespace\n"
      "trusted_header_bound: true\n"
      "trusted_addresses: []\n"
      "trusted_names: ['spiffe://example/proxy']\n"));
  ASSERT_THAT(loaded, IsOk());
  ASSERT_EQ(loaded->jwt.size(), 1u);
  const JwtIssuerConfig& issuer = loaded->jwt[0];
  EXPECT_EQ(issuer.issuer, "https://id.example/realm");
  EXPECT_THAT(issuer.audiences, ElementsAre("insula"));
  EXPECT_EQ(issuer.jwks_url, "https://id.example/keys");
  EXPECT_THAT(issuer.algorithms, ElementsAre("ES256"));
  EXPECT_THAT(issuer.claims, ElementsAre("sub", "realm_access.roles"));
  EXPECT_EQ(issuer.leeway, absl::Seconds(5));
  EXPECT_EQ(issuer.max_lifetime, absl::Hours(1));
  EXPECT_FALSE(loaded->bearer);
  EXPECT_TRUE(loaded->AsksAboutBearer());
  EXPECT_EQ(loaded->basic.Options().passwords.file, "passwords");
  EXPECT_EQ(loaded->basic.Options().realm, "door");
  EXPECT_TRUE(loaded->client_certificate);
  EXPECT_EQ(loaded->api_key_header, "X-API-Key");
  const KeystoneOptions keystone = loaded->keystone.Options();
  EXPECT_EQ(keystone.url, "https://keystone:5000/v3");
  ASSERT_TRUE(keystone.tls.has_value());
  EXPECT_EQ(keystone.tls->ca_file, "k.pem");
  EXPECT_EQ(keystone.user_name, "insula");
  EXPECT_EQ(keystone.user_domain, "ops");
  EXPECT_EQ(keystone.project_name, "service");
  EXPECT_EQ(keystone.project_domain, "other");
  EXPECT_EQ(keystone.password_file, "p");
  EXPECT_THAT(keystone.accepted_roles, ElementsAre("member"));
  EXPECT_EQ(keystone.recheck_interval, absl::Seconds(20));
  EXPECT_EQ(keystone.timeout, absl::Seconds(2));
  EXPECT_EQ(loaded->TenantHeader(), "X-Scope-OrgID");
  EXPECT_THAT(loaded->trusted_names, ElementsAre("spiffe://example/proxy"));
}

TEST(ListenerAuthTest, TheTrustedHeaderNamesTenantsUnlessItIsBound) {
  ListenerAuth listener;
  EXPECT_EQ(listener.TenantHeader(), "X-Scope-OrgID");
  listener.trusted_header = "X-Tenant";
  EXPECT_EQ(listener.TenantHeader(), "X-Tenant");
  listener.trusted_header_bound = true;
  EXPECT_EQ(listener.TenantHeader(), "X-Scope-OrgID");
}

TEST(ListenerAuthTest, AnyMethodIsEnough) {
  for (const char* yaml :
       {"basic: {password_file: f}", "api_key_header: X-API-Key",
        "client_certificate: true", "trusted_header: X-Tenant",
        "keystone: {auth_url: 'https://k', user_name: i, password_file: f}",
        "kubernetes: {api_url: 'https://k', token_file: f}"}) {
    EXPECT_THAT(Load(absl::StrCat("bearer: false\n", yaml, "\n")), IsOk())
        << yaml;
  }
  EXPECT_THAT(Load(absl::StrCat("bearer: false\n", kIssuer)), IsOk());
  EXPECT_THAT(Load("bearer: false\n"),
              StatusIs(kInvalidArgument, HasSubstr("nobody could get in")));
}

TEST(ListenerAuthTest, NamesTheKeyOfWhatCanNotWork) {
  const std::pair<std::string, std::string> cases[] = {
      {"jwt: [{issuer: 'http://id.example', audiences: [a]}]",
       "jwt[0].issuer: "},
      {"jwt: [{issuer: 'https://id.example'}]", "jwt[0].audiences: must name"},
      {"jwt: [{issuer: 'https://id.example', audiences: ['']}]",
       "jwt[0].audiences: must name"},
      {absl::StrCat(kIssuer, "    algorithms: [HS256]\n"),
       "'HS256' must be RS256, PS256 or ES256"},
      {absl::StrCat(kIssuer, "    algorithms: [none]\n"), "'none' must be"},
      {absl::StrCat(kIssuer, "    algorithms: []\n"), "algorithms: must have"},
      {absl::StrCat(kIssuer, "    claims: []\n"), "claims: must have 1 to 8"},
      {absl::StrCat(kIssuer, "    claims: [sub, sub]\n"), "each once"},
      {absl::StrCat(kIssuer, "    leeway: 1h\n"), "leeway: must be at most"},
      {absl::StrCat(kIssuer, "    max_lifetime: 0s\n"), "max_lifetime: must"},
      {absl::StrCat(kIssuer, "  - issuer: https://id.example/realm\n",
                    "    audiences: [other]\n"),
       "is given twice"},
      {absl::StrCat(kIssuer,
                    "kubernetes: {api_url: 'https://k', token_file: f}\n"),
       "kubernetes.api_url: its tokens are JWTs too"},
      {"basic: {password_file: f, realm: 'a\"b'}", "basic.realm: must be"},
      {"keystone: {auth_url: 'http://keystone:5000', user_name: i, "
       "password_file: f}",
       "keystone.auth_url: must be an https URL"},
      {"keystone: {auth_url: 'http://localhost.evil', user_name: i, "
       "password_file: f}",
       "keystone.auth_url: must be an https URL"},
      {"keystone: {auth_url: 'https://k'}", "keystone.user_name: must name"},
      {"keystone: {auth_url: 'https://k', user_name: i}",
       "keystone.password_file: must name"},
      {"keystone: {auth_url: 'https://k', user_name: i, password_file: f, "
       "recheck_interval: 1h}",
       "keystone.recheck_interval: must be at most 5m"},
      {"keystone: {auth_url: 'https://k', user_name: i, password_file: f, "
       "timeout: 1h}",
       "keystone.timeout: must be above 0"},
      {"kubernetes: {api_url: 'https://k', token_file: f, audiences: ['']}",
       "kubernetes.audiences: must not be"},
      {"kubernetes: {api_url: 'https://k'}", "kubernetes.token_file: must be"},
      {"kubernetes: {api_url: 'https://k', token_file: f, cache_ttl: 1h}",
       "kubernetes.cache_ttl: must be above 0"},
      {"api_key_header: Authorization", "has a meaning of its own"},
      {"api_key_header: X-Auth-Token", "has a meaning of its own"},
      {"api_key_header: X_Key", "must be a header name"},
      {"api_key_header: x-scope-orgid", "names the tenant"},
      {"trusted_header_bound: true", "trusted_header_bound: needs"},
      {"{trusted_header: x-scope-orgid, trusted_header_bound: true}",
       "names tenants themselves"},
      {"{trusted_header: X-Tenant, trusted_addresses: []}",
       "trusted_addresses: must name the proxies"},
      {"{trusted_header: X-Tenant, trusted_addresses: ['0.0.0.0/0']}",
       "trusted_addresses: "},
      {"{trusted_header: X-Tenant, trusted_names: ['']}",
       "trusted_names: must not be empty"},
  };
  for (const auto& [yaml, what] : cases) {
    EXPECT_THAT(Load(yaml), StatusIs(kInvalidArgument, HasSubstr(what)))
        << yaml;
  }
}

}  // namespace
}  // namespace insula::auth
