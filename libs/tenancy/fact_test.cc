#include "libs/tenancy/fact.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"
#include "libs/tenancy/snapshot.h"

namespace insula::tenancy {
namespace {

using ::testing::HasSubstr;
using enum absl::StatusCode;

v1::Binding Parse(const std::string& text) {
  v1::Binding binding;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &binding))
      << text;
  return binding;
}

const std::string kDigest = std::string(32, 'd');

v1::Object BindingObject(const std::string& id, const std::string& fact) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_BINDING);
  object.mutable_meta()->set_id(id);
  *object.mutable_binding() =
      Parse(absl::StrCat(fact, " tenant_ids: 'red' roles: ROLE_READ"));
  return object;
}

// One of each kind, and such that differ in one part from another.
std::vector<std::string> Facts() {
  return {
      absl::StrCat("token_sha256: '", kDigest, "'"),
      absl::StrCat("api_key_sha256: '", kDigest, "'"),
      "jwt { issuer: 'https://a' claim: 'sub' value: 'ann' }",
      "jwt { issuer: 'https://a' claim: 'sub' value: 'bob' }",
      "jwt { issuer: 'https://a' claim: 'groups' value: 'ann' }",
      "jwt { issuer: 'https://b' claim: 'sub' value: 'ann' }",
      // The same text with its parts elsewhere.
      "jwt { issuer: 'https://as' claim: 'ub' value: 'ann' }",
      "jwt { issuer: 'https://a' claim: 'suba' value: 'nn' }",
      "keystone { auth_url: 'https://k' project_id: 'p' }",
      "keystone { auth_url: 'https://k' project_id: 'p' role: 'member' }",
      "keystone { auth_url: 'https://l' project_id: 'p' }",
      "keystone { auth_url: 'https://k' project_name: 'p' "
      "project_domain_id: 'd' }",
      "keystone { auth_url: 'https://k' project_name: 'p' "
      "project_domain_id: 'e' }",
      "kubernetes { user: 'system:serviceaccount:a:b' }",
      "kubernetes { group: 'system:serviceaccount:a:b' }",
      "kubernetes { cluster: 'c' user: 'system:serviceaccount:a:b' }",
      "certificate { uri: 'spiffe://a/b' }",
      "certificate { dns: 'a.example' }",
      "basic { user: 'ann' }",
      "basic { user: 'bob' }",
      "header { header: 'X-Tenant-Namespace' value: 'ann' }",
      "header { header: 'X-Tenant-Namespace' value: 'Ann' }",
      "header { header: 'X-Tenant' value: 'ann' }",
  };
}

TEST(FactTest, NoTwoFactsHaveOneKey) {
  const std::vector<std::string> facts = Facts();
  for (const std::string& one : facts) {
    for (const std::string& other : facts) {
      EXPECT_EQ(FactKeyOf(Parse(one)) == FactKeyOf(Parse(other)), one == other)
          << one << " and " << other;
    }
    EXPECT_FALSE(FactKeyOf(Parse(one)).empty()) << one;
    EXPECT_EQ(FactKeyOf(Parse(one)).fact_case(), Parse(one).fact_case());
  }
  EXPECT_TRUE(FactKeyOf(v1::Binding()).empty());
  EXPECT_TRUE(TokenKey("short").empty());
}

TEST(FactTest, WhatOnlyNarrowsAFactIsNoPartOfItsKey) {
  const auto same = [](const std::string& one, const std::string& other) {
    EXPECT_EQ(FactKeyOf(Parse(one)), FactKeyOf(Parse(other))) << one;
  };
  same("jwt { issuer: 'i' claim: 'c' value: 'v' }",
       "jwt { issuer: 'i' claim: 'c' value: 'v' "
       "required_claims { key: 'a' value: 'b' } }");
  same("kubernetes { user: 'u' }",
       "kubernetes { user: 'u' access { verb: 'get' resource: 'pods' } }");
  same("header { header: 'X-Tenant' value: 'a' }",
       "header { header: 'x-tenant' value: 'a' }");
  same("certificate { dns: 'A.Example' }", "certificate { dns: 'a.example' }");
}

