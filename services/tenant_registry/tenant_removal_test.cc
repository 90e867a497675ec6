#include "services/tenant_registry/tenant_removal.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "libs/resources/references.h"

namespace insula::tenant_registry {
namespace {

using resources::ForEachReference;
using resources::Reference;
using testing::ElementsAre;
using testing::Eq;
using testing::SizeIs;

v1::Object Parse(const std::string& text) {
  v1::Object object;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &object))
      << text;
  return object;
}
v1::Object Binding(const std::string& id, const std::string& spec) {
  return Parse(absl::StrCat("meta { kind: KIND_BINDING id: '", id,
                            "' mod_revision: 3 } binding { ", spec, " }"));
}
// What is left without tenant `red`, as text; "nothing" for nothing.
std::string Left(const std::string& spec) {
  const auto left = WithoutTenant(Parse(spec), "red");
  return left.has_value() ? left->ShortDebugString() : "nothing";
}
std::string Text(const std::string& spec) {
  return Parse(spec).ShortDebugString();
}

TEST(WithoutTenantTest, ABindingLosesTheTenantOrGoes) {
  EXPECT_THAT(Left("binding { tenant_ids: 'red' tenant_ids: 'blue' }"),
              Eq(Text("binding { tenant_ids: 'blue' }")));
  EXPECT_THAT(Left("binding { tenant_ids: 'red' }"), Eq("nothing"));
}

TEST(WithoutTenantTest, AnAccessLosesItsSourceOrGoes) {
  EXPECT_THAT(Left("access { tenant_id: 'a' source_tenant_ids: 'red' "
                   "source_tenant_ids: 'b' }"),
              Eq(Text("access { tenant_id: 'a' source_tenant_ids: 'b' }")));
  EXPECT_THAT(Left("access { tenant_id: 'a' source_tenant_ids: 'red' }"),
              Eq("nothing"));
  EXPECT_THAT(Left("access { tenant_id: 'red' source_tenant_ids: 'b' }"),
              Eq("nothing"));
}

TEST(WithoutTenantTest, AClaimRuleLosesItsDefaultOrGoes) {
  EXPECT_THAT(Left("claim_rule { label: 'ns' default_tenant_id: 'red' }"),
              Eq(Text("claim_rule { label: 'ns' }")));
  EXPECT_THAT(Left("claim_rule { default_tenant_id: 'red' }"), Eq("nothing"));
}

TEST(WithoutTenantTest, AClaimRuleLosesOneOfSeveralDefaults) {
  EXPECT_THAT(Left("claim_rule { default_tenant_ids: 'a' default_tenant_ids: "
                   "'red' full_replication: true }"),
              Eq(Text("claim_rule { default_tenant_ids: 'a' full_replication: "
                      "true }")));
  EXPECT_THAT(Left("claim_rule { label: 'ns' default_tenant_ids: 'red' "
                   "full_replication: true }"),
              Eq(Text("claim_rule { label: 'ns' }")));
}

TEST(WithoutTenantTest, WhatARuleGaveToTheTenantIsRefusedAndNotTheDefaults) {
  EXPECT_THAT(
      Left("claim_rule { default_tenant_id: 'a' values { label: 'ns' "
           "tenant_ids { key: 'x' value: 'red' } } selections { selector: 'up' "
           "tenant_ids: 'red' } selections { selector: 'x' tenant_ids: 'red' "
           "tenant_ids: 'b' } }"),
      Eq(Text("claim_rule { default_tenant_id: 'a' values { label: 'ns' "
              "tenant_ids { key: 'x' value: '' } } selections { selector: 'up' "
              "} selections { selector: 'x' tenant_ids: 'b' } }")));
  EXPECT_THAT(Left("claim_rule { values { label: 'ns' tenant_ids { key: 'x' "
                   "value: 'red' } } selections { selector: 'up' tenant_ids: "
                   "'red' } }"),
              Eq("nothing"));
}

