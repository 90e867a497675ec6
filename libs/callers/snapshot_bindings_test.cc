#include "libs/callers/snapshot_bindings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/time/time.h"
#include "libs/status/status_matchers.h"
#include "libs/time/fake_clock.h"

namespace insula::callers {
namespace {

namespace v1 = ::insula::registry::v1;
using Reach = rpc::CallerBindings::Reach;
using ::testing::Eq;
using ::testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

class SnapshotBindingsTest : public ::testing::Test {
 protected:
  // Makes `binding` the only one that is changed.
  void Put(const std::string& id, v1::Binding binding) {
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_BINDING);
    object.mutable_meta()->set_id(id);
    *object.mutable_binding() = std::move(binding);
    tenancy::SnapshotBuilder builder(*snapshot_);
    ASSERT_THAT(builder.Put(object), IsOk());
    snapshot_ = std::move(builder).Build(snapshot_->revision() + 1, "epoch");
  }
  void Delete(const std::string& id) {
    v1::ObjectRef ref;
    ref.set_kind(v1::KIND_BINDING);
    ref.set_id(id);
    tenancy::SnapshotBuilder builder(*snapshot_);
    builder.Delete(ref);
    snapshot_ = std::move(builder).Build(snapshot_->revision() + 1, "epoch");
  }

  static v1::Binding OfUri(const std::string& uri, v1::Role role,
                           const std::string& tenant) {
    v1::Binding binding;
    binding.mutable_certificate()->set_uri(uri);
    binding.add_roles(role);
    if (!tenant.empty()) binding.add_tenant_ids(tenant);
    return binding;
  }
  static v1::Binding OfDns(const std::string& dns, v1::Role role,
                           const std::string& tenant) {
    v1::Binding binding = OfUri("", role, tenant);
    binding.mutable_certificate()->set_dns(dns);
    return binding;
  }

  rpc::CallerBindings::Answer Ask(rpc::PeerNames names, v1::Role role,
                                  absl::string_view tenant) {
    const SnapshotBindings bindings([this] { return snapshot_; }, &clock_);
    const auto answer = bindings.Find(names, role, tenant);
    EXPECT_THAT(answer, IsOk());
    return answer.ok() ? *answer : rpc::CallerBindings::Answer();
  }
  Reach ReachOf(rpc::PeerNames names, v1::Role role, absl::string_view tenant) {
    return Ask(std::move(names), role, tenant).reach;
  }

