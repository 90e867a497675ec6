// Every method of every service, as the protos name them, called by everybody
// who may come with a certificate.
#include <gmock/gmock.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "insula/federation/v1/federation.grpc.pb.h"
#include "insula/ingest/v1/ingest.grpc.pb.h"
#include "insula/query/v1/query.grpc.pb.h"
#include "insula/registry/v1/registry.grpc.pb.h"
#include "insula/rules/v1/rules.grpc.pb.h"
#include "libs/callers/snapshot_bindings.h"
#include "libs/rpc/roles.h"
#include "libs/status/status_matchers.h"
#include "libs/time/fake_clock.h"

namespace insula::callers {
namespace {

namespace v1 = ::insula::registry::v1;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;
using ::testing::Eq;

// Being there, they bring their descriptors into the program.
struct AllServices {
  v1::TenantRegistry::Service registry;
  ingest::v1::IngestGateway::Service ingest;
  query::v1::QueryFrontend::Service query;
  rules::v1::RuleSync::Service rules;
  federation::v1::FederationPusher::Service federation;
};

std::vector<const MethodDescriptor*> AllMethods() {
  std::vector<const MethodDescriptor*> methods;
  const auto* const pool = google::protobuf::DescriptorPool::generated_pool();
  for (const char* name :
       {v1::TenantRegistry::service_full_name(),
        ingest::v1::IngestGateway::service_full_name(),
        query::v1::QueryFrontend::service_full_name(),
        rules::v1::RuleSync::service_full_name(),
        federation::v1::FederationPusher::service_full_name()}) {
    const auto* const service = pool->FindServiceByName(name);
    for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
      methods.push_back(service->method(i));
    }
  }
  return methods;
}

std::string PathOf(const MethodDescriptor& method) {
  return absl::StrCat("/", method.service()->full_name(), "/", method.name());
}

// A role and the tenants it is for, as a binding gives them.
struct Given {
  v1::Role role;
  bool every_tenant;
};

class CallMatrixTest : public ::testing::Test {
 protected:
  CallMatrixTest() {
    rules_.trust_domain = "test";
    rules_.admins = {"spiffe://test/admin/jo"};
    rules_.bindings = &bindings_;
    tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
    for (int role = v1::Role_MIN; role <= v1::Role_MAX; ++role) {
      if (!v1::Role_IsValid(role) || role == v1::ROLE_UNSPECIFIED) continue;
      for (const bool every_tenant : {false, true}) {
        const Given given{static_cast<v1::Role>(role), every_tenant};
        v1::Object object;
        object.mutable_meta()->set_kind(v1::KIND_BINDING);
        object.mutable_meta()->set_id(absl::StrCat("b", role, every_tenant));
        v1::Binding* const binding = object.mutable_binding();
        binding->mutable_certificate()->set_uri(UriOf(given));
        binding->add_roles(given.role);
        binding->set_every_tenant(every_tenant);
        if (!every_tenant) binding->add_tenant_ids("acme");
        EXPECT_THAT(builder.Put(object), IsOk());
        given_.push_back(given);
      }
    }
    snapshot_ = std::move(builder).Build(1, "epoch");
  }

  static std::string UriOf(const Given& given) {
    return absl::StrCat("spiffe://test/bound/", given.role,
                        given.every_tenant ? "-all" : "-acme");
  }

  // Whether the whole way is open: of the path, then of the request, which
  // names `tenant`.
  bool Passes(const std::string& uri, const MethodDescriptor& method,
              const std::string& tenant) {
    const rpc::Caller caller({{uri}, {}}, &rules_);
    if (!rpc::CheckPath(caller, PathOf(method)).ok()) return false;
    // Of a stream no request is looked at.
    if (method.client_streaming() || method.server_streaming()) return true;
    const std::unique_ptr<Message> request(
        MessageFactory::generated_factory()
            ->GetPrototype(method.input_type())
            ->New());
    const auto* const field = rpc::TenantField(method);
    if (field == nullptr) {
      return rpc::CheckRequestFor(caller, *request, tenant).ok();
    }
    request->GetReflection()->SetString(request.get(), field, tenant);
    return rpc::CheckRequest(caller, *request).ok();
  }

