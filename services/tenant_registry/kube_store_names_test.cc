#include "services/tenant_registry/kube_store_names.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "services/tenant_registry/planner.h"
#include "services/tenant_registry/retired.h"

namespace insula::tenant_registry {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class NameInStoresTest : public testing::Test {
 protected:
  // As a Policy makes it.
  static v1::Object Wanted(const std::string& id,
                           const std::string& label = "team") {
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_TENANT);
    object.mutable_meta()->set_id(id);
    object.mutable_tenant()->set_upstream_id("store");
    if (!label.empty()) {
      (*object.mutable_tenant()->mutable_enforced_labels())[label] = id;
    }
    return object;
  }
  static v1::Object Reading(const std::string& label,
                            const std::string& value) {
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_ACCESS);
    object.mutable_meta()->set_id("ns/access");
    (*object.mutable_access()->mutable_label_selectors())[label] = value;
    return object;
  }

  // What Plan() wants next.
  std::map<std::string, int> Plan(
      std::vector<v1::Object> wanted,
      const std::set<std::string>& made_again = {}) {
    wanted_ = std::move(wanted);
    return NameInStores(
        present_, made_again,
        [this](const StoreIdentity& identity, const std::string& uid) {
          bool is = false;
          retired_.ForEachOverlap(
              identity, [&](const StoreIdentity&, const FormerTenant& former) {
                is = is || former.uid != uid;
              });
          return is;
        },
        &wanted_);
  }
  // Makes the registry so, as it does.
  void Commit() {
    for (const ObjectPtr& tenant : present_.tenants) {
      FormerTenant former;
      former.id = tenant->meta().id();
      former.uid = tenant->meta().uid();
      const auto same = std::find_if(
          wanted_.begin(), wanted_.end(), [&](const v1::Object& object) {
            return object.meta().id() == former.id && object.has_tenant();
          });
      std::set<StoreIdentity> kept;
      if (same != wanted_.end()) kept = FootprintOf(*same);
      for (const StoreIdentity& identity : FootprintOf(*tenant)) {
        if (!kept.contains(identity)) retired_.Take({identity, former});
      }
    }
    std::vector<ObjectPtr> next;
    for (v1::Object object : wanted_) {
      if (!object.has_tenant()) continue;
      object.mutable_meta()->set_source(kKubernetesSource);
      object.mutable_meta()->set_uid(object.meta().id());
      next.push_back(std::make_shared<const v1::Object>(std::move(object)));
    }
    present_.tenants = std::move(next);
  }
  void Add(v1::Object object, const std::string& source) {
    object.mutable_meta()->set_source(source);
    object.mutable_meta()->set_uid("uid");
    present_.tenants.push_back(
        std::make_shared<const v1::Object>(std::move(object)));
  }
  const v1::Tenant& Named(size_t i) const { return wanted_[i].tenant(); }
  std::string Team(size_t i) const {
    return Named(i).enforced_labels().at("team");
  }

  KubePresent present_;
  RetiredIdentities retired_;
  std::vector<v1::Object> wanted_;
};

TEST_F(NameInStoresTest, ATenantHasItsIdAndThenANumber) {
  EXPECT_THAT(Plan({Wanted("red")}), IsEmpty());
  EXPECT_EQ(Team(0), "red");
  EXPECT_EQ(Named(0).org_id(), "");
  Commit();
  EXPECT_THAT(Plan({Wanted("red")}), IsEmpty());
  Commit();
  for (int number = 2; number < 5; ++number) {
    EXPECT_THAT(Plan({}), IsEmpty());
    Commit();
    EXPECT_THAT(Plan({Wanted("red"), Wanted("blue")}),
                UnorderedElementsAre(Pair("red", number)));
    EXPECT_EQ(Team(0), "red~" + std::to_string(number));
    EXPECT_EQ(Named(0).org_id(), "red!" + std::to_string(number));
    wanted_.pop_back();
    Commit();
    // It keeps it.
    EXPECT_THAT(Plan({Wanted("red")}),
                UnorderedElementsAre(Pair("red", number)));
    EXPECT_EQ(Team(0), "red~" + std::to_string(number));
    Commit();
  }
}

TEST_F(NameInStoresTest, OneThatWasNeverSeenToBeAwayGetsTheNext) {
  Plan({Wanted("red")});
  Commit();
  EXPECT_THAT(Plan({Wanted("red")}, {"red"}),
              UnorderedElementsAre(Pair("red", 2)));
  Commit();
  EXPECT_THAT(Plan({Wanted("red")}, {"red"}),
              UnorderedElementsAre(Pair("red", 3)));
}

TEST_F(NameInStoresTest, OneThatIsBeingDeletedIsNotTakenUp) {
  v1::Object red = Wanted("red");
  red.mutable_tenant()->set_state(v1::Tenant::STATE_DELETING);
  Add(red, kKubernetesSource);
  EXPECT_THAT(Plan({Wanted("red")}), UnorderedElementsAre(Pair("red", 2)));
}