TEST(WithoutTenantTest, ARuleWhoseLabelsMightNameNobodyElseGoes) {
  EXPECT_THAT(Left("claim_rule { label: 'ns' allowed_tenant_ids: 'red' }"),
              Eq("nothing"));
  EXPECT_THAT(Left("claim_rule { label: 'ns' allowed_tenant_ids: 'red' "
                   "allowed_tenant_ids: 'a' }"),
              Eq(Text("claim_rule { label: 'ns' allowed_tenant_ids: 'a' }")));
}

TEST(WithoutTenantTest, AJobGoes) {
  EXPECT_THAT(Left("job { tenant_id: 'red' }"), Eq("nothing"));
}

class NextRemovalStepTest : public testing::Test {
 protected:
  void Put(const v1::Object& object) {
    objects_[KeyOf(object)] = std::make_shared<v1::Object>(object);
  }
  // Does what the steps say until the tenant is gone; how many operations each
  // of them had.
  std::vector<size_t> Remove(size_t limit) {
    std::vector<size_t> sizes;
    const ObjectKey red{v1::KIND_TENANT, "red"};
    while (sizes.size() < 100 && objects_.contains(red)) {
      const RemovalStep step = NextRemovalStep(
          objects_[red], [this](const ObjectKey& key) { return Of(key); },
          limit);
      sizes.push_back(step.operations.size());
      for (const v1::Operation& operation : step.operations) {
        EXPECT_THAT(operation.expected_mod_revision(), Eq(3));
        if (operation.has_put()) {
          Put(operation.put());
        } else {
          objects_.erase(KeyOf(operation.delete_()));
        }
      }
      // Nothing that is there refers to what is not.
      for (const auto& [key, object] : objects_) {
        ForEachReference(*object, [&](const Reference& reference) {
          EXPECT_TRUE(objects_.contains(reference.target()))
              << Name(key) << " " << reference.field_name();
        });
      }
      EXPECT_THAT(step.finished, Eq(!objects_.contains(red)));
    }
    return sizes;
  }
  std::vector<ObjectPtr> Of(const ObjectKey& target) {
    std::vector<ObjectPtr> found;
    for (const auto& [key, object] : objects_) {
      bool refers = false;
      ForEachReference(*object, [&](const Reference& reference) {
        refers = refers || reference.target() == target;
      });
      if (refers) found.push_back(object);
    }
    return found;
  }
  void SetUp() override {
    for (const char* id : {"red", "blue"}) {
      Put(Parse(absl::StrCat("meta { kind: KIND_TENANT id: '", id,
                             "' mod_revision: 3 } tenant {}")));
    }
  }

  std::map<ObjectKey, ObjectPtr> objects_;
};

TEST_F(NextRemovalStepTest, ATenantWithoutReferencesGoesAtOnce) {
  EXPECT_THAT(Remove(50), ElementsAre(1));
  EXPECT_THAT(objects_, SizeIs(1));
}

TEST_F(NextRemovalStepTest, ManyReferencesGoInSteps) {
  for (int i = 0; i < 120; ++i) {
    Put(Binding(absl::StrCat("b", i),
                i % 2 == 0 ? "tenant_ids: 'red'"
                           : "tenant_ids: 'red' tenant_ids: 'blue'"));
  }
  EXPECT_THAT(Remove(50), ElementsAre(50, 50, 21));
  EXPECT_THAT(objects_, SizeIs(61));
}

TEST_F(NextRemovalStepTest, ARuleGoesAfterTheBindingsThatUseIt) {
  Put(
      Parse("meta { kind: KIND_CLAIM_RULE id: 'r' mod_revision: 3 } claim_rule "
            "{ default_tenant_id: 'red' }"));
  // They would have lost their tenant, or have nothing to do with it.
  for (int i = 0; i < 70; ++i) {
    Put(Binding(absl::StrCat("b", i),
                i % 2 == 0 ? "tenant_ids: 'red' tenant_ids: 'blue' "
                             "claim_rule_id: 'r'"
                           : "tenant_ids: 'blue' claim_rule_id: 'r'"));
  }
  Put(Binding("other", "tenant_ids: 'blue'"));
  Remove(50);
  // A sender of that rule must not become one of blue.
  EXPECT_THAT(objects_, SizeIs(2));
  EXPECT_TRUE(objects_.contains({v1::KIND_BINDING, "other"}));
}

}  // namespace
}  // namespace insula::tenant_registry
