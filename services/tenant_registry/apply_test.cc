#include <future>

#include "services/tenant_registry/registry_fixture.h"

namespace insula::tenant_registry {
namespace {

using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Ne;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;

class ApplyTest : public RegistryTest {
 protected:
  ApplyTest() { Start(); }

  absl::StatusOr<v1::ListResponse> List(const v1::ListRequest& request) {
    grpc::ClientContext context;
    v1::ListResponse response;
    const grpc::Status status = stub_->List(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response;
  }
  static v1::ListRequest ListTenants(int page_size,
                                     absl::string_view prefix = "",
                                     absl::string_view token = "") {
    v1::ListRequest request;
    request.set_kind(v1::KIND_TENANT);
    request.set_page_size(page_size);
    request.set_id_prefix(std::string(prefix));
    request.set_page_token(std::string(token));
    return request;
  }
};

TEST_F(ApplyTest, AChangeOfSeveralObjectsHasOneRevision) {
  EXPECT_THAT(
      *Apply({Put(BindingObject("sender", 'a', {"red"})),
              Put(TenantObject("red", "store")), Put(UpstreamObject("store"))}),
      Eq(1));
  const auto red = Get(v1::KIND_TENANT, "red");
  ASSERT_THAT(red, IsOk());
  EXPECT_THAT(red->meta().create_revision(), Eq(1));
  EXPECT_THAT(red->meta().mod_revision(), Eq(1));
  EXPECT_THAT(red->meta().uid().size(), Eq(16u));
  EXPECT_THAT(red->meta().source(), Eq("api"));
  EXPECT_THAT(red->meta().updated_by(), Eq("ipv4:127.0.0.1"));
  EXPECT_THAT(red->meta().updated_at().seconds(), Eq(1'790'000'000));
  EXPECT_THAT(Get(v1::KIND_BINDING, "sender")->meta().mod_revision(), Eq(1));
}

TEST_F(ApplyTest, AllOrNothing) {
  EXPECT_THAT(
      Apply({Put(TenantObject("red")), Put(TenantObject("blue", "no-store"))}),
      StatusIs(kPrecondition,
               HasSubstr("Tenant/blue: spec.upstream_id: there is no "
                         "Upstream/no-store")));
  EXPECT_THAT(Get(v1::KIND_TENANT, "red"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Tenant/red")));
  EXPECT_THAT(Status().revision(), Eq(0));
}

TEST_F(ApplyTest, EveryReferenceMustLead) {
  v1::Object tenant = TenantObject("red");
  tenant.mutable_tenant()->set_limits_id("small");
  EXPECT_THAT(Apply({Put(tenant)}),
              StatusIs(kPrecondition, HasSubstr("no Limits/small")));
  EXPECT_THAT(Apply({Put(BindingObject("b", 'a', {"red"}))}),
              StatusIs(kPrecondition, HasSubstr("spec.tenant_ids[0]: there is "
                                                "no Tenant/red")));
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  v1::Object binding = BindingObject("b", 'a', {"red"});
  binding.mutable_binding()->set_claim_rule_id("rule");
  EXPECT_THAT(Apply({Put(binding)}),
              StatusIs(kPrecondition, HasSubstr("no ClaimRule/rule")));
  v1::Object rule;
  rule.mutable_meta()->set_kind(v1::KIND_CLAIM_RULE);
  rule.mutable_meta()->set_id("rule");
  rule.mutable_claim_rule()->set_default_tenant_id("blue");
  EXPECT_THAT(Apply({Put(rule)}),
              StatusIs(kPrecondition, HasSubstr("no Tenant/blue")));
  v1::Object access;
  access.mutable_meta()->set_kind(v1::KIND_ACCESS);
  access.mutable_meta()->set_id("access");
  access.mutable_access()->set_tenant_id("red");
  access.mutable_access()->add_selectors("{job=\"node\"}");
  access.mutable_access()->add_source_tenant_ids("blue");
  EXPECT_THAT(Apply({Put(access)}),
              StatusIs(kPrecondition,
                       HasSubstr("spec.source_tenant_ids[0]: there is no "
                                 "Tenant/blue")));
}

TEST_F(ApplyTest, WhatOthersReferToCannotBeDeleted) {
  ASSERT_THAT(
      Apply({Put(UpstreamObject("store")), Put(TenantObject("red", "store")),
             Put(TenantObject("blue", "store"))}),
      IsOk());
  EXPECT_THAT(Apply({Delete(v1::KIND_UPSTREAM, "store")}),
              StatusIs(kPrecondition,
                       HasSubstr("Upstream/store: can't be deleted while "
                                 "Tenant/blue (spec.upstream_id) and 1 more "
                                 "refer to it")));
  // With all that refer to it, it can.
  EXPECT_THAT(
      Apply({Delete(v1::KIND_UPSTREAM, "store"), Put(TenantObject("red")),
             Delete(v1::KIND_TENANT, "blue")}),
      IsOk());
  EXPECT_THAT(Apply({Put(TenantObject("red", "store"))}),
              StatusIs(kPrecondition));
}

TEST_F(ApplyTest, AReferenceAndTheDeletionOfItsTargetDoNotGoTogether) {
  ASSERT_THAT(Apply({Put(UpstreamObject("store"))}), IsOk());
  EXPECT_THAT(Apply({Put(TenantObject("red", "store")),
                     Delete(v1::KIND_UPSTREAM, "store")}),
              StatusIs(kPrecondition));
}

TEST_F(ApplyTest, ATenantOfALabelStoreNeedsLabels) {
  ASSERT_THAT(
      Apply({Put(UpstreamObject("shared", v1::Upstream::ISOLATION_LABEL))}),
      IsOk());
  EXPECT_THAT(Apply({Put(TenantObject("red", "shared"))}),
              StatusIs(kPrecondition, HasSubstr("spec.enforced_labels")));
  v1::Object red = TenantObject("red", "shared");
  (*red.mutable_tenant()->mutable_enforced_labels())["namespace"] = "red";
  EXPECT_THAT(Apply({Put(red)}), IsOk());
  // The other way round: a store that comes to isolate by label.
  ASSERT_THAT(
      Apply({Put(UpstreamObject("own")), Put(TenantObject("blue", "own"))}),
      IsOk());
  EXPECT_THAT(
      Apply({Put(UpstreamObject("own", v1::Upstream::ISOLATION_LABEL))}),
      StatusIs(kPrecondition, HasSubstr("Tenant/blue")));
}

TEST_F(ApplyTest, ATokenIsOfOneBinding) {
  ASSERT_THAT(Apply({Put(TenantObject("red")),
                     Put(BindingObject("one", 'a', {"red"}))}),
              IsOk());
  EXPECT_THAT(Apply({Put(BindingObject("two", 'a', {"red"}))}),
              StatusIs(kPrecondition, HasSubstr("Binding/one has the same")));
  EXPECT_THAT(Apply({Put(BindingObject("two", 'b', {"red"})),
                     Put(BindingObject("three", 'b', {"red"}))}),
              StatusIs(kPrecondition));
  // It may pass from one to the other, and two may swap theirs.
  EXPECT_THAT(Apply({Put(BindingObject("two", 'a', {"red"})),
                     Delete(v1::KIND_BINDING, "one")}),
              IsOk());
  ASSERT_THAT(Apply({Put(BindingObject("one", 'c', {"red"}))}), IsOk());
  EXPECT_THAT(Apply({Put(BindingObject("one", 'a', {"red"})),
                     Put(BindingObject("two", 'c', {"red"}))}),
              IsOk());
  EXPECT_THAT(Apply({Put(BindingObject("three", 'a', {"red"}))}),
              StatusIs(kPrecondition, HasSubstr("Binding/one")));
}

TEST_F(ApplyTest, ExpectedRevisionsAreChecked) {
  EXPECT_THAT(Apply({Expecting(Put(TenantObject("red")), 0)}), IsOk());
  EXPECT_THAT(Apply({Expecting(Put(TenantObject("red", "", "R")), 0)}),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("it is 1")));
  EXPECT_THAT(Apply({Expecting(Put(TenantObject("red", "", "R")), 1)}), IsOk());
  EXPECT_THAT(Apply({Expecting(Delete(v1::KIND_TENANT, "red"), 1)}),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(Apply({Expecting(Delete(v1::KIND_TENANT, "red"), 2)}), IsOk());
}

TEST_F(ApplyTest, AnEqualPutMakesNoRevision) {
  v1::Object red = TenantObject("red");
  auto* labels = red.mutable_tenant()->mutable_enforced_labels();
  for (char c = 'a'; c < 'q'; ++c) (*labels)[std::string(1, c)] = "x";
  EXPECT_THAT(*Apply({Put(red)}), Eq(1));
  EXPECT_THAT(*Apply({Put(red)}), Eq(1));
  EXPECT_THAT(*Apply({Put(red), Put(TenantObject("blue"))}), Eq(2));
  EXPECT_THAT(Get(v1::KIND_TENANT, "red")->meta().mod_revision(), Eq(1));
}

TEST_F(ApplyTest, AnObjectMadeAgainIsAnother) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  const std::string uid = Get(v1::KIND_TENANT, "red")->meta().uid();
  ASSERT_THAT(Apply({Put(TenantObject("red", "", "Red"))}), IsOk());
  EXPECT_THAT(Get(v1::KIND_TENANT, "red")->meta().uid(), Eq(uid));
  ASSERT_THAT(Apply({Delete(v1::KIND_TENANT, "red")}), IsOk());
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  const auto again = Get(v1::KIND_TENANT, "red");
  EXPECT_THAT(again->meta().uid(), Ne(uid));
  EXPECT_THAT(again->meta().create_revision(), Eq(4));
}

TEST_F(ApplyTest, ARepeatedRequestIsAnsweredAlikeAndChangesNothing) {
  EXPECT_THAT(*Apply({Put(TenantObject("red", "", "one"))}, "id-1"), Eq(1));
  EXPECT_THAT(*Apply({Put(TenantObject("red", "", "two"))}, "id-2"), Eq(2));
  EXPECT_THAT(*Apply({Put(TenantObject("red", "", "one"))}, "id-1"), Eq(1));
  EXPECT_THAT(Get(v1::KIND_TENANT, "red")->tenant().display_name(), Eq("two"));
  // Also after a restart, but not for ever; and a failure is not remembered.
  Stop();
  Start();
  EXPECT_THAT(*Apply({Put(TenantObject("red", "", "one"))}, "id-1"), Eq(1));
  clock_.Advance(absl::Hours(25));
  EXPECT_THAT(*Apply({Put(TenantObject("red", "", "one"))}, "id-1"), Eq(3));
  EXPECT_FALSE(Apply({Put(TenantObject("x", "store"))}, "id-3").ok());
  ASSERT_THAT(Apply({Put(UpstreamObject("store"))}), IsOk());
  EXPECT_THAT(*Apply({Put(TenantObject("x", "store"))}, "id-3"), Eq(5));
}

TEST_F(ApplyTest, ARequestIdIsOfOneRequest) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}, "id"), IsOk());
  EXPECT_THAT(
      Apply({Put(TenantObject("red", "", "Red"))}, "id"),
      StatusIs(kInvalid, HasSubstr("request_id: was that of another request, "
                                   "answered with revision 1")));
  EXPECT_THAT(Apply({Expecting(Put(TenantObject("red")), 1)}, "id"),
              StatusIs(kInvalid));
  EXPECT_THAT(*Apply({Put(TenantObject("red"))}, "id"), Eq(1));
}

TEST_F(ApplyTest, ValidateOnlyChecksAndChangesNothing) {
  EXPECT_THAT(*Apply({Put(TenantObject("red"))}, "id", true), Eq(0));
  EXPECT_THAT(Apply({Put(TenantObject("red", "none"))}, "", true),
              StatusIs(kPrecondition));
  EXPECT_THAT(Status().objects_by_kind(), IsEmpty());
  EXPECT_THAT(*Apply({Put(TenantObject("red"))}, "id"), Eq(1));
}

TEST_F(ApplyTest, MalformedRequestsAreRefused) {
  EXPECT_THAT(Apply({}), StatusIs(kInvalid, HasSubstr("must be 1 to 50")));
  std::vector<v1::Operation> many;
  for (int i = 0; i < 51; ++i) {
    many.push_back(Put(TenantObject(absl::StrCat("t", i))));
  }
  EXPECT_THAT(Apply(many), StatusIs(kInvalid, HasSubstr("got 51")));
  EXPECT_THAT(Apply({v1::Operation()}),
              StatusIs(kInvalid, HasSubstr("neither put nor delete")));
  EXPECT_THAT(Apply({Put(TenantObject("a")), Put(TenantObject("a", "", "x"))}),
              StatusIs(kInvalid, HasSubstr("Tenant/a")));
  EXPECT_THAT(Apply({Put(TenantObject("__a"))}),
              StatusIs(kInvalid, HasSubstr("Tenant/__a: ")));
  EXPECT_THAT(Apply({Put(v1::Object())}), StatusIs(kInvalid));
  EXPECT_THAT(Apply({Put(TenantObject("a"))}, std::string(65, 'r')),
              StatusIs(kInvalid, HasSubstr("request_id")));
  EXPECT_THAT(Apply({Delete(v1::KIND_TENANT, "a")}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Tenant/a")));
}

TEST_F(ApplyTest, AnotherSourceKeepsItsObjects) {
  registry_->SetFiles({"file:/etc/a.yaml"});
  auto apply_as = [this](std::string source, v1::Operation operation) {
    ApplyCommand command;
    command.source = std::move(source);
    *command.request.add_operations() = std::move(operation);
    return asio::co_spawn(pool_, registry_->Apply(std::move(command)),
                          asio::use_future)
        .get();
  };
  ASSERT_THAT(apply_as("file:/etc/a.yaml", Put(TenantObject("red"))), IsOk());
  EXPECT_THAT(Apply({Put(TenantObject("red", "", "mine"))}),
              StatusIs(kPrecondition,
                       HasSubstr("Tenant/red: is kept by file:/etc/a.yaml")));
  EXPECT_THAT(Apply({Delete(v1::KIND_TENANT, "red")}), StatusIs(kPrecondition));
  ASSERT_THAT(Apply({Put(TenantObject("blue"))}), IsOk());
  EXPECT_THAT(apply_as("file:/etc/a.yaml", Put(TenantObject("blue"))),
              StatusIs(kPrecondition, HasSubstr("kept by api")));
  // A file that is no longer read keeps nothing.
  registry_->SetFiles({});
  EXPECT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  EXPECT_THAT(Get(v1::KIND_TENANT, "red")->meta().source(), Eq("api"));
}

TEST_F(ApplyTest, InstancesAreRefused) {
  v1::Object instance;
  instance.mutable_meta()->set_kind(v1::KIND_INSTANCE);
  instance.mutable_meta()->set_id("ingest-gateway/a");
  instance.mutable_instance()->set_service("ingest-gateway");
  instance.mutable_instance()->mutable_started_at()->set_seconds(1);
  EXPECT_THAT(Apply({Put(instance)}),
              StatusIs(kPrecondition, HasSubstr("with their leases")));
}

TEST_F(ApplyTest, ConcurrentAppliesAllTakeEffectOnce) {
  std::vector<std::future<absl::StatusOr<int64_t>>> all;
  for (int i = 0; i < 100; ++i) {
    all.push_back(std::async(std::launch::async, [this, i] {
      return Apply({Expecting(Put(TenantObject(absl::StrCat("t", i))), 0)});
    }));
  }
  std::set<int64_t> revisions;
  for (auto& one : all) {
    const auto revision = one.get();
    ASSERT_THAT(revision, IsOk());
    revisions.insert(*revision);
  }
  EXPECT_THAT(revisions.size(), Eq(100u));
  EXPECT_THAT(*revisions.rbegin(), Eq(100));
  EXPECT_THAT(Status().objects_by_kind().at("Tenant"), Eq(100));
}

TEST_F(ApplyTest, OfConcurrentChangesOfOneRevisionOneWins) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  std::vector<std::future<absl::StatusOr<int64_t>>> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(std::async(std::launch::async, [this, i] {
      return Apply(
          {Expecting(Put(TenantObject("red", "", absl::StrCat(i))), 1)});
    }));
  }
  int won = 0;
  for (auto& one : all) {
    const auto revision = one.get();
    if (revision.ok()) {
      ++won;
    } else {
      EXPECT_THAT(revision, StatusIs(absl::StatusCode::kAborted));
    }
  }
  EXPECT_THAT(won, Eq(1));
}

TEST_F(ApplyTest, ListPagesThroughTheIdsInOrder) {
  for (const char* id : {"b2", "a", "b1", "b3", "c"}) {
    ASSERT_THAT(Apply({Put(TenantObject(id))}), IsOk());
  }
  auto page = List(ListTenants(2, "b"));
  ASSERT_THAT(page, IsOk());
  ASSERT_THAT(page->objects_size(), Eq(2));
  EXPECT_THAT(page->objects(0).meta().id(), Eq("b1"));
  EXPECT_THAT(page->objects(1).meta().id(), Eq("b2"));
  const std::string token = page->next_page_token();
  page = List(ListTenants(2, "b", token));
  ASSERT_THAT(page, IsOk());
  ASSERT_THAT(page->objects_size(), Eq(1));
  EXPECT_THAT(page->objects(0).meta().id(), Eq("b3"));
  EXPECT_THAT(page->next_page_token(), IsEmpty());

  // A token is of its request, and of the revision that the first page saw.
  EXPECT_THAT(List(ListTenants(2, "", token)), StatusIs(kInvalid));
  EXPECT_THAT(List(ListTenants(3, "b", token)), StatusIs(kInvalid));
  EXPECT_THAT(List(ListTenants(2, "b", "nonsense")), StatusIs(kInvalid));
  ASSERT_THAT(Apply({Put(UpstreamObject("of-another-kind"))}), IsOk());
  EXPECT_THAT(List(ListTenants(2, "b", token)), IsOk());
  ASSERT_THAT(Apply({Delete(v1::KIND_TENANT, "a")}), IsOk());
  EXPECT_THAT(
      List(ListTenants(2, "b", token)),
      StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("start again")));
}

TEST_F(ApplyTest, APageTokenOutlivesARestartOnlyIfNothingHasChanged) {
  for (const char* id : {"a", "b", "c", "d"}) {
    ASSERT_THAT(Apply({Put(TenantObject(id))}), IsOk());
  }
  const std::string token = List(ListTenants(2))->next_page_token();
  Stop();
  Start();
  EXPECT_THAT(List(ListTenants(2, "", token)), IsOk());
  // What was deleted leaves no object with a late revision.
  ASSERT_THAT(Apply({Delete(v1::KIND_TENANT, "b")}), IsOk());
  Stop();
  Start();
  EXPECT_THAT(List(ListTenants(2, "", token)),
              StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_F(ApplyTest, ListRefusesWhatItCannotAnswer) {
  EXPECT_THAT(List(v1::ListRequest()), StatusIs(kInvalid, HasSubstr("kind")));
  EXPECT_THAT(List(ListTenants(1001)),
              StatusIs(kInvalid, HasSubstr("page_size")));
  EXPECT_THAT(List(ListTenants(-1)), StatusIs(kInvalid));
}

TEST_F(ApplyTest, ObjectsSurviveARestart) {
  ASSERT_THAT(Apply({Put(UpstreamObject("store")),
                     Put(TenantObject("red", "store", "Red"))}),
              IsOk());
  const auto before = Get(v1::KIND_TENANT, "red");
  const std::string epoch = Status().epoch();
  Stop();
  Start();
  EXPECT_THAT(Get(v1::KIND_TENANT, "red")->SerializeAsString(),
              Eq(before->SerializeAsString()));
  EXPECT_THAT(Status().epoch(), Eq(epoch));
  EXPECT_THAT(Status().revision(), Eq(1));
  // References are known again.
  EXPECT_THAT(Apply({Delete(v1::KIND_UPSTREAM, "store")}),
              StatusIs(kPrecondition));
}

TEST_F(ApplyTest, MetricsTellWhatHappened) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  EXPECT_FALSE(Apply({Delete(v1::KIND_TENANT, "blue")}).ok());
  const std::string text = metrics_.Expose();
  EXPECT_THAT(text, HasSubstr("tenant_registry_revision 1\n"));
  EXPECT_THAT(text, HasSubstr("tenant_registry_objects{kind=\"Tenant\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("tenant_registry_applies_total{code=\"OK\"} 1\n"));
  EXPECT_THAT(
      text, HasSubstr("tenant_registry_applies_total{code=\"NOT_FOUND\"} 1\n"));
}

}  // namespace
}  // namespace insula::tenant_registry
