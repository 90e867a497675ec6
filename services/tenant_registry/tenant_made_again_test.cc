// A tenant does not come to the series of a former one.
#include <functional>

#include "absl/strings/escaping.h"
#include "services/tenant_registry/registry_fixture.h"

namespace insula::tenant_registry {
namespace {

using testing::AllOf;
using testing::Eq;
using testing::HasSubstr;

constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;

class TenantMadeAgainTest : public RegistryTest {
 protected:
  TenantMadeAgainTest() {
    Start();
    EXPECT_THAT(
        Apply({Put(UpstreamObject("apart")),
               Put(UpstreamObject("shared", v1::Upstream::ISOLATION_LABEL))}),
        IsOk());
  }

  // A tenant by its labels, in one store with others.
  static v1::Object Labelled(absl::string_view id, const std::string& team) {
    v1::Object object = TenantObject(id, "shared");
    (*object.mutable_tenant()->mutable_enforced_labels())["team"] = team;
    return object;
  }
  static v1::Object Named(absl::string_view id, const std::string& org_id) {
    v1::Object object = TenantObject(id, "apart");
    object.mutable_tenant()->set_org_id(org_id);
    return object;
  }
  static v1::Object Heir(v1::Object object, const std::string& uid) {
    object.mutable_tenant()->add_inherits_uids(uid);
    return object;
  }
  static v1::Object InState(v1::Object object, v1::Tenant::State state) {
    object.mutable_tenant()->set_state(state);
    return object;
  }
  // In hexadecimal.
  std::string UidOf(absl::string_view id) {
    const auto tenant = Get(v1::KIND_TENANT, id);
    EXPECT_THAT(tenant, IsOk());
    return tenant.ok() ? absl::BytesToHexString(tenant->meta().uid()) : "";
  }
  std::string MakeAndDelete(const v1::Object& tenant) {
    EXPECT_THAT(Apply({Put(tenant)}), IsOk());
    const std::string uid = UidOf(tenant.meta().id());
    EXPECT_THAT(Apply({Delete(v1::KIND_TENANT, tenant.meta().id())}), IsOk());
    return uid;
  }
  void Restart() {
    Stop();
    Start();
  }
  void Tick() {
    asio::co_spawn(pool_, registry_->Tick(), asio::use_future).get();
  }
  void Maintain() {
    asio::co_spawn(pool_, registry_->Maintain(), asio::use_future).get();
  }
};

TEST_F(TenantMadeAgainTest, FindsNothingUnderAnOrgId) {
  const std::string uid = MakeAndDelete(TenantObject("red", "apart"));
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}),
              StatusIs(kPrecondition,
                       AllOf(HasSubstr("Tenant/red: spec.org_id 'red' finds"),
                             HasSubstr("the former tenant 'red' (uid " + uid),
                             HasSubstr("until 2026-09-21T"),
                             HasSubstr("inherits_uids: [\"" + uid + "\"]"))));
  // To see it is enough to ask.
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}, "", true),
              StatusIs(kPrecondition));
  // Nor does anybody else.
  EXPECT_THAT(Apply({Put(Named("blue", "red"))}), StatusIs(kPrecondition));
  EXPECT_THAT(Apply({Put(Named("red", "red-2"))}), IsOk());
  // Nor later.
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}),
              StatusIs(kPrecondition));
}

TEST_F(TenantMadeAgainTest, FindsNothingUnderLabels) {
  MakeAndDelete(Labelled("red", "r"));
  EXPECT_THAT(Apply({Put(Labelled("red", "r"))}),
              StatusIs(kPrecondition,
                       HasSubstr("spec.enforced_labels {team=\"r\"} finds")));
  v1::Object narrower = Labelled("red", "r");
  (*narrower.mutable_tenant()->mutable_enforced_labels())["zone"] = "1";
  EXPECT_THAT(Apply({Put(narrower)}), StatusIs(kPrecondition));
  EXPECT_THAT(Apply({Put(Labelled("red", "r2"))}), IsOk());
  EXPECT_THAT(Apply({Put(Labelled("blue", "b"))}), IsOk());
  EXPECT_THAT(Apply({Put(Labelled("blue", "r"))}), StatusIs(kPrecondition));
}