// A token is chosen by whoever makes it: its hash must not stand for a fact of
// another method, whatever its text.
TEST(FactTest, ATokenIsNoOtherFact) {
  const FactKey jwt = JwtKey("https://a", "sub", "ann");
  EXPECT_FALSE(TokenKey(jwt.digest()) == jwt);
  EXPECT_FALSE(ApiKeyKey(kDigest) == TokenKey(kDigest));
  EXPECT_EQ(TokenKey(jwt.digest()).digest(), jwt.digest());
}

TEST(FactTest, ThePartsOfAFactMakeItsKey) {
  EXPECT_EQ(JwtKey("https://a", "sub", "ann"), FactKeyOf(Parse(Facts()[2])));
  EXPECT_EQ(KeystoneIdKey("https://k", "p", "member"),
            FactKeyOf(Parse(Facts()[9])));
  EXPECT_EQ(KeystoneNameKey("https://k", "d", "p", ""),
            FactKeyOf(Parse(Facts()[11])));
  EXPECT_EQ(KubernetesUserKey("", "system:serviceaccount:a:b"),
            FactKeyOf(Parse(Facts()[13])));
  EXPECT_EQ(KubernetesGroupKey("", "system:serviceaccount:a:b"),
            FactKeyOf(Parse(Facts()[14])));
  EXPECT_EQ(CertificateUriKey("spiffe://a/b"), FactKeyOf(Parse(Facts()[16])));
  EXPECT_EQ(CertificateDnsKey("a.example"), FactKeyOf(Parse(Facts()[17])));
  EXPECT_EQ(BasicKey("ann"), FactKeyOf(Parse(Facts()[18])));
  EXPECT_EQ(HeaderKey("x-tenant", "ann"), FactKeyOf(Parse(Facts()[22])));
}

TEST(FactTest, FactsHaveTheNamesOfTheirFields) {
  EXPECT_EQ(FactName(Parse(Facts()[0])), "token_sha256");
  EXPECT_EQ(FactName(Parse(Facts()[2])), "jwt");
  EXPECT_EQ(FactName(v1::Binding()), "");
}

