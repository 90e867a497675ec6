#include "libs/resources/object_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/resources/resource_file.h"
#include "libs/status/status_matchers.h"

namespace insula::resources {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<Resource> Read(absl::string_view yaml) {
  const auto file = ParseResourceFile(yaml, "t.yaml");
  EXPECT_THAT(file, IsOk());
  if (!file.ok()) return {};
  EXPECT_THAT(file->errors, IsEmpty());
  return file->resources;
}

std::vector<std::string> Verdict(const std::vector<Resource>& resources) {
  return CheckTogether(resources, [](const ObjectKey&) { return nullptr; });
}

constexpr char kStore[] =
    "kind: Upstream\nid: store\nspec: {write_url: http://127.0.0.1:1/w, "
    "isolation: LABEL}\n";

std::string Binding(absl::string_view id, char token) {
  return absl::StrCat("---\nkind: Binding\nid: ", id,
                      "\nspec: {tenant_ids: [red], roles: [READ], "
                      "token_sha256: ",
                      std::string(64, token), "}\n");
}

TEST(ObjectRulesTest, ObjectsMayBeGivenBeforeThoseThatTheyName) {
  EXPECT_THAT(Verdict(Read(absl::StrCat(
                  Binding("b", 'a'),
                  "---\nkind: Tenant\nid: red\nspec: {upstream_id: store, "
                  "enforced_labels: {a: b}}\n---\n",
                  kStore))),
              IsEmpty());
}

TEST(ObjectRulesTest, WhatIsNamedMustBeThere) {
  const auto resources =
      Read("kind: Tenant\nid: red\nspec: {limits_id: small}\n");
  EXPECT_THAT(
      Verdict(resources),
      ElementsAre("t.yaml:1: Tenant/red: spec.limits_id: there is no "
                  "Limits/small; make it first, or in the same request"));

  // It may be elsewhere.
  const v1::Object limits;
  EXPECT_THAT(CheckTogether(resources,
                            [&](const ObjectKey& key) {
                              return key.kind == v1::KIND_LIMITS ? &limits
                                                                 : nullptr;
                            }),
              IsEmpty());
}

TEST(ObjectRulesTest, ATokenIsOfOneBinding) {
  EXPECT_THAT(Verdict(Read(absl::StrCat(
                  "kind: Tenant\nid: red\nspec: {}\n", Binding("one", 'a'),
                  Binding("two", 'a'), Binding("three", 'b')))),
              ElementsAre("t.yaml:9: Binding/two: spec.token_sha256: "
                          "Binding/one has the same token; a token is of one "
                          "binding"));
}

TEST(ObjectRulesTest, AFactIsOfOneBindingWhateverNarrowsIt) {
  const auto binding = [](absl::string_view id, absl::string_view claim,
                          absl::string_view more) {
    return absl::StrCat("---\nkind: Binding\nid: ", id,
                        "\nspec: {tenant_ids: [red], roles: [READ], jwt: "
                        "{issuer: https://i, claim: ",
                        claim, ", value: ann", more, "}}\n");
  };
  EXPECT_THAT(
      Verdict(Read(absl::StrCat(
          "kind: Tenant\nid: red\nspec: {}\n", binding("one", "sub", ""),
          binding("two", "sub", ", required_claims: {org: red}"),
          binding("three", "email", "")))),
      ElementsAre(testing::AllOf(
          testing::HasSubstr("Binding/two: spec.jwt: Binding/one has the same "
                             "fact; a fact is of one binding"))));
}

// What is wrong with each of them is said by CheckObject().
TEST(ObjectRulesTest, BindingsWithoutAFactHaveNoneInCommon) {
  std::vector<Resource> resources =
      Read(absl::StrCat("kind: Tenant\nid: red\nspec: {}\n",
                        Binding("one", 'a'), Binding("two", 'b')));
  for (Resource& resource : resources) {
    if (resource.object.has_binding()) {
      resource.object.mutable_binding()->clear_fact();
    }
  }
  EXPECT_THAT(Verdict(resources), IsEmpty());
}

TEST(ObjectRulesTest, AnObjectIsGivenOnce) {
  std::vector<Resource> resources = Read("kind: Tenant\nid: red\nspec: {}\n");
  resources.push_back(resources[0]);
  resources.back().where = "u.yaml:5";
  EXPECT_THAT(Verdict(resources),
              ElementsAre("u.yaml:5: Tenant/red: is given at t.yaml:1 already; "
                          "keep one"));
}

TEST(ObjectRulesTest, ATenantOfALabelStoreNeedsLabels) {
  EXPECT_THAT(
      Verdict(Read(absl::StrCat(
          kStore, "---\nkind: Tenant\nid: red\nspec: {upstream_id: store}\n"))),
      ElementsAre("t.yaml:5: Tenant/red: spec.enforced_labels: is empty, but "
                  "Upstream/store tells tenants apart by labels; give at least "
                  "one"));
}

TEST(ObjectRulesTest, ATenantThatIsNotThereCantBeDeleted) {
  const auto resources =
      Read("kind: Tenant\nid: red\nspec: {state: DELETING}\n");
  EXPECT_THAT(Verdict(resources),
              ElementsAre("t.yaml:1: Tenant/red: spec.state: there is no such "
                          "tenant that could be deleted; leave it out"));
  EXPECT_THAT(
      CheckTogether(resources,
                    [&](const ObjectKey&) { return &resources[0].object; }),
      IsEmpty());
}

}  // namespace
}  // namespace insula::resources
