// TenantRegistry.Resolve over gRPC.
#include "services/tenant_registry/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/tenant_registry/registry_fixture.h"

namespace insula::tenant_registry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A tenant of the shared store with the label ns="ID".
v1::Object Labelled(absl::string_view id) {
  v1::Object object = TenantObject(id, "store");
  (*object.mutable_tenant()->mutable_enforced_labels())["ns"] = std::string(id);
  return object;
}

v1::Object AccessObject(absl::string_view id, absl::string_view tenant,
                        absl::string_view source) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_ACCESS);
  object.mutable_meta()->set_id(std::string(id));
  object.mutable_access()->set_tenant_id(std::string(tenant));
  object.mutable_access()->add_selectors("up");
  object.mutable_access()->add_source_tenant_ids(std::string(source));
  return object;
}

class ResolveRpcTest : public RegistryTest {
 protected:
  void SetUp() override {
    Start();
    v1::Object store = UpstreamObject("store", v1::Upstream::ISOLATION_LABEL);
    store.mutable_upstream()->set_query_url("http://127.0.0.1:9/query");
    v1::Object limits;
    limits.mutable_meta()->set_kind(v1::KIND_LIMITS);
    limits.mutable_meta()->set_id("small");
    limits.mutable_limits()->set_max_label_names(7);
    v1::Object red = Labelled("red");
    red.mutable_tenant()->set_limits_id("small");
    v1::Object binding = BindingObject("b", 't', {"red"});
    binding.mutable_binding()->add_roles(v1::ROLE_READ);
    ASSERT_THAT(Apply({Put(store), Put(limits), Put(red), Put(Labelled("blue")),
                       Put(binding)}),
                IsOk());
  }

  absl::StatusOr<v1::ResolveResponse> Resolve(
      const v1::ResolveRequest& request) {
    grpc::ClientContext context;
    v1::ResolveResponse response;
    const grpc::Status status = stub_->Resolve(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response;
  }
  absl::StatusOr<v1::ResolveResponse> ResolveToken(char token,
                                                   int max_tenants = 0) {
    v1::ResolveRequest request;
    request.set_token_sha256(std::string(32, token));
    request.set_max_tenants(max_tenants);
    return Resolve(request);
  }
};

TEST_F(ResolveRpcTest, ATokenIsFollowedToItsStore) {
  const auto response = ResolveToken('t');

  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->revision(), 1);
  EXPECT_EQ(response->binding_id(), "b");
  ASSERT_THAT(response->tenants(), SizeIs(1));
  const v1::ResolvedTenant& red = response->tenants(0);
  EXPECT_TRUE(red.may_read());
  EXPECT_TRUE(red.may_write());
  EXPECT_THAT(red.refusals(), IsEmpty());
  EXPECT_THAT(red.uid(), SizeIs(16));
  EXPECT_EQ(red.write_url(), "http://127.0.0.1:9/write");
  EXPECT_EQ(red.limits().max_label_names(), 7);
  EXPECT_THAT(red.visible(), ElementsAre(R"({ns="red"})"));
}

TEST_F(ResolveRpcTest, ChangesAreThereAtOnce) {
  ASSERT_THAT(Apply({Put(AccessObject("a", "red", "blue"))}), IsOk());
  EXPECT_THAT(ResolveToken('t')->tenants(0).visible(),
              ElementsAre(R"({ns="red"})", R"({__name__="up",ns="blue"})"));
  EXPECT_EQ(ResolveToken('t')->revision(), 2);

  // It is another tenant's now.
  ASSERT_THAT(Apply({Put(AccessObject("a", "blue", "red"))}), IsOk());
  EXPECT_THAT(ResolveToken('t')->tenants(0).visible(),
              ElementsAre(R"({ns="red"})"));
  v1::ResolveRequest blue;
  blue.set_tenant_id("blue");
  EXPECT_THAT(Resolve(blue)->tenants(0).access_ids(), ElementsAre("a"));

  ASSERT_THAT(Apply({Delete(v1::KIND_ACCESS, "a")}), IsOk());
  EXPECT_THAT(Resolve(blue)->tenants(0).access_ids(), IsEmpty());
}

