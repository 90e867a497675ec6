#include "services/rule_sync/desired.h"

#include <gmock/gmock.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "libs/rules/group.h"
#include "libs/status/status_matchers.h"

namespace insula::rule_sync {
namespace {

namespace v1 = ::insula::registry::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr char kRule[] =
    "groups:\n- name: g\n  rules: [{record: a, expr: sum(up)}]\n";

std::string UidOf(const std::string& id) {
  std::string uid = id;
  uid.resize(16, '.');
  return uid;
}

class DesiredTest : public testing::Test {
 protected:
  DesiredTest() {
    options_.rulers_dialect = rules::kPrometheus3;
    PutTarget("main", v1::RuleTarget::TYPE_PROMETHEUS,
              v1::Upstream::ISOLATION_LABEL);
    PutTarget("ruler", v1::RuleTarget::TYPE_CORTEX,
              v1::Upstream::ISOLATION_HEADER);
    PutTarget("shared", v1::RuleTarget::TYPE_CORTEX,
              v1::Upstream::ISOLATION_LABEL);
  }

  void PutTarget(const std::string& id, v1::RuleTarget::Type type,
                 v1::Upstream::Isolation isolation) {
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_RULE_TARGET);
    object.mutable_meta()->set_id(id);
    object.mutable_rule_target()->set_type(type);
    object.mutable_rule_target()->set_url("http://127.0.0.1:9/" + id + "/");
    object.mutable_rule_target()->set_isolation(isolation);
    objects_[id] = object;
  }
  v1::Tenant& PutTenant(const std::string& id, const std::string& target) {
    v1::Object& object = objects_["tenant " + id];
    object.mutable_meta()->set_kind(v1::KIND_TENANT);
    object.mutable_meta()->set_id(id);
    object.mutable_meta()->set_uid(UidOf(id));
    object.mutable_tenant()->set_rule_target_id(target);
    (*object.mutable_tenant()->mutable_enforced_labels())["namespace"] = id;
    return *object.mutable_tenant();
  }
  void PutFile(const std::string& tenant, const std::string& stem,
               const std::string& text) {
    view_.tenants[tenant].uid = UidOf(tenant);
    view_.tenants[tenant].files.push_back(
        {stem + ".yaml", stem, std::make_shared<const std::string>(text), ""});
  }

  std::shared_ptr<const tenancy::Snapshot> Snapshot() const {
    const tenancy::Snapshot empty;
    tenancy::SnapshotBuilder builder(empty);
    for (const auto& [id, object] : objects_) {
      EXPECT_THAT(builder.Put(object), IsOk());
    }
    return std::move(builder).Build(1, "epoch");
  }
  std::shared_ptr<const Desired> Compile() {
    if (compiler_ == nullptr) compiler_ = std::make_unique<Compiler>(options_);
    return compiler_->Compile(*Snapshot(), view_);
  }
  // Why the only file of the tenant is refused as a whole.
  static std::string RefusalOf(const Desired& desired,
                               const std::string& tenant) {
    const auto it = desired.tenants.find(tenant);
    if (it == desired.tenants.end() || it->second.files.empty()) return "";
    const CheckedFile& file = it->second.files[0]->checked;
    return file.refused.empty() ? "" : file.refused[0].problems[0].message;
  }