TEST_F(NameInStoresTest, NamesAreNoIdsAndNoNamesOfOthers) {
  Plan({Wanted("red", "")});
  Commit();
  Plan({});
  Commit();
  // "red!2" is somebody's id.
  EXPECT_THAT(Plan({Wanted("red", ""), Wanted("red!2", "")}),
              UnorderedElementsAre(Pair("red", 3)));
  Add(Wanted("red!3", ""), "api");
  EXPECT_THAT(Plan({Wanted("red", "")}), UnorderedElementsAre(Pair("red", 2)));
  Commit();
  // And the other way around: the id came after the name.
  EXPECT_THAT(Plan({Wanted("red", ""), Wanted("red!2", "")}),
              UnorderedElementsAre(Pair("red", 2), Pair("red!2", 2)));
  EXPECT_EQ(Named(0).org_id(), "red!2");
  EXPECT_EQ(Named(1).org_id(), "red!2!2");
}

TEST_F(NameInStoresTest, WhatATenantHasStaysWhoeverElseHadIt) {
  Plan({Wanted("red")});
  Commit();
  FormerTenant other;
  other.id = "other";
  other.uid = "another uid";
  for (const StoreIdentity& identity : FootprintOf(Wanted("red"))) {
    retired_.Take({identity, other});
  }
  EXPECT_THAT(Plan({Wanted("red")}), IsEmpty());
}

TEST_F(NameInStoresTest, ANewLabelOfAPolicyKeepsTheNumber) {
  Plan({Wanted("red")});
  Commit();
  Plan({});
  Commit();
  Plan({Wanted("red")});
  Commit();
  EXPECT_THAT(Plan({Wanted("red", "tenant")}),
              UnorderedElementsAre(Pair("red", 2)));
  EXPECT_EQ(Named(0).enforced_labels().at("tenant"), "red~2");
}

TEST_F(NameInStoresTest, WithoutAStoreNothingIsLeft) {
  v1::Object red = Wanted("red");
  red.mutable_tenant()->clear_upstream_id();
  Plan({red});
  Commit();
  Plan({});
  Commit();
  EXPECT_THAT(Plan({red}), IsEmpty());
  EXPECT_THAT(Plan({Wanted("red")}), IsEmpty());
}

TEST_F(NameInStoresTest, AccessesFollow) {
  Plan({Wanted("red")});
  Commit();
  Plan({});
  Commit();
  Plan({Wanted("red"), Wanted("blue"), Reading("team", "red"),
        Reading("team", "blue"), Reading("job", "red")});
  const auto selector = [this](size_t i) {
    return wanted_[i].access().label_selectors().begin()->second;
  };
  EXPECT_EQ(selector(2), "red~2");
  EXPECT_EQ(selector(3), "blue");
  EXPECT_EQ(selector(4), "red");
}

TEST_F(NameInStoresTest, ALongIdMakesRoom) {
  const std::string id(150, 'x');
  Plan({Wanted(id)});
  Commit();
  Plan({});
  Commit();
  EXPECT_THAT(Plan({Wanted(id)}), UnorderedElementsAre(Pair(id, 2)));
  EXPECT_EQ(Named(0).org_id(), std::string(148, 'x') + "!2");
  EXPECT_EQ(Team(0), id + "~2");
  Commit();
  EXPECT_THAT(Plan({Wanted(id)}), UnorderedElementsAre(Pair(id, 2)));
}

TEST(TellStoreNamesTest, SaysSoWhereTheTenantIsDeclared) {
  std::vector<KubeVerdict> verdicts(2);
  verdicts[0].tenant_ids = {"blue", "red"};
  verdicts[1].tenant_ids = {"blue"};
  for (KubeVerdict& verdict : verdicts) {
    verdict.conditions = {{"Accepted", "True", "Accepted", "yes"},
                          {"TenantReady", "True", "Ready", "ready"}};
  }
  TellStoreNames({{"red", 2}}, &verdicts);
  EXPECT_EQ(verdicts[0].conditions[0].message, "yes");
  EXPECT_EQ(verdicts[0].conditions[1].message,
            "ready; kept apart in the store from former tenants: red as red~2");
  EXPECT_EQ(verdicts[1].conditions[1].message, "ready");

  std::map<std::string, int> many;
  verdicts[0].tenant_ids.clear();
  for (int i = 0; i < 12; ++i) {
    const std::string id = "t" + std::to_string(100 + i);
    many[id] = 7;
    verdicts[0].tenant_ids.push_back(id);
  }
  TellStoreNames(many, &verdicts);
  EXPECT_THAT(verdicts[0].conditions[1].message,
              HasSubstr("t109 as t109~7, ..."));
}

}  // namespace
}  // namespace insula::tenant_registry
