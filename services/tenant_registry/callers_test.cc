// Who may call the registry, over TLS.
#include "libs/rpc/callers.h"

#include <grpcpp/security/credentials.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "libs/tls/test_authority.h"
#include "services/tenant_registry/caller_bindings.h"
#include "services/tenant_registry/registry_fixture.h"

namespace insula::tenant_registry {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kJo[] = "spiffe://test/admin/jo";
constexpr char kOp[] = "spiffe://test/team/op";

std::string Read(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

v1::Object CertificateBinding(absl::string_view id, const std::string& uri,
                              v1::Role role) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_BINDING);
  object.mutable_meta()->set_id(std::string(id));
  object.mutable_binding()->mutable_certificate()->set_uri(uri);
  object.mutable_binding()->add_roles(role);
  return object;
}

class CallersTest : public RegistryTest {
 protected:
  using Stub = v1::TenantRegistry::Stub;

  // The registry of the fixture, which is there once the server is.
  class Bindings final : public rpc::CallerBindings {
   public:
    explicit Bindings(const std::shared_ptr<Registry>* registry)
        : registry_(*registry) {}
    absl::StatusOr<Answer> Find(const rpc::PeerNames& names, v1::Role role,
                                absl::string_view tenant_id) const override {
      return RegistryBindings(registry_).Find(names, role, tenant_id);
    }

   private:
    const std::shared_ptr<Registry>& registry_;
  };

  CallersTest() {
    server_options_.tls =
        rpc::Tls{own_->cert_file, own_->key_file, authority_.ca_file()};
    server_options_.admins = {kJo};
    server_options_.bindings = &bindings_;
    server_options_.metrics = &metrics_;
    Start();
  }
  ~CallersTest() override { Stop(); }

  std::unique_ptr<Stub> As(const std::string& uri) {
    const auto identity =
        authority_.Issue(absl::StrCat("client", ++clients_), "URI:" + uri);
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = Read(authority_.ca_file());
    options.pem_cert_chain = Read(identity->cert_file);
    options.pem_private_key = Read(identity->key_file);
    return v1::TenantRegistry::NewStub(
        grpc::CreateChannel(server_->address(), grpc::SslCredentials(options)));
  }
  std::unique_ptr<Stub> AsService(const std::string& service) {
    return As("spiffe://test/insula/" + service);
  }

  static void SetDeadline(grpc::ClientContext* context) {
    context->set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(20));
  }
  static absl::Status Put(Stub* stub, v1::Object object) {
    grpc::ClientContext context;
    SetDeadline(&context);
    v1::ApplyRequest request;
    *request.add_operations()->mutable_put() = std::move(object);
    v1::ApplyResponse response;
    return rpc::FromGrpc(stub->Apply(&context, request, &response));
  }
  static absl::Status Remove(Stub* stub, const std::string& id) {
    grpc::ClientContext context;
    SetDeadline(&context);
    v1::ApplyRequest request;
    v1::ObjectRef* const ref = request.add_operations()->mutable_delete_();
    ref->set_kind(v1::KIND_BINDING);
    ref->set_id(id);
    v1::ApplyResponse response;
    return rpc::FromGrpc(stub->Apply(&context, request, &response));
  }
  static absl::Status List(Stub* stub) {
    grpc::ClientContext context;
    SetDeadline(&context);
    v1::ListRequest request;
    request.set_kind(v1::KIND_TENANT);
    v1::ListResponse response;
    return rpc::FromGrpc(stub->List(&context, request, &response));
  }
  static absl::Status Renew(Stub* stub, const std::string& id,
                            const std::string& service) {
    grpc::ClientContext context;
    SetDeadline(&context);
    v1::RenewLeaseRequest request;
    request.set_id(id);
    request.mutable_instance()->set_service(service);
    request.mutable_instance()->mutable_started_at()->set_seconds(1);
    v1::RenewLeaseResponse response;
    return rpc::FromGrpc(stub->RenewLease(&context, request, &response));
  }
  static absl::Status End(Stub* stub, const std::string& id) {
    grpc::ClientContext context;
    SetDeadline(&context);
    v1::EndLeaseRequest request;
    request.set_id(id);
    request.mutable_started_at()->set_seconds(1);
    v1::EndLeaseResponse response;
    return rpc::FromGrpc(stub->EndLease(&context, request, &response));
  }
  bool HasInstance(const std::string& id) {
    for (const ObjectPtr& instance : registry_->ObjectsOf(v1::KIND_INSTANCE)) {
      if (instance->meta().id() == id) return true;
    }
    return false;
  }

  tls::TestAuthority authority_;
  const std::unique_ptr<tls::TestIdentity> own_ = authority_.Issue(
      "own", "IP:127.0.0.1,URI:spiffe://test/insula/tenant-registry");
  int clients_ = 0;
  Bindings bindings_{&registry_};
};