  AllServices services_;
  FakeClock clock_;
  std::shared_ptr<const tenancy::Snapshot> snapshot_;
  SnapshotBindings bindings_{[this] { return snapshot_; }, &clock_};
  rpc::CallerRules rules_;
  std::vector<Given> given_;
};

TEST_F(CallMatrixTest, ThereAreMethodsAndBindings) {
  EXPECT_THAT(AllMethods().size(), testing::Ge(16u));
  EXPECT_THAT(given_.size(), Eq(12u));
}

TEST_F(CallMatrixTest, ABindingGivesItsRoleToItsTenantsAndNothingElse) {
  int passed = 0;
  for (const MethodDescriptor* method : AllMethods()) {
    const v1::Role required = rpc::RequiredRole(*method);
    for (const Given& given : given_) {
      for (const std::string& tenant :
           {std::string("acme"), std::string("blue"), std::string()}) {
        const bool of_tenant = rpc::IsOfATenant(required);
        const bool expected =
            given.role == v1::ROLE_ADMIN ||
            (given.role == required &&
             (!of_tenant || given.every_tenant || tenant == "acme"));
        EXPECT_THAT(Passes(UriOf(given), *method, tenant), Eq(expected))
            << method->full_name() << " for '" << tenant << "' by "
            << UriOf(given);
        passed += expected ? 1 : 0;
      }
    }
  }
  EXPECT_GT(passed, 0);
}

TEST_F(CallMatrixTest, AStreamIsForNoSingleTenant) {
  for (const MethodDescriptor* method : AllMethods()) {
    if (!method->client_streaming() && !method->server_streaming()) continue;
    for (const Given& given : given_) {
      const rpc::Caller caller({{UriOf(given)}, {}}, &rules_);
      const bool expected =
          given.role == v1::ROLE_ADMIN ||
          (given.role == rpc::RequiredRole(*method) &&
           (given.every_tenant || !rpc::IsOfATenant(given.role)));
      EXPECT_THAT(caller.MayCall(*method).ok(), Eq(expected))
          << method->full_name() << " by " << UriOf(given);
    }
  }
}

TEST_F(CallMatrixTest, AnAdminMayCallEverything) {
  for (const MethodDescriptor* method : AllMethods()) {
    EXPECT_TRUE(Passes("spiffe://test/admin/jo", *method, "blue"))
        << method->full_name();
    EXPECT_FALSE(Passes("spiffe://test/admin/al", *method, "blue"))
        << method->full_name();
  }
}

// Which service calls what, to be looked at when it changes.
TEST_F(CallMatrixTest, ServicesMayCallWhatTheyUse) {
  const std::set<std::string> follower = {
      "insula.registry.v1.TenantRegistry.EndLease",
      "insula.registry.v1.TenantRegistry.RenewLease",
      "insula.registry.v1.TenantRegistry.Watch"};
  const std::map<std::string, std::set<std::string>> expected = {
      {"federation-pusher", follower}, {"ingest-gateway", follower},
      {"query-frontend", follower},    {"rule-sync", follower},
      {"tenant-registry", {}},         {"unknown", {}},
  };
  for (const auto& [service, methods] : expected) {
    for (const MethodDescriptor* method : AllMethods()) {
      EXPECT_THAT(
          Passes(absl::StrCat("spiffe://test/insula/", service), *method, ""),
          Eq(methods.contains(method->full_name())))
          << service << " " << method->full_name();
      EXPECT_FALSE(
          Passes(absl::StrCat("spiffe://other/insula/", service), *method, ""))
          << "of another trust domain: " << service;
    }
  }
}

TEST_F(CallMatrixTest, ABindingDoesNotWidenWhatAServiceMay) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_BINDING);
  object.mutable_meta()->set_id("service");
  object.mutable_binding()->mutable_certificate()->set_uri(
      "spiffe://test/insula/rule-sync");
  object.mutable_binding()->add_roles(v1::ROLE_ADMIN);
  tenancy::SnapshotBuilder builder(*snapshot_);
  ASSERT_THAT(builder.Put(object), IsOk());
  snapshot_ = std::move(builder).Build(2, "epoch");
  for (const MethodDescriptor* method : AllMethods()) {
    EXPECT_THAT(Passes("spiffe://test/insula/rule-sync", *method, ""),
                Eq(rpc::IsCalledBy("rule-sync", method->full_name())))
        << method->full_name();
  }
}

TEST_F(CallMatrixTest, APathIsTakenToTheLetter) {
  for (const MethodDescriptor* method : AllMethods()) {
    const std::string path = PathOf(*method);
    ASSERT_THAT(rpc::MethodOfPath(path), Eq(method));
    // A server has no handler of such paths, so nobody needs a role.
    for (const std::string& trick :
         {path.substr(1), absl::StrCat("/", path), absl::StrCat(path, "/"),
          absl::StrCat(path, "?x"), absl::StrCat("/grpc", path),
          absl::StrReplaceAll(path, {{"/", "//"}}),
          absl::StrCat("/", method->full_name()),
          absl::StrReplaceAll(path, {{"insula", "Insula"}}),
          path + std::string(1, '\0'), std::string("/"), std::string()}) {
      EXPECT_THAT(rpc::MethodOfPath(trick), Eq(nullptr)) << trick;
    }
  }
}

}  // namespace
}  // namespace insula::callers
