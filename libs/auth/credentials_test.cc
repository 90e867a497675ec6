#include "libs/auth/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"

namespace insula::auth {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using enum absl::StatusCode;

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// A listener that accepts everything.
ListenerAuth Everything() {
  ListenerAuth listener;
  listener.basic.password_file = "passwords";
  listener.client_certificate = true;
  listener.api_key_header = "X-API-Key";
  listener.keystone.auth_url = "https://keystone:5000/v3";
  return listener;
}

absl::StatusOr<std::optional<Credential>> Find(
    const HeaderList& fields, const ListenerAuth& listener = Everything(),
    const http::Peer& peer = {}) {
  http::Request request;
  for (const auto& [name, value] : fields) request.headers.Add(name, value);
  request.peer = peer;
  request.peer.address = "192.0.2.7";
  request.deadline = absl::FromUnixSeconds(7);
  return FindCredential(request, listener);
}

struct Good {
  HeaderList fields;
  std::string scheme;
  std::string text;
};

TEST(CredentialsTest, EachMethodHasItsPlace) {
  for (const Good& good : std::vector<Good>{
           {{{"Authorization", "Bearer secret"}}, "bearer", "secret"},
           {{{"authorization", "BEARER  secret"}}, "bearer", "secret"},
           {{{"Authorization", "basic YTpi"}}, "basic", "YTpi"},
           {{{"X-Auth-Token", "gAAAA"}}, "token", "gAAAA"},
           {{{"x-api-key", "k"}}, "api-key", "k"},
       }) {
    const auto found = Find(good.fields);
    ASSERT_THAT(found, IsOk());
    ASSERT_TRUE(found->has_value());
    EXPECT_EQ((*found)->scheme, good.scheme);
    EXPECT_EQ((*found)->text, good.text);
    EXPECT_EQ((*found)->peer_address, "192.0.2.7");
    EXPECT_EQ((*found)->deadline, absl::FromUnixSeconds(7));
  }
  http::Peer peer;
  peer.san_uris = {"spiffe://a/b"};
  const auto certificate = Find({}, Everything(), peer);
  ASSERT_THAT(certificate, IsOk());
  ASSERT_TRUE(certificate->has_value());
  EXPECT_EQ((*certificate)->scheme, "certificate");
}

TEST(CredentialsTest, ThereMayBeNone) {
  const auto none = Find({{"Accept", "*/*"}, {"X-Scope-OrgID", "red"}});
  ASSERT_THAT(none, IsOk());
  EXPECT_FALSE(none->has_value());
}

// Every two methods, in either order.
TEST(CredentialsTest, TwoAreNotOne) {
  const HeaderList fields = {{"Authorization", "Bearer secret"},
                             {"X-Auth-Token", "secret"},
                             {"X-API-Key", "secret"}};
  for (const auto& one : fields) {
    for (const auto& other : fields) {
      if (one == other) continue;
      EXPECT_THAT(
          Find({one, other}),
          StatusIs(kInvalidArgument,
                   AllOf(HasSubstr("2 credentials"), HasSubstr(one.first),
                         HasSubstr(other.first), Not(HasSubstr("secret")))));
    }
    http::Peer peer;
    peer.san_dns = {"a.example"};
    EXPECT_THAT(Find({one}, Everything(), peer),
                StatusIs(kInvalidArgument, HasSubstr("client certificate")));
  }
  EXPECT_THAT(Find({fields[0], {"Authorization", "Basic YTpi"}}),
              StatusIs(kInvalidArgument, HasSubstr("more than once")));
}

TEST(CredentialsTest, AHeaderComesOnceAndAsItIsSpelled) {
  for (const char* name : {"Authorization", "X-Auth-Token", "X-API-Key"}) {
    EXPECT_THAT(Find({{name, "Bearer a"}, {name, "Bearer a"}}),
                StatusIs(kInvalidArgument, HasSubstr("more than once")))
        << name;
  }
  for (const char* name :
       {"X_Auth_Token", "x-auth_token", "X_API-Key", "X_API_KEY"}) {
    EXPECT_THAT(Find({{name, "secret"}}),
                StatusIs(kInvalidArgument, HasSubstr("must be spelled")))
        << name;
  }
}

TEST(CredentialsTest, WhatAListenerDoesNotAcceptIsNotLookedAt) {
  ListenerAuth bearer;
  const auto found = Find({{"Authorization", "Bearer secret"},
                           {"X-Auth-Token", "x"},
                           {"X-Auth-Token", "y"},
                           {"X-API-Key", "z"}},
                          bearer);
  ASSERT_THAT(found, IsOk());
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->scheme, "bearer");
  // But Authorization is for us, whatever it holds.
  EXPECT_THAT(Find({{"Authorization", "Basic YTpi"}}, bearer),
              StatusIs(kUnauthenticated, HasSubstr("must be 'Bearer TOKEN'")));

  ListenerAuth key;
  key.bearer = false;
  key.api_key_header = "X-API-Key";
  const auto none = Find({{"Authorization", "Bearer secret"}}, key);
  ASSERT_THAT(none, IsOk());
  EXPECT_FALSE(none->has_value());

  http::Peer peer;
  peer.san_uris = {"spiffe://a/b"};
  const auto plain = Find({}, bearer, peer);
  ASSERT_THAT(plain, IsOk());
  EXPECT_FALSE(plain->has_value());
}

TEST(CredentialsTest, WhatIsNoCredentialIsRefused) {
  const std::string longest(8192, 'x');
  EXPECT_THAT(Find({{"X-API-Key", longest}}), IsOk());
  for (const HeaderList& fields : std::vector<HeaderList>{
           {{"Authorization", ""}},
           {{"Authorization", "Bearer"}},
           {{"Authorization", "Bearer "}},
           {{"Authorization", "Basic"}},
           {{"Authorization", "Basic a b"}},
           {{"Authorization", "Negotiate abc"}},
           {{"Authorization", "Bearertoken"}},
           {{"X-Auth-Token", ""}},
           {{"X-Auth-Token", "a b"}},
           {{"X-API-Key", longest + "x"}},
           {{"X-API-Key", "\xc3\xa4"}},
       }) {
    EXPECT_THAT(Find(fields), StatusIs(kUnauthenticated))
        << fields[0].first << ": " << fields[0].second;
  }
}

TEST(CredentialsTest, ATenantHeaderNamesOneTenant) {
  const auto read = [](const HeaderList& fields) {
    http::Headers headers;
    for (const auto& [name, value] : fields) headers.Add(name, value);
    return ReadTenantHeader(headers, "X-Tenant");
  };
  const auto red = read({{"x-tenant", "red"}});
  ASSERT_THAT(red, IsOk());
  EXPECT_EQ((*red)->value(), "red");
  EXPECT_FALSE(read({})->has_value());
  for (const HeaderList& fields :
       std::vector<HeaderList>{{{"X-Tenant", ""}},
                               {{"X-Tenant", "red,blue"}},
                               {{"X-Tenant", "red|blue"}},
                               {{"X-Tenant", "../red"}},
                               {{"X-Tenant", "red"}, {"X-Tenant", "red"}},
                               {{"X_Tenant", "red"}},
                               {{"X-Tenant", "red"}, {"x_tenant", "blue"}}}) {
    EXPECT_THAT(read(fields), StatusIs(kInvalidArgument));
  }
}

}  // namespace
}  // namespace insula::auth