  FakeClock clock_{kNow};
  std::shared_ptr<const tenancy::Snapshot> snapshot_ =
      std::make_shared<const tenancy::Snapshot>();
};

TEST_F(SnapshotBindingsTest, BeforeThereIsACopyNobodyKnows) {
  const SnapshotBindings bindings([this] { return snapshot_; }, &clock_);
  EXPECT_THAT(bindings.Find({{"spiffe://test/jo"}, {}}, v1::ROLE_READ, "acme"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("try again")));
}

TEST_F(SnapshotBindingsTest, ARoleReachesTheTenantsOfItsBinding) {
  Put("jo", OfUri("spiffe://test/jo", v1::ROLE_READ, "acme"));
  const rpc::PeerNames jo{{"spiffe://test/jo"}, {}};
  EXPECT_THAT(ReachOf(jo, v1::ROLE_READ, "acme"), Eq(Reach::kTenant));
  EXPECT_THAT(ReachOf(jo, v1::ROLE_READ, "acm"), Eq(Reach::kOthers));
  EXPECT_THAT(ReachOf(jo, v1::ROLE_READ, ""), Eq(Reach::kOthers));
  EXPECT_THAT(ReachOf(jo, v1::ROLE_RULES, "acme"), Eq(Reach::kNone));
  EXPECT_THAT(ReachOf({{"spiffe://test/al"}, {}}, v1::ROLE_READ, "acme"),
              Eq(Reach::kNone));
}

TEST_F(SnapshotBindingsTest, EveryTenantIsEvery) {
  v1::Binding binding = OfUri("spiffe://test/jo", v1::ROLE_READ, "");
  binding.set_every_tenant(true);
  Put("jo", std::move(binding));
  const rpc::PeerNames jo{{"spiffe://test/jo"}, {}};
  EXPECT_THAT(ReachOf(jo, v1::ROLE_READ, ""), Eq(Reach::kEveryTenant));
  EXPECT_THAT(ReachOf(jo, v1::ROLE_READ, "acme"), Eq(Reach::kEveryTenant));
  EXPECT_THAT(ReachOf(jo, v1::ROLE_OPERATOR, ""), Eq(Reach::kNone));
}

TEST_F(SnapshotBindingsTest, OperatorsAndAdminsAreNotOfATenant) {
  Put("op", OfUri("spiffe://test/op", v1::ROLE_OPERATOR, ""));
  EXPECT_THAT(ReachOf({{"spiffe://test/op"}, {}}, v1::ROLE_OPERATOR, ""),
              Eq(Reach::kEveryTenant));
  EXPECT_THAT(ReachOf({{"spiffe://test/op"}, {}}, v1::ROLE_ADMIN, ""),
              Eq(Reach::kNone));
}

TEST_F(SnapshotBindingsTest, AUriIsNoHostAndAHostNoUri) {
  Put("host", OfDns("jo.example.org", v1::ROLE_READ, "acme"));
  EXPECT_THAT(ReachOf({{}, {"jo.example.org"}}, v1::ROLE_READ, "acme"),
              Eq(Reach::kTenant));
  EXPECT_THAT(ReachOf({{}, {"JO.example.org"}}, v1::ROLE_READ, "acme"),
              Eq(Reach::kTenant));
  EXPECT_THAT(ReachOf({{"jo.example.org"}, {}}, v1::ROLE_READ, "acme"),
              Eq(Reach::kNone));
  for (const std::string& other :
       {std::string("*.example.org"), std::string("jo.example.org."),
        std::string("jo.example.org\0x", 16)}) {
    EXPECT_THAT(ReachOf({{}, {other}}, v1::ROLE_READ, "acme"), Eq(Reach::kNone))
        << other;
  }
}

TEST_F(SnapshotBindingsTest, SeveralBindingsAddUpAndDoNotMix) {
  Put("a", OfUri("spiffe://test/jo", v1::ROLE_READ, "acme"));
  Put("b", OfDns("jo.example.org", v1::ROLE_RULES, "blue"));
  const rpc::PeerNames both{{"spiffe://test/jo"}, {"jo.example.org"}};
  EXPECT_THAT(ReachOf(both, v1::ROLE_READ, "acme"), Eq(Reach::kTenant));
  EXPECT_THAT(ReachOf(both, v1::ROLE_RULES, "blue"), Eq(Reach::kTenant));
  EXPECT_THAT(ReachOf(both, v1::ROLE_READ, "blue"), Eq(Reach::kOthers));
  EXPECT_THAT(ReachOf(both, v1::ROLE_RULES, "acme"), Eq(Reach::kOthers));
  EXPECT_THAT(Ask(both, v1::ROLE_WRITE, "acme").bindings,
              Eq("binding 'a', binding 'b'"));
}

TEST_F(SnapshotBindingsTest, ABindingEndsAtItsTime) {
  v1::Binding binding = OfUri("spiffe://test/jo", v1::ROLE_READ, "acme");
  binding.mutable_not_after()->set_seconds(absl::ToUnixSeconds(kNow) + 1);
  Put("jo", std::move(binding));
  const rpc::PeerNames jo{{"spiffe://test/jo"}, {}};
  EXPECT_THAT(ReachOf(jo, v1::ROLE_READ, "acme"), Eq(Reach::kTenant));
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(ReachOf(jo, v1::ROLE_READ, "acme"), Eq(Reach::kNone));
  EXPECT_THAT(Ask(jo, v1::ROLE_READ, "acme").bindings,
              Eq("binding 'jo' (expired)"));
}

TEST_F(SnapshotBindingsTest, ABindingThatIsTakenAwayGivesNothing) {
  Put("jo", OfUri("spiffe://test/jo", v1::ROLE_READ, "acme"));
  const rpc::PeerNames jo{{"spiffe://test/jo"}, {}};
  ASSERT_THAT(ReachOf(jo, v1::ROLE_READ, "acme"), Eq(Reach::kTenant));
  Delete("jo");
  EXPECT_THAT(ReachOf(jo, v1::ROLE_READ, "acme"), Eq(Reach::kNone));
}

TEST_F(SnapshotBindingsTest, OtherFactsOfTheSameTextAreNoCertificates) {
  v1::Binding binding;
  binding.mutable_header()->set_header("X-Tenant");
  binding.mutable_header()->set_value("spiffe://test/jo");
  binding.add_roles(v1::ROLE_READ);
  binding.add_tenant_ids("acme");
  Put("header", std::move(binding));
  EXPECT_THAT(ReachOf({{"spiffe://test/jo"}, {"spiffe://test/jo"}},
                      v1::ROLE_READ, "acme"),
              Eq(Reach::kNone));
}

}  // namespace
}  // namespace insula::callers