TEST_F(CallersTest, AnOperatorByBindingReadsAndDoesNotChange) {
  const auto op = As(kOp);
  EXPECT_THAT(List(op.get()), StatusIs(absl::StatusCode::kPermissionDenied));
  const auto jo = As(kJo);
  ASSERT_THAT(Put(jo.get(), CertificateBinding("op", kOp, v1::ROLE_OPERATOR)),
              IsOk());
  EXPECT_THAT(List(op.get()), IsOk());
  EXPECT_THAT(Put(op.get(), TenantObject("acme")),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr(kOp), HasSubstr("ROLE_ADMIN"),
                             HasSubstr("binding 'op'"))));
}

TEST_F(CallersTest, ABindingThatIsTakenAwayEndsWithTheNextCall) {
  const auto jo = As(kJo);
  const auto op = As(kOp);
  ASSERT_THAT(Put(jo.get(), CertificateBinding("op", kOp, v1::ROLE_ADMIN)),
              IsOk());
  EXPECT_THAT(Put(op.get(), TenantObject("acme")), IsOk());
  ASSERT_THAT(Remove(op.get(), "op"), IsOk());
  EXPECT_THAT(List(op.get()), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CallersTest, AServiceHoldsLeasesOfItsOwn) {
  const auto gateway = AsService("ingest-gateway");
  EXPECT_THAT(Renew(gateway.get(), "ingest-gateway/a", "ingest-gateway"),
              IsOk());
  EXPECT_TRUE(HasInstance("ingest-gateway/a"));
  for (const auto& [id, service] :
       std::vector<std::pair<std::string, std::string>>{
           {"query-frontend/a", "query-frontend"},
           {"query-frontend/a", "ingest-gateway"},
           {"ingest-gateway/b", "query-frontend"},
           {"ingest-gateway2/b", "ingest-gateway"},
           {"ingest-gateway", "ingest-gateway"},
           {"", "ingest-gateway"}}) {
    EXPECT_THAT(Renew(gateway.get(), id, service),
                StatusIs(absl::StatusCode::kPermissionDenied,
                         HasSubstr("its own ids begin with "
                                   "'ingest-gateway/'")))
        << id << " " << service;
    EXPECT_FALSE(HasInstance(id)) << id;
  }
}

TEST_F(CallersTest, AServiceDoesNotEndTheLeaseOfAnother) {
  const auto gateway = AsService("ingest-gateway");
  const auto frontend = AsService("query-frontend");
  ASSERT_THAT(Renew(frontend.get(), "query-frontend/a", "query-frontend"),
              IsOk());
  EXPECT_THAT(End(gateway.get(), "query-frontend/a"),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_TRUE(HasInstance("query-frontend/a"));
  EXPECT_THAT(End(frontend.get(), "query-frontend/a"), IsOk());
  EXPECT_FALSE(HasInstance("query-frontend/a"));
}

TEST_F(CallersTest, OfThoseWhoAreNoServiceAdminsEndLeases) {
  const auto jo = As(kJo);
  ASSERT_THAT(Put(jo.get(), CertificateBinding("op", kOp, v1::ROLE_OPERATOR)),
              IsOk());
  const auto op = As(kOp);
  const auto gateway = AsService("ingest-gateway");
  ASSERT_THAT(Renew(gateway.get(), "ingest-gateway/a", "ingest-gateway"),
              IsOk());
  EXPECT_THAT(End(op.get(), "ingest-gateway/a"),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("is no service")));
  EXPECT_THAT(Renew(op.get(), "ingest-gateway/b", "ingest-gateway"),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(End(jo.get(), "ingest-gateway/a"), IsOk());
  EXPECT_FALSE(HasInstance("ingest-gateway/a"));
}

}  // namespace
}  // namespace insula::tenant_registry