  CompilerOptions options_;
  std::map<std::string, v1::Object> objects_;
  SourceView view_;
  std::unique_ptr<Compiler> compiler_;
};

TEST_F(DesiredTest, RulesOfAPrometheusAreConfined) {
  PutTenant("red", "main");
  PutFile("red", "api", kRule);
  const auto desired = Compile();
  ASSERT_THAT(desired->units, SizeIs(1));
  const DesiredUnit& unit = *desired->units.at("prometheus main");
  EXPECT_EQ(unit.spec.url, "http://127.0.0.1:9/main");
  const DesiredTenant& tenant = unit.tenants.at(UidOf("red"));
  ASSERT_TRUE(tenant.confinement.has_value());
  EXPECT_THAT(tenant.confinement->labels,
              ElementsAre(Pair("namespace", "red")));
  ASSERT_THAT(tenant.files, SizeIs(1));
  EXPECT_THAT(tenant.files[0]->text,
              HasSubstr(R"(sum(up{namespace=\"red\"}))"));
}

TEST_F(DesiredTest, RulesOfARulerByHeaderGoToTheOrgAsTheyAre) {
  PutTenant("red", "ruler").set_org_id("crimson");
  PutTenant("blue", "ruler");
  PutFile("red", "api", kRule);
  const auto desired = Compile();
  const DesiredUnit& red = *desired->units.at(
      "ruler http://127.0.0.1:9/ruler X-Scope-OrgID crimson");
  EXPECT_EQ(red.spec.org_id, "crimson");
  EXPECT_FALSE(red.idle);
  const DesiredTenant& tenant = red.tenants.at(UidOf("red"));
  EXPECT_FALSE(tenant.confinement.has_value());
  EXPECT_EQ(tenant.files[0]->checked.groups[0].group.rules[0].expr, "sum(up)");
  // Nobody has put a file there; it need not be asked.
  EXPECT_TRUE(
      desired->units.at("ruler http://127.0.0.1:9/ruler X-Scope-OrgID blue")
          ->idle);
}

TEST_F(DesiredTest, TenantsOfARulerByLabelShareOnePlace) {
  PutTenant("red", "shared");
  PutTenant("blue", "shared");
  PutFile("red", "api", kRule);
  const auto desired = Compile();
  ASSERT_THAT(desired->units, SizeIs(1));
  EXPECT_EQ(desired->units.begin()->second->spec.header, "");
  EXPECT_THAT(desired->units.begin()->second->tenants, SizeIs(2));
}

TEST_F(DesiredTest, ABadGroupIsKeptOutAndTheOthersGoOn) {
  PutTenant("red", "main");
  PutFile("red", "api",
          "groups:\n- name: good\n  rules: [{record: a, expr: up}]\n"
          "- name: bad\n  rules: [{record: a, expr: 'sum('}]\n"
          "- name: escape\n  rules:\n  - record: a\n    expr: up\n"
          "    labels: {namespace: blue}\n"
          "- name: empty\n  rules: []\n");
  PutFile("red", "broken", "groups: [");
  PutFile("red", "web", kRule);
  const auto desired = Compile();
  const TenantRules& tenant = desired->tenants.at("red");
  ASSERT_THAT(tenant.files, SizeIs(3));
  const CheckedFile& api = tenant.files[0]->checked;
  ASSERT_THAT(api.groups, SizeIs(1));
  EXPECT_EQ(api.groups[0].group.name, "good");
  std::vector<std::string> refused;
  for (const RefusedGroup& group : api.refused) refused.push_back(group.name);
  EXPECT_THAT(refused, testing::UnorderedElementsAre("bad", "escape", "empty"));
  EXPECT_THAT(tenant.files[1]->checked.groups, IsEmpty());
  EXPECT_EQ(tenant.files[1]->checked.refused[0].name, "");
  EXPECT_EQ(tenant.files[1]->text, "");
  EXPECT_THAT(tenant.files[2]->checked.groups, SizeIs(1));
}

// Tenants that read by Access; `viewer` is evaluated by `main`.
class AccessTest : public DesiredTest {
 protected:
  AccessTest() {
    PutUpstream("store", v1::Upstream::ISOLATION_LABEL);
    PutUpstream("apart", v1::Upstream::ISOLATION_HEADER);
    for (const char* id : {"red", "blue"}) {
      PutTenant(id, "").set_upstream_id("store");
    }
    v1::Tenant& viewer = PutTenant("viewer", "main");
    viewer.set_upstream_id("store");
    viewer.set_read_scope(v1::Tenant::READ_SCOPE_ACCESS);
    PutFile("viewer", "api", kRule);
  }