TEST_F(TenantMadeAgainTest, WithoutAStoreThereIsNothingToFind) {
  MakeAndDelete(TenantObject("red"));
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}), IsOk());
  // But what came before the store was taken away is there.
  EXPECT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  EXPECT_THAT(Apply({Delete(v1::KIND_TENANT, "red")}), IsOk());
  EXPECT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}),
              StatusIs(kPrecondition));
}

TEST_F(TenantMadeAgainTest, WhatATenantLeavesIsItsOwn) {
  EXPECT_THAT(Apply({Put(Named("red", "r1"))}), IsOk());
  EXPECT_THAT(Apply({Put(Named("red", "r2"))}), IsOk());
  EXPECT_THAT(Apply({Put(Named("blue", "r1"))}), StatusIs(kPrecondition));
  EXPECT_THAT(Apply({Put(Named("red", "r1"))}), IsOk());
  EXPECT_THAT(Apply({Put(Named("blue", "r2"))}), StatusIs(kPrecondition));
  // Also within one request, whatever the order.
  EXPECT_THAT(Apply({Put(Named("blue", "r1")), Put(Named("red", "r3"))}),
              StatusIs(kPrecondition));
  EXPECT_THAT(Apply({Delete(v1::KIND_TENANT, "red"), Put(Named("blue", "r1"))}),
              StatusIs(kPrecondition));
}

TEST_F(TenantMadeAgainTest, TwoThatShareAnIdentityGoOnAfterOneIsGone) {
  EXPECT_THAT(Apply({Put(Named("red", "one")), Put(Named("blue", "one"))}),
              IsOk());
  EXPECT_THAT(Apply({Delete(v1::KIND_TENANT, "red")}), IsOk());
  v1::Object blue = Named("blue", "one");
  blue.mutable_tenant()->set_display_name("Blue");
  EXPECT_THAT(Apply({Put(blue)}), IsOk());
  EXPECT_THAT(Apply({Put(Named("green", "one"))}), StatusIs(kPrecondition));
}

TEST_F(TenantMadeAgainTest, AnHeirTakesOverWhatItNames) {
  const std::string first = MakeAndDelete(TenantObject("red", "apart"));
  EXPECT_THAT(
      Apply({Put(Heir(TenantObject("red", "apart"), std::string(32, '0')))}),
      StatusIs(kPrecondition));
  EXPECT_THAT(Apply({Put(Heir(TenantObject("red", "apart"), first))}), IsOk());
  // It is said once; from then on they are its own.
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}), IsOk());
  const std::string second = UidOf("red");
  EXPECT_THAT(Apply({Delete(v1::KIND_TENANT, "red")}), IsOk());
  EXPECT_THAT(Apply({Put(Heir(TenantObject("red", "apart"), first))}),
              StatusIs(kPrecondition, HasSubstr(second)));
  EXPECT_THAT(Apply({Put(Heir(TenantObject("red", "apart"), second))}), IsOk());
}

TEST_F(TenantMadeAgainTest, AnotherNameOfATenantIsSaidInOneRequest) {
  EXPECT_THAT(Apply({Put(Named("red", "data"))}), IsOk());
  EXPECT_THAT(Apply({Delete(v1::KIND_TENANT, "red"),
                     Put(Heir(Named("crimson", "data"), UidOf("red")))}),
              IsOk());
  EXPECT_THAT(Apply({Put(Named("crimson", "data"))}), IsOk());
}

TEST_F(TenantMadeAgainTest, AnUpstreamDoesNotShowThemByItsIsolation) {
  // Known by both, since its upstream may have been another.
  v1::Object old = Labelled("red", "r");
  old.mutable_tenant()->set_org_id("old");
  MakeAndDelete(old);
  // By labels it is another one.
  v1::Object red = Labelled("red", "r2");
  red.mutable_tenant()->set_org_id("old");
  EXPECT_THAT(Apply({Put(red)}), IsOk());
  EXPECT_THAT(Apply({Put(UpstreamObject("shared"))}),
              StatusIs(kPrecondition, HasSubstr("Tenant/red: spec.org_id")));
  // Unless both change.
  red.mutable_tenant()->set_org_id("new");
  EXPECT_THAT(Apply({Put(UpstreamObject("shared")), Put(red)}), IsOk());
}