// FIPS 180-2, B.1.
TEST(FactTest, DigestsAreSha256) {
  EXPECT_EQ(absl::BytesToHexString(Sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223"
            "b00361a396177a9cb410ff61f20015ad");
}

TEST(FactTest, ASnapshotFindsBindingsByTheirFactsAndKeepsThemWhole) {
  SnapshotBuilder builder{Snapshot()};
  std::vector<v1::Object> objects;
  for (const std::string& fact : Facts()) {
    objects.push_back(BindingObject(absl::StrCat("b", objects.size()), fact));
  }
  objects.push_back(BindingObject(
      "narrow",
      "jwt { issuer: 'i' claim: 'c' value: 'v' required_claims { key: 'a' "
      "value: 'b' } } claim_rule_id: 'rule' not_after { seconds: 1900000000 "
      "}"));
  for (const v1::Object& object : objects) {
    ASSERT_THAT(builder.Put(object), IsOk());
  }
  const auto snapshot = std::move(builder).Build(1, "epoch");
  for (const v1::Object& object : objects) {
    const Binding* const found =
        snapshot->FindBindingByFact(FactKeyOf(object.binding()));
    ASSERT_NE(found, nullptr) << object.meta().id();
    EXPECT_EQ(found->id, object.meta().id());
  }
  EXPECT_EQ(snapshot->FindBindingByFact(FactKey()), nullptr);
  EXPECT_EQ(snapshot->FindBindingByFact(JwtKey("https://a", "sub", "")),
            nullptr);

  size_t seen = 0;
  snapshot->ForEachObject([&](const v1::Object& saved) {
    for (const v1::Object& object : objects) {
      if (object.meta().id() != saved.meta().id()) continue;
      ++seen;
      EXPECT_EQ(saved.binding().ShortDebugString(),
                object.binding().ShortDebugString());
    }
  });
  EXPECT_EQ(seen, objects.size());
}

TEST(FactTest, ABindingThatChangesItsFactIsKnownByTheNewOneOnly) {
  SnapshotBuilder first{Snapshot()};
  ASSERT_THAT(first.Put(BindingObject("b", Facts()[2])), IsOk());
  const auto before = std::move(first).Build(1, "epoch");
  SnapshotBuilder second(*before);
  ASSERT_THAT(second.Put(BindingObject("b", Facts()[0])), IsOk());
  const auto after = std::move(second).Build(2, "epoch");
  const FactKey old = FactKeyOf(Parse(Facts()[2]));
  EXPECT_NE(before->FindBindingByFact(old), nullptr);
  EXPECT_EQ(after->FindBindingByFact(old), nullptr);
  EXPECT_NE(after->FindBindingByToken(kDigest), nullptr);
}

struct Bad {
  std::string fact;
  std::string error;
};

TEST(FactTest, WhatCanNotBeProvenIsRefused) {
  const std::string jwt = "jwt { issuer: 'i' claim: 'c' value: 'v' ";
  std::string many = jwt;
  for (int i = 0; i < 9; ++i) {
    absl::StrAppend(&many, "required_claims { key: '", i, "' value: 'x' } ");
  }
  for (const Bad& bad : std::vector<Bad>{
           {"", "spec.token_sha256: must be set"},
           {"api_key_sha256: 'x'", "spec.api_key_sha256: has 1 bytes"},
           {"jwt {}", "spec.jwt.issuer: must be set"},
           {"jwt { issuer: 'i' }", "spec.jwt.claim: must be set"},
           {"jwt { issuer: 'i' claim: 'c' }", "spec.jwt.value: must be set"},
           {"jwt { issuer: 'i' claim: 'c' value: '" + std::string(1025, 'x') +
                "' }",
            "spec.jwt.value: has 1025 bytes"},
           {"jwt { issuer: 'i\\n' claim: 'c' value: 'v' }",
            "spec.jwt.issuer: must not have control"},
           {many + "}", "spec.jwt.required_claims: has 9 claims, may have 8"},
           {jwt + "required_claims { key: 'a' value: '' } }",
            "spec.jwt.required_claims[a]: must be set"},
           {"keystone { project_id: 'p' }", "spec.keystone.auth_url: must be"},
           {"keystone { auth_url: 'u' }",
            "spec.keystone.project_id: must be set, or "
            "spec.keystone.project_name"},
           {"keystone { auth_url: 'u' project_id: 'p' project_name: 'n' "
            "project_domain_id: 'd' }",
            "and not both"},
           {"keystone { auth_url: 'u' project_name: 'n' }",
            "spec.keystone.project_domain_id: must be set with project_name"},
           {"keystone { auth_url: 'u' project_id: 'p' project_domain_id: 'd' }",
            "spec.keystone.project_domain_id: "},
           {"kubernetes {}", "spec.kubernetes.user: must be set, or"},
           {"kubernetes { user: 'u' group: 'g' }", "and not both"},
           {"kubernetes { user: 'u' access { resource: 'pods' } }",
            "spec.kubernetes.access.verb: must be set"},
           {"kubernetes { user: 'u' access { verb: 'get' } }",
            "spec.kubernetes.access.resource: must be set"},
           {"certificate {}", "spec.certificate.uri: must be set, or"},
           {"certificate { uri: 'u' dns: 'd' }", "and not both"},
           {"certificate { dns: '*.example' }",
            "spec.certificate.dns: must be one name"},
           {"basic {}", "spec.basic.user: must be set"},
           {"basic { user: 'a:b' }", "spec.basic.user: must be without ':'"},
           {"basic { user: 'a' bcrypt_hash: 'hunter2' }",
            "spec.basic.bcrypt_hash: must be empty"},
           {"header { value: 'v' }", "spec.header.header: must be set"},
           {"header { header: 'a b' value: 'v' }", "'a b' must be a header"},
           {"header { header: 'X_Tenant' value: 'v' }", "must be a header"},
           {"header { header: 'X-Tenant' }", "spec.header.value: must be set"},
       }) {
    const absl::Status status = CheckObject(BindingObject("b", bad.fact));
    EXPECT_THAT(status, StatusIs(kInvalidArgument, HasSubstr(bad.error)))
        << bad.fact;
    EXPECT_THAT(std::string(status.message()),
                testing::Not(HasSubstr("hunter2")));
  }
}

}  // namespace
}  // namespace insula::tenancy