  void PutUpstream(const std::string& id, v1::Upstream::Isolation isolation) {
    v1::Object& object = objects_["upstream " + id];
    object.mutable_meta()->set_kind(v1::KIND_UPSTREAM);
    object.mutable_meta()->set_id(id);
    object.mutable_upstream()->set_query_url("http://127.0.0.1:9/");
    object.mutable_upstream()->set_isolation(isolation);
  }

  void PutAccess(const std::string& id, const std::string& source,
                 const std::vector<std::string>& selectors,
                 const std::string& tenant = "viewer") {
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_ACCESS);
    object.mutable_meta()->set_id(id);
    object.mutable_access()->set_tenant_id(tenant);
    object.mutable_access()->add_source_tenant_ids(source);
    for (const std::string& selector : selectors) {
      object.mutable_access()->add_selectors(selector);
    }
    objects_["access " + id] = object;
  }

  // Of the first rule of the tenant's first file, as an evaluator gets it.
  static const rules::Rule& RuleOf(const Desired& desired,
                                   const std::string& tenant = "viewer") {
    return desired.tenants.at(tenant)
        .files.at(0)
        ->checked.groups.at(0)
        .group.rules.at(0);
  }
};

TEST_F(AccessTest, RulesReadWhatTheTenantWasGrantedAndMakeItsOwn) {
  PutAccess("names", "blue", {"up"});
  const auto desired = Compile();
  EXPECT_EQ(RuleOf(*desired).expr, R"(sum(up{namespace="blue"}))");
  EXPECT_THAT(RuleOf(*desired).labels,
              ElementsAre(Pair("namespace", "viewer")));
  EXPECT_TRUE(
      desired->units.at("prometheus main")->tenants.contains(UidOf("viewer")));
}

TEST_F(AccessTest, SeveralGrantsAreUnited) {
  PutAccess("pods", "blue", {R"({pod="p"})"});
  PutAccess("codes", "red", {R"({code=~"5.."})"});
  EXPECT_EQ(RuleOf(*Compile()).expr,
            R"(sum((up{code=~"5..",namespace="red"} or )"
            R"(up{namespace="blue",pod="p"})))");
}

TEST_F(AccessTest, WithoutAGrantItHasNoRules) {
  const auto desired = Compile();
  EXPECT_THAT(RefusalOf(*desired, "viewer"),
              HasSubstr("the tenant can't read anything: reads by "
                        "READ_SCOPE_ACCESS, and no Access grants it"));
  EXPECT_EQ(desired->tenants.at("viewer").unit_id, "");
  EXPECT_THAT(desired->units, IsEmpty());
}

TEST_F(AccessTest, NarrowingAndDeletingTakesEffect) {
  PutAccess("x", "blue", {"up", "down"});
  EXPECT_EQ(RuleOf(*Compile()).expr,
            R"(sum({__name__="up",__name__=~"up|down",namespace="blue"}))");
  PutAccess("x", "blue", {"down"});
  EXPECT_EQ(RuleOf(*Compile()).expr,
            R"(sum({__name__="down",__name__="up",namespace="blue"}))");
  objects_.erase("access x");
  EXPECT_THAT(Compile()->units, IsEmpty());
}

TEST_F(AccessTest, ARuleThatCanNotBeConfinedKeepsOutItsGroupOnly) {
  PutAccess("x", "blue", {"queue_depth", R"({__name__=~"a.*",pod="p"})"});
  view_.tenants.clear();
  PutFile(
      "viewer", "api",
      "groups:\n- name: good\n  rules: [{record: a, expr: a1}]\n"
      "- name: bad\n  rules: [{record: b, expr: 'rate({job=\"a\"}[5m])'}]\n");
  const auto desired = Compile();
  const CheckedFile& file = desired->tenants.at("viewer").files.at(0)->checked;
  ASSERT_THAT(file.groups, SizeIs(1));
  EXPECT_EQ(file.groups[0].group.name, "good");
  ASSERT_THAT(file.refused, SizeIs(1));
  EXPECT_EQ(file.refused[0].name, "bad");
  EXPECT_THAT(file.refused[0].problems.at(0).message,
              HasSubstr("could not confine expression: 1:6: the selector"));
}