TEST_F(TenantMadeAgainTest, ARuleTargetDoesNotEither) {
  v1::Object target;
  target.mutable_meta()->set_kind(v1::KIND_RULE_TARGET);
  target.mutable_meta()->set_id("rules");
  target.mutable_rule_target()->set_type(v1::RuleTarget::TYPE_CORTEX);
  target.mutable_rule_target()->set_url("http://127.0.0.1:9");
  target.mutable_rule_target()->set_isolation(v1::Upstream::ISOLATION_LABEL);
  EXPECT_THAT(Apply({Put(target)}), IsOk());
  MakeAndDelete(TenantObject("red", "apart"));
  v1::Object red = Labelled("red", "r");
  red.mutable_tenant()->set_rule_target_id("rules");
  EXPECT_THAT(Apply({Put(red)}), IsOk());
  target.mutable_rule_target()->set_isolation(v1::Upstream::ISOLATION_HEADER);
  EXPECT_THAT(Apply({Put(target)}), StatusIs(kPrecondition));
}

TEST_F(TenantMadeAgainTest,
       TheEndOfItsGraceCountsAndATenantBroughtBackIsNoHeir) {
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}), IsOk());
  const v1::Object deleting =
      InState(TenantObject("red", "apart"), v1::Tenant::STATE_DELETING);
  EXPECT_THAT(Apply({Put(deleting)}), IsOk());
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}), IsOk());
  EXPECT_THAT(Apply({Put(deleting)}), IsOk());
  clock_.Advance(absl::Minutes(10));
  Tick();
  EXPECT_THAT(Get(v1::KIND_TENANT, "red"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}),
              StatusIs(kPrecondition));
}

TEST_F(TenantMadeAgainTest, IsRememberedOverARestart) {
  const std::string uid = MakeAndDelete(TenantObject("red", "apart"));
  MakeAndDelete(Labelled("blue", "b"));
  Restart();
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}),
              StatusIs(kPrecondition));
  EXPECT_THAT(Apply({Put(Labelled("green", "b"))}), StatusIs(kPrecondition));
  EXPECT_THAT(Apply({Put(Heir(TenantObject("red", "apart"), uid))}), IsOk());
  Restart();
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}), IsOk());
  EXPECT_THAT(Apply({Put(Labelled("green", "b"))}), StatusIs(kPrecondition));
}

TEST_F(TenantMadeAgainTest, IsForgottenInTheEnd) {
  options_.retire_identities_for = absl::Hours(24);
  Restart();
  MakeAndDelete(TenantObject("red", "apart"));
  clock_.Advance(absl::Hours(24));
  Maintain();
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}),
              StatusIs(kPrecondition));
  clock_.Advance(absl::Seconds(1));
  Maintain();
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}), IsOk());
  Restart();
  EXPECT_THAT(Apply({Delete(v1::KIND_TENANT, "red")}), IsOk());
}

TEST_F(TenantMadeAgainTest, OfTooManyTheOldestAreForgotten) {
  options_.max_retired_identities = 2;
  Restart();
  for (const char* id : {"red", "green", "blue"}) {
    MakeAndDelete(TenantObject(id, "apart"));
    clock_.Advance(absl::Seconds(1));
  }
  Maintain();
  EXPECT_THAT(registry_->metrics().retired_identities.Value(), Eq(2));
  EXPECT_THAT(registry_->metrics().retired_identities_lost.Value(), Eq(1));
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}), IsOk());
  EXPECT_THAT(Apply({Put(TenantObject("green", "apart"))}),
              StatusIs(kPrecondition));
}

TEST_F(TenantMadeAgainTest, WhoWantsNoMemoryHasNone) {
  options_.retire_identities_for = absl::ZeroDuration();
  Restart();
  MakeAndDelete(TenantObject("red", "apart"));
  EXPECT_THAT(Apply({Put(TenantObject("red", "apart"))}), IsOk());
  EXPECT_THAT(
      Apply({Delete(v1::KIND_TENANT, "red"), Put(Named("blue", "red"))}),
      IsOk());
  EXPECT_THAT(registry_->metrics().retired_identities.Value(), Eq(0));
}

}  // namespace
}  // namespace insula::tenant_registry
