#include "libs/tenancy/snapshot.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/status/status_matchers.h"

namespace insula::tenancy {
namespace {

using ::google::protobuf::TextFormat;
using ::google::protobuf::util::MessageDifferencer;

v1::Object Parse(const std::string& text) {
  v1::Object object;
  EXPECT_TRUE(TextFormat::ParseFromString(text, &object)) << text;
  return object;
}

std::string Token(char c) { return std::string(32, c); }

v1::Object BindingObject(const std::string& id, char token,
                         const std::string& more = "tenant_ids: 'red'") {
  return Parse(absl::StrCat("meta { kind: KIND_BINDING id: '", id,
                            "' } binding { token_sha256: '", Token(token),
                            "' roles: ROLE_READ ", more, " }"));
}

v1::Object TenantObject(const std::string& id, const std::string& spec = "") {
  return Parse(absl::StrCat("meta { kind: KIND_TENANT id: '", id,
                            "' uid: '0123456789abcdef' } tenant { ", spec,
                            " }"));
}

v1::ObjectRef Ref(v1::Kind kind, const std::string& id) {
  v1::ObjectRef ref;
  ref.set_kind(kind);
  ref.set_id(id);
  return ref;
}

std::shared_ptr<const Snapshot> With(const Snapshot& base,
                                     const std::vector<v1::Object>& objects,
                                     int64_t revision = 1) {
  SnapshotBuilder builder(base);
  for (const v1::Object& object : objects) {
    EXPECT_THAT(builder.Put(object), IsOk());
  }
  return std::move(builder).Build(revision, "epoch");
}

TEST(SnapshotTest, FindsWhatWasPut) {
  const auto snapshot = With(
      Snapshot(),
      {TenantObject("red", "org_id: 'r' upstream_id: 'store'"),
       TenantObject("blue"), BindingObject("b", 't'),
       Parse("meta { kind: KIND_UPSTREAM id: 'store' } upstream { query_url: "
             "'http://h' isolation: ISOLATION_LABEL }"),
       Parse("meta { kind: KIND_CLAIM_RULE id: 'r' } claim_rule { label: 'n' "
             "}")},
      7);

  EXPECT_EQ(snapshot->revision(), 7);
  EXPECT_EQ(snapshot->epoch(), "epoch");
  EXPECT_EQ(snapshot->object_count(), 5);
  ASSERT_NE(snapshot->FindTenant("red"), nullptr);
  EXPECT_EQ(snapshot->FindTenant("red")->org_id(), "r");
  EXPECT_EQ(snapshot->FindTenant("red")->uid, "0123456789abcdef");
  EXPECT_EQ(snapshot->FindTenant("blue")->org_id(), "blue");
  EXPECT_EQ(snapshot->FindTenant("green"), nullptr);
  ASSERT_NE(snapshot->FindBindingByToken(Token('t')), nullptr);
  EXPECT_EQ(snapshot->FindBindingByToken(Token('t'))->id, "b");
  EXPECT_EQ(snapshot->FindBindingByToken(Token('u')), nullptr);
  EXPECT_EQ(snapshot->FindBinding("b")->id, "b");
  EXPECT_EQ(snapshot->FindUpstream("store")->spec.query_url(), "http://h");
  EXPECT_EQ(snapshot->FindClaimRule("r")->spec.label(), "n");
}

TEST(SnapshotTest, AChangeLeavesTheOldSnapshot) {
  const auto before = With(Snapshot(), {TenantObject("red")});
  const Tenant* red = before->FindTenant("red");
  SnapshotBuilder builder(*before);
  builder.Delete(Ref(v1::KIND_TENANT, "red"));
  const auto after = std::move(builder).Build(2, "epoch");

  EXPECT_EQ(after->FindTenant("red"), nullptr);
  EXPECT_EQ(after->object_count(), 0);
  EXPECT_EQ(before->FindTenant("red"), red);
  EXPECT_EQ(before->revision(), 1);
}

TEST(SnapshotTest, ABadObjectLeavesTheOldCopy) {
  const auto before = With(Snapshot(), {TenantObject("red", "org_id: 'r'")});
  SnapshotBuilder builder(*before);
  EXPECT_THAT(builder.Put(TenantObject("red", "org_id: 'a|b'")),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(builder.Put(v1::Object()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  const auto after = std::move(builder).Build(2, "epoch");
  EXPECT_EQ(after->FindTenant("red")->org_id(), "r");
}

TEST(SnapshotTest, SkipsAndCountsKindsThatItDoesNotKnow) {
  SnapshotBuilder builder{Snapshot()};
  v1::Object object;
  object.mutable_meta()->set_kind(static_cast<v1::Kind>(1000));
  EXPECT_THAT(builder.Put(object), IsOk());
  EXPECT_EQ(builder.skipped(), 1);
  EXPECT_EQ(std::move(builder).Build(1, "epoch")->object_count(), 0);
}

TEST(SnapshotTest, ATokenThatABindingGaveUpWorksNoLonger) {
  const auto before = With(Snapshot(), {BindingObject("b", '1')});
  const auto after = With(*before, {BindingObject("b", '2')}, 2);
  EXPECT_EQ(after->FindBindingByToken(Token('1')), nullptr);
  EXPECT_EQ(after->FindBindingByToken(Token('2'))->id, "b");
  EXPECT_EQ(after->object_count(), 1);

  SnapshotBuilder builder(*after);
  builder.Delete(Ref(v1::KIND_BINDING, "b"));
  const auto deleted = std::move(builder).Build(3, "epoch");
  EXPECT_EQ(deleted->FindBindingByToken(Token('2')), nullptr);
  EXPECT_EQ(deleted->FindBinding("b"), nullptr);
}

TEST(SnapshotTest, TwoBindingsMaySwapTheirTokensInOneChange) {
  const auto before =
      With(Snapshot(), {BindingObject("a", '1'), BindingObject("b", '2')});
  const auto after =
      With(*before, {BindingObject("a", '2'), BindingObject("b", '1')}, 2);
  EXPECT_EQ(after->FindBindingByToken(Token('1'))->id, "b");
  EXPECT_EQ(after->FindBindingByToken(Token('2'))->id, "a");
  EXPECT_EQ(before->FindBindingByToken(Token('1'))->id, "a");
}

TEST(SnapshotTest, ABindingActsForItsTenantsOnly) {
  const auto snapshot =
      With(Snapshot(),
           {BindingObject("some", '1', "tenant_ids: 'red' tenant_ids: 'blue'"),
            BindingObject("all", '2', "every_tenant: true")});
  const Binding* some = snapshot->FindBinding("some");
  EXPECT_TRUE(some->MayActFor("red"));
  EXPECT_TRUE(some->MayActFor("blue"));
  EXPECT_FALSE(some->MayActFor("bluer"));
  EXPECT_FALSE(some->MayActFor(""));
  EXPECT_TRUE(some->Has(v1::ROLE_READ));
  EXPECT_FALSE(some->Has(v1::ROLE_WRITE));
  EXPECT_FALSE(some->Has(v1::ROLE_ADMIN));
  EXPECT_TRUE(snapshot->FindBinding("all")->MayActFor("anyone"));
}

TEST(SnapshotTest, LimitsHaveDefaults) {
  const auto snapshot =
      With(Snapshot(),
           {TenantObject("none"), TenantObject("dangling", "limits_id: 'x'"),
            TenantObject("own", "limits_id: 'l'"),
            Parse("meta { kind: KIND_LIMITS id: 'l' } limits { "
                  "max_label_names: 5 samples_per_second: 3 }")});
  for (const char* id : {"none", "dangling"}) {
    const v1::Limits& limits = snapshot->LimitsOf(*snapshot->FindTenant(id));
    EXPECT_EQ(limits.max_label_names(), 30U);
    EXPECT_EQ(limits.max_label_name_bytes(), 1024U);
    EXPECT_EQ(limits.max_label_value_bytes(), 2048U);
    EXPECT_EQ(limits.max_query_bytes(), 256U << 10);
    EXPECT_EQ(limits.samples_per_second(), 0);
    EXPECT_EQ(limits.samples_burst(), 0);
    EXPECT_EQ(limits.max_concurrent_queries(), 20U);
    EXPECT_EQ(limits.max_queued_queries(), 100U);
    EXPECT_EQ(limits.max_query_steps(), 11'001U);
    EXPECT_EQ(limits.max_query_selectors(), 256U);
    EXPECT_EQ(limits.max_response_series(), 0U);
  }
  const v1::Limits& own = snapshot->LimitsOf(*snapshot->FindTenant("own"));
  EXPECT_EQ(own.max_label_names(), 5U);
  EXPECT_EQ(own.max_label_value_bytes(), 2048U);
  EXPECT_EQ(own.samples_burst(), 30);
}

TEST(SnapshotTest, VisitsEveryObjectAsItWasPut) {
  const std::vector<v1::Object> objects = {
      TenantObject("red",
                   "display_name: 'R' enforced_labels { key: 'a' value: 'b' }"),
      Parse(absl::StrCat(
          "meta { kind: KIND_BINDING id: 'b' uid: 'fedcba9876543210' } "
          "binding { token_sha256: '",
          Token('1'),
          "' tenant_ids: 'blue' tenant_ids: 'red' roles: ROLE_WRITE roles: "
          "ROLE_READ claim_rule_id: 'r' not_after { seconds: 1900000000 "
          "nanos: 5 } }")),
      BindingObject("all", '2', "every_tenant: true"),
      Parse("meta { kind: KIND_ACCESS id: 'ns/a' } access { tenant_id: 'red' "
            "selectors: 'up' source_tenant_ids: 'blue' }"),
      Parse("meta { kind: KIND_UPSTREAM id: 'u' } upstream { query_url: "
            "'http://h' isolation: ISOLATION_LABEL timeout { seconds: 3 } }"),
      Parse("meta { kind: KIND_CLAIM_RULE id: 'r' } claim_rule { label: 'n' "
            "}"),
      Parse("meta { kind: KIND_LIMITS id: 'l' } limits { max_label_names: 5 "
            "}"),
      Parse("meta { kind: KIND_POLICY id: 'p' } policy { namespaces: '*' "
            "every_tenant: true }"),
      Parse("meta { kind: KIND_RULE_TARGET id: 't' } rule_target { type: "
            "TYPE_CORTEX url: 'http://h' isolation: ISOLATION_HEADER }"),
      Parse("meta { kind: KIND_JOB id: 'j' } job { tenant_id: 'red' "
            "source_url: 'http://h' matches: 'up' }")};
  const auto snapshot = With(Snapshot(), objects);

  std::map<std::string, v1::Object> visited;
  snapshot->ForEachObject([&visited](const v1::Object& object) {
    visited[absl::StrCat(KindName(object.meta().kind()), "/",
                         object.meta().id())] = object;
  });
  ASSERT_EQ(visited.size(), objects.size());
  for (const v1::Object& object : objects) {
    EXPECT_TRUE(MessageDifferencer::Equals(
        visited[absl::StrCat(KindName(object.meta().kind()), "/",
                             object.meta().id())],
        object))
        << object.ShortDebugString();
  }
}

TEST(SnapshotTest, ABuilderTakesObjectsOverFromAnotherSnapshot) {
  const auto old = With(
      Snapshot(),
      {TenantObject("red", "org_id: 'r'"), BindingObject("b", '1'),
       Parse("meta { kind: KIND_LIMITS id: 'l' } limits { max_label_names: 5 "
             "}")});
  SnapshotBuilder builder{Snapshot()};
  EXPECT_THAT(builder.Put(TenantObject("blue", "limits_id: 'l'")), IsOk());
  builder.Keep(*old, Ref(v1::KIND_TENANT, "red"));
  builder.Keep(*old, Ref(v1::KIND_BINDING, "b"));
  builder.Keep(*old, Ref(v1::KIND_LIMITS, "l"));
  builder.Keep(*old, Ref(v1::KIND_TENANT, "green"));
  const auto next = std::move(builder).Build(2, "epoch");

  EXPECT_EQ(next->object_count(), 4);
  EXPECT_EQ(next->FindTenant("red"), old->FindTenant("red"));
  EXPECT_EQ(next->FindBindingByToken(Token('1')), old->FindBinding("b"));
  EXPECT_EQ(next->LimitsOf(*next->FindTenant("blue")).max_label_names(), 5U);
}

TEST(SnapshotTest, TheDigestIsThatOfTheObjectsHoweverTheyCame) {
  const auto at = [](v1::Object object, int64_t revision) {
    object.mutable_meta()->set_mod_revision(revision);
    return object;
  };
  const auto digest_of = [](const std::vector<v1::Object>& objects) {
    SetDigest digest;
    for (const v1::Object& object : objects) {
      digest.Add(object.meta().kind(), object.meta().id(),
                 object.meta().mod_revision());
    }
    return digest.kinds();
  };
  const v1::Object red = at(TenantObject("red"), 1);
  const v1::Object newer = at(TenantObject("red", "org_id: 'r'"), 3);
  const v1::Object blue = at(TenantObject("blue"), 2);
  const v1::Object binding = at(BindingObject("b", '1'), 2);
  const v1::Object instance =
      at(Parse("meta { kind: KIND_INSTANCE id: 'g/1' } instance { service: 'g' "
               "started_at { seconds: 1 } }"),
         4);
  const auto first = With(Snapshot(), {red, blue, binding, instance});
  EXPECT_EQ(first->digest().kinds(), digest_of({red, blue, binding, instance}));
  EXPECT_EQ(first->RevisionOf(v1::KIND_BINDING, "b"), 2);
  EXPECT_EQ(first->RevisionOf(v1::KIND_BINDING, "c"), -1);
  EXPECT_EQ(first->FindInstance("g/1")->spec.service(), "g");

  SnapshotBuilder builder(*first);
  EXPECT_THAT(builder.Put(newer), IsOk());
  EXPECT_FALSE(builder.Put(at(TenantObject("blue", "org_id: '/'"), 9)).ok());
  builder.Delete(Ref(v1::KIND_BINDING, "b"));
  builder.Delete(Ref(v1::KIND_BINDING, "none"));
  builder.Delete(Ref(v1::KIND_INSTANCE, "g/1"));
  EXPECT_EQ(builder.digest().kinds(), digest_of({newer, blue}));
  builder.Keep(*first, Ref(v1::KIND_TENANT, "red"));
  builder.Keep(*first, Ref(v1::KIND_BINDING, "b"));
  const auto second = std::move(builder).Build(2, "epoch");
  EXPECT_EQ(second->digest().kinds(), digest_of({red, blue, binding}));
  EXPECT_EQ(first->digest().kinds(), digest_of({red, blue, binding, instance}));

  // Also from the objects that a snapshot is saved as.
  std::vector<v1::Object> saved;
  first->ForEachObject(
      [&saved](const v1::Object& object) { saved.push_back(object); });
  EXPECT_EQ(With(Snapshot(), saved)->digest().kinds(), first->digest().kinds());
}

TEST(SnapshotTest, SuspendedAndReadOnlyTenantsMayDoLess) {
  const auto snapshot =
      With(Snapshot(), {TenantObject("active"),
                        TenantObject("read-only", "state: STATE_READ_ONLY"),
                        TenantObject("suspended", "state: STATE_SUSPENDED"),
                        TenantObject("deleting", "state: STATE_DELETING")});
  EXPECT_FALSE(snapshot->FindTenant("deleting")->may_read());
  EXPECT_FALSE(snapshot->FindTenant("deleting")->may_write());
  EXPECT_TRUE(snapshot->FindTenant("active")->may_read());
  EXPECT_TRUE(snapshot->FindTenant("active")->may_write());
  EXPECT_TRUE(snapshot->FindTenant("read-only")->may_read());
  EXPECT_FALSE(snapshot->FindTenant("read-only")->may_write());
  EXPECT_FALSE(snapshot->FindTenant("suspended")->may_read());
  EXPECT_FALSE(snapshot->FindTenant("suspended")->may_write());
}

}  // namespace
}  // namespace insula::tenancy