TEST_F(AccessTest, TheStoreMustIsolateAsTheEvaluatorDoes) {
  PutAccess("x", "viewer", {"up"});
  for (const char* upstream : {"apart", "", "missing"}) {
    PutTenant("viewer", "main").set_upstream_id(upstream);
    EXPECT_THAT(RefusalOf(*Compile(), "viewer"),
                HasSubstr("can't be told apart at RuleTarget main"));
  }
  PutTenant("viewer", "ruler").set_upstream_id("store");
  EXPECT_THAT(RefusalOf(*Compile(), "viewer"),
              HasSubstr("can't be told apart at RuleTarget ruler"));
}

TEST_F(AccessTest, ARulerByHeaderGetsThemConfinedAsWell) {
  PutTenant("viewer", "ruler").set_upstream_id("apart");
  PutTenant("viewer", "ruler").clear_enforced_labels();
  PutAccess("x", "viewer", {"up", "node_.*"});
  const auto desired = Compile();
  EXPECT_EQ(RuleOf(*desired).expr,
            R"s(sum({__name__="up",__name__=~"up|(?:node_.*)"}))s");
  EXPECT_THAT(RuleOf(*desired).labels, IsEmpty());
  objects_.erase("access x");
  EXPECT_THAT(Compile()->units, IsEmpty());
}

TEST_F(AccessTest, WithTheScopeOfItsOwnGrantsChangeNoRules) {
  PutTenant("red", "main");
  PutFile("red", "api", kRule);
  PutAccess("x", "blue", {"up"}, "red");
  EXPECT_EQ(RuleOf(*Compile(), "red").expr, R"(sum(up{namespace="red"}))");
}

struct Refusal {
  std::string name;
  std::function<void(v1::Tenant*, CompilerOptions*)> change;
  std::string target;
  std::string says;
};

class RefusalTest : public DesiredTest,
                    public testing::WithParamInterface<Refusal> {};