TEST_F(ResolveRpcTest, AHandedOverTokenIsItsNewBinding) {
  ASSERT_THAT(Apply({Put(BindingObject("b", 'x', {"red"})),
                     Put(BindingObject("c", 't', {"blue"}))}),
              IsOk());
  EXPECT_EQ(ResolveToken('t')->binding_id(), "c");
  EXPECT_EQ(ResolveToken('t')->tenants(0).id(), "blue");
  EXPECT_EQ(ResolveToken('x')->binding_id(), "b");
}

TEST_F(ResolveRpcTest, TheClockOfTheRegistryEndsABinding) {
  v1::Object binding = BindingObject("b", 't', {"red"});
  binding.mutable_binding()->mutable_not_after()->set_seconds(
      absl::ToUnixSeconds(clock_.Now()) + 5);
  ASSERT_THAT(Apply({Put(binding)}), IsOk());
  EXPECT_FALSE(ResolveToken('t')->expired());
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(ResolveToken('t')->expired());
  EXPECT_FALSE(ResolveToken('t')->tenants(0).may_write());
}

TEST_F(ResolveRpcTest, OfManyTenantsTheFirstAreTold) {
  std::vector<std::string> ids;
  std::vector<v1::Operation> operations;
  for (int i = 10; i < 40; ++i) {
    ids.push_back(absl::StrCat("t", i));
    operations.push_back(Put(Labelled(ids.back())));
  }
  ASSERT_THAT(Apply(std::move(operations)), IsOk());
  ASSERT_THAT(Apply({Put(BindingObject("many", 'm', ids))}), IsOk());

  const auto all = ResolveToken('m');
  ASSERT_THAT(all, IsOk());
  EXPECT_EQ(all->tenant_count(), 30);
  ASSERT_THAT(all->tenants(), SizeIs(30));
  for (const v1::ResolvedTenant& tenant : all->tenants()) {
    EXPECT_TRUE(tenant.may_write()) << tenant.id();
  }
  const auto some = ResolveToken('m', 3);
  ASSERT_THAT(some, IsOk());
  EXPECT_EQ(some->tenant_count(), 30);
  ASSERT_THAT(some->tenants(), SizeIs(3));
  EXPECT_EQ(some->tenants(2).id(), "t12");
}

TEST_F(ResolveRpcTest, ErrorsSayWhatIsWrong) {
  EXPECT_THAT(ResolveToken('x'), StatusIs(absl::StatusCode::kNotFound));
  v1::ResolveRequest tenant;
  tenant.set_tenant_id("green");
  EXPECT_THAT(Resolve(tenant),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("green")));
  EXPECT_THAT(Resolve({}), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("subject")));
  v1::ResolveRequest clear;
  clear.set_token_sha256("red-secret");
  EXPECT_THAT(Resolve(clear), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("never the token")));
}

v1::Object WithRevision(v1::Object object) {
  object.mutable_meta()->set_mod_revision(1);
  return object;
}

TEST(CollectForResolveTest, NoTenantIsBegunAfterTheMostObjects) {
  State state;
  const std::vector<v1::Object> objects = {
      UpstreamObject("store"), Labelled("a"), Labelled("b"), Labelled("c"),
      BindingObject("many", 'm', {"c", "b", "a"})};
  for (const v1::Object& object : objects) {
    state.Load(std::make_shared<v1::Object>(WithRevision(object)));
  }
  state.FinishLoading(1);
  v1::ResolveRequest request;
  request.set_binding_id("many");

  EXPECT_EQ(CollectForResolve(state, request, 100, 100).tenants, 3);
  EXPECT_EQ(CollectForResolve(state, request, 2, 100).tenants, 2);
  EXPECT_EQ(CollectForResolve(state, request, 100, 0).tenants, 1);
  // Binding, tenant, store.
  EXPECT_THAT(CollectForResolve(state, request, 100, 0).objects, SizeIs(3));
  request.set_binding_id("none");
  EXPECT_THAT(CollectForResolve(state, request, 100, 100).objects, IsEmpty());
}

}  // namespace
}  // namespace insula::tenant_registry
