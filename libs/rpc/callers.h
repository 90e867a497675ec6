// Who may call which method of a server with mutual TLS.
#pragma once

#include <google/protobuf/descriptor.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/rpc/identity.h"

namespace insula::rpc {

// The alternative names in the certificate of a peer.
struct PeerNames {
  std::vector<std::string> uris;
  std::vector<std::string> dns;
};

// A certificate with more names than these is refused.
inline constexpr size_t kMaxPeerNames = 100;

// What the Bindings of the registry give to the holders of certificates.
// Thread-safe; asked on threads of gRPC, so it does not wait.
class CallerBindings {
 public:
  // For whom a certificate has a role.
  enum class Reach {
    kNone,         // For nobody.
    kOthers,       // For tenants, but not for the one asked about.
    kTenant,       // For the tenant asked about.
    kEveryTenant,  // For all; also said of roles that are not of a tenant.
  };
  struct Answer {
    Reach reach = Reach::kNone;
    // The bindings that name the certificate, for a message: "binding 'a',
    // binding 'b' (expired)". Empty: none does.
    std::string bindings;
  };

  virtual ~CallerBindings() = default;

  // The furthest reach of `role` among the bindings that are valid now and name
  // one of `names`. An empty `tenant_id` asks about no tenant. UNAVAILABLE if
  // nothing is known of bindings yet.
  virtual absl::StatusOr<Answer> Find(const PeerNames& names,
                                      registry::v1::Role role,
                                      absl::string_view tenant_id) const = 0;
};

struct CallerRules {
  std::string trust_domain;  // Of the server; its services are of it too.
  // SPIFFE ids that may call everything.
  std::vector<std::string> admins;
  // Null: there are none. Outlives the rules.
  const CallerBindings* bindings = nullptr;
};

// Whether `method`, named in full ("insula.registry.v1.TenantRegistry.Watch"),
// is one that the service of Insula calls.
bool IsCalledBy(absl::string_view service, absl::string_view method);

// One caller. What it may call is what it may as
//
//   an admin                  everything
//   a service of Insula, of   the methods that it needs (IsCalledBy), whatever
//   the trust domain          bindings say
//   anyone else               what the roles of the bindings allow that name
//                             its certificate, all of them together: ADMIN
//                             everything, OPERATOR methods for operators, a
//                             role of a tenant methods for that role on behalf
//                             of the tenants of the binding that has it
//
// Cheap to copy for what a call costs. Thread-safe.
class Caller {
 public:
  // Of plain text: nobody knows who it is, and it may do everything.
  Caller() = default;
  // Of a certificate with these names. `rules` outlives the caller; null: it
  // may do nothing.
  Caller(PeerNames names, const CallerRules* rules);

  // For logs and messages: the SPIFFE id, or another name.
  const std::string& name() const { return name_; }
  // "ingest-gateway" if it is a service of the trust domain, else empty.
  const std::string& service() const { return service_; }
  // Whether it may do everything. UNAVAILABLE as of CallerBindings.
  absl::StatusOr<bool> IsAdmin() const;

  // Before a request is read: OK unless there is no request of `method` that
  // this caller may make. PERMISSION_DENIED names the caller, the method, the
  // role that it needs and what to do.
  absl::Status MayCall(const google::protobuf::MethodDescriptor& method) const;

  // Of a request of `method` for a tenant, empty: for none or all of them. OK
  // as well if the role of the method is not of a tenant and MayCall() is.
  absl::Status MayCallFor(const google::protobuf::MethodDescriptor& method,
                          absl::string_view tenant_id) const;
  // The same; but a refusal does not tell the tenant, which the caller did not
  // name.
  absl::Status MayCallForOwnerOf(
      const google::protobuf::MethodDescriptor& method,
      absl::string_view tenant_id) const;

 private:
  // `purpose` is for messages: " for tenant 'acme'".
  absl::Status Check(const google::protobuf::MethodDescriptor& method,
                     std::optional<absl::string_view> tenant_id,
                     absl::string_view purpose) const;
  absl::Status Denied(const google::protobuf::MethodDescriptor& method,
                      absl::string_view purpose,
                      absl::string_view bindings) const;
  bool IsListedAdmin() const;

  bool plain_text_ = true;
  const CallerRules* rules_ = nullptr;
  PeerNames names_;
  std::string name_ = "a caller in plain text";
  std::string service_;
  absl::Status wrong_;  // Why it may do nothing, if so.
};

// The method of a path, "/insula.registry.v1.TenantRegistry/Apply", to the
// letter; null if there is none of it.
const google::protobuf::MethodDescriptor* MethodOfPath(absl::string_view path);

// Whether a caller may call the method of that path, as MayCall(). The standard
// services of gRPC, health and reflection, are for whoever has a certificate of
// the CA; methods that are not known are left to the server, which has none.
absl::Status CheckPath(const Caller& caller, absl::string_view path);

// Whether a caller may make a request of this type: that the tenant in the
// field that the proto names (tenant_field) is one of its own. OK if the method
// needs no role of a tenant. `request` is that of a unary method.
absl::Status CheckRequest(const Caller& caller,
                          const google::protobuf::Message& request);
// The same of a request for something of `tenant_id`, as the handler has found
// out; empty: of none. A refusal does not tell which.
absl::Status CheckRequestFor(const Caller& caller,
                             const google::protobuf::Message& request,
                             absl::string_view tenant_id);

}  // namespace insula::rpc