TEST_P(RefusalTest, KeepsOutAllRulesOfTheTenantAndSaysWhy) {
  PutTenant("blue", "main");
  PutFile("blue", "api", kRule);
  PutFile("red", "api", kRule);
  GetParam().change(&PutTenant("red", GetParam().target), &options_);
  const auto desired = Compile();
  EXPECT_THAT(RefusalOf(*desired, "red"), HasSubstr(GetParam().says));
  EXPECT_EQ(desired->tenants.at("red").unit_id, "");
  for (const auto& [id, unit] : desired->units) {
    EXPECT_FALSE(unit->tenants.contains(UidOf("red"))) << id;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusalTest,
    testing::Values(Refusal{"Suspended",
                            [](v1::Tenant* tenant, CompilerOptions*) {
                              tenant->set_state(v1::Tenant::STATE_SUSPENDED);
                            },
                            "main", "suspended"},
                    Refusal{"NoTarget", [](v1::Tenant*, CompilerOptions*) {},
                            "", "Tenant.rule_target_id"},
                    Refusal{"UnknownTarget",
                            [](v1::Tenant*, CompilerOptions*) {}, "none",
                            "no RuleTarget none"},
                    Refusal{"NoLabels",
                            [](v1::Tenant* tenant, CompilerOptions*) {
                              tenant->clear_enforced_labels();
                            },
                            "main", "Tenant.enforced_labels"},
                    Refusal{"NoLabelsAtARuler",
                            [](v1::Tenant* tenant, CompilerOptions*) {
                              tenant->clear_enforced_labels();
                            },
                            "shared", "Tenant.enforced_labels"},
                    Refusal{"NoDirectory",
                            [](v1::Tenant*, CompilerOptions* options) {
                              options->rule_files = false;
                            },
                            "main", "rule_files.directory"}),
    [](const auto& test) { return test.param.name; });

TEST_F(DesiredTest, TwoTenantsOfOneOrgIdDoNotOverwriteEachOther) {
  PutTenant("blue", "ruler").set_org_id("shared");
  PutTenant("red", "ruler").set_org_id("shared");
  PutFile("blue", "api", kRule);
  PutFile("red", "api", kRule);
  const auto desired = Compile();
  EXPECT_EQ(RefusalOf(*desired, "blue"), "");
  EXPECT_THAT(RefusalOf(*desired, "red"), HasSubstr("same org id"));
  ASSERT_THAT(desired->units, SizeIs(1));
  EXPECT_THAT(desired->units.begin()->second->tenants, SizeIs(1));
}

TEST_F(DesiredTest, OnlyWhatIsNewIsCheckedAgain) {
  PutTenant("red", "main");
  PutTenant("blue", "main");
  PutFile("red", "api", kRule);
  PutFile("blue", "api", kRule);
  const auto first = Compile();
  PutFile("blue", "web", kRule);
  PutTenant("red", "shared");
  const auto second = Compile();
  EXPECT_EQ(first->tenants.at("blue").files[0],
            second->tenants.at("blue").files[0]);
  // Another evaluator, another form.
  EXPECT_NE(first->tenants.at("red").files[0],
            second->tenants.at("red").files[0]);
  (*PutTenant("blue", "main").mutable_enforced_labels())["namespace"] = "navy";
  const auto third = Compile();
  EXPECT_THAT(third->tenants.at("blue").files[0]->text, HasSubstr("navy"));
}

TEST_F(DesiredTest, AFileThatCantBeReadIsListedAndNothingCountsAsGone) {
  PutTenant("red", "main");
  view_.tenants["red"].files.push_back({"a.yaml", "a", nullptr, "no access"});
  view_.tenants["red"].uid = UidOf("red");
  view_.tenants["red"].complete = false;
  const auto desired = Compile();
  EXPECT_EQ(RefusalOf(*desired, "red"), "no access");
  EXPECT_FALSE(
      desired->units.at("prometheus main")->tenants.at(UidOf("red")).complete);
}

TEST_F(DesiredTest, FilesOfAFormerTenantAreNotTheNewOnes) {
  PutTenant("red", "main");
  PutFile("red", "a",
          "groups: [{name: g, rules: [{record: 'a:b', expr: up}]}]");
  ASSERT_EQ(Compile()->tenants.at("red").files.size(), 1u);
  // The registry has the next one, and the directory was not read since.
  objects_.at("tenant red").mutable_meta()->set_uid(UidOf("red again"));
  const auto desired = Compile();
  const auto& tenants = desired->units.at("prometheus main")->tenants;
  ASSERT_EQ(tenants.size(), 1u);
  EXPECT_EQ(tenants.begin()->first, UidOf("red again"));
  EXPECT_TRUE(tenants.begin()->second.files.empty());
}

TEST(UnitSpecTest, ARulerIsItsAddressAndAPrometheusItsDirectory) {
  UnitSpec a;
  a.target_id = "a";
  a.url = "http://one";
  UnitSpec b = a;
  b.url = "http://two";
  EXPECT_EQ(a.Id(), b.Id());
  a.type = b.type = UnitSpec::Type::kRuler;
  EXPECT_NE(a.Id(), b.Id());
  b.url = a.url;
  b.target_id = "b";
  EXPECT_EQ(a.Id(), b.Id());
  b.org_id = "x";
  EXPECT_NE(a.Id(), b.Id());
}

}  // namespace
}  // namespace insula::rule_sync
