#include "libs/rpc/callers.h"

#include <google/protobuf/message.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/rpc/roles.h"
#include "libs/status/status_macros.h"

namespace insula::rpc {
namespace {

namespace v1 = ::insula::registry::v1;
using google::protobuf::Descriptor;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;
using Reach = CallerBindings::Reach;

constexpr size_t kMaxShown = 200;

// Which service calls what of which other one. Whoever adds a call adds it
// here.
struct Row {
  absl::string_view service;
  std::vector<absl::string_view> methods;
};

const std::vector<Row>& Table() {
  // A follower of the registry: libs/registry_client.
  static const std::vector<absl::string_view>& follows =
      *new std::vector<absl::string_view>{
          "insula.registry.v1.TenantRegistry.EndLease",
          "insula.registry.v1.TenantRegistry.RenewLease",
          "insula.registry.v1.TenantRegistry.Watch",
      };
  static const std::vector<Row>& table = *new std::vector<Row>{
      {"federation-pusher", follows}, {"ingest-gateway", follows},
      {"query-frontend", follows},    {"rule-sync", follows},
      {"tenant-registry", {}},
  };
  return table;
}

const Row* RowOf(absl::string_view service) {
  const std::vector<Row>& table = Table();
  const auto at = std::find_if(
      table.begin(), table.end(),
      [service](const Row& row) { return row.service == service; });
  return at == table.end() ? nullptr : &*at;
}

std::string Shown(absl::string_view text) {
  return absl::CHexEscape(text.substr(0, kMaxShown));
}

// What to call a certificate that has no SPIFFE id.
std::string NameOf(const PeerNames& names) {
  if (!names.uris.empty()) return Shown(names.uris[0]);
  if (!names.dns.empty()) return absl::StrCat("DNS:", Shown(names.dns[0]));
  return "a certificate without a name";
}

// Calls `check` with each unary method that takes such a request, until one is
// not OK. Requests stand in the file of their service (CheckRoles).
absl::Status ForMethodsOf(
    const Descriptor& request,
    const std::function<absl::Status(const MethodDescriptor&)>& check) {
  const auto* const file = request.file();
  for (int i = 0; i < file->service_count(); ++i) {
    for (int j = 0; j < file->service(i)->method_count(); ++j) {
      const MethodDescriptor* const method = file->service(i)->method(j);
      if (method->input_type() != &request) continue;
      if (!IsOfATenant(RequiredRole(*method))) continue;
      RETURN_IF_ERROR(check(*method));
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool IsCalledBy(absl::string_view service, absl::string_view method) {
  const Row* const row = RowOf(service);
  return row != nullptr && std::find(row->methods.begin(), row->methods.end(),
                                     method) != row->methods.end();
}

Caller::Caller(PeerNames names, const CallerRules* rules)
    : plain_text_(false),
      rules_(rules),
      names_(std::move(names)),
      name_(NameOf(names_)) {
  if (rules_ == nullptr) {
    wrong_ = absl::InternalError("this server knows no callers");
    return;
  }
  if (names_.uris.size() + names_.dns.size() > kMaxPeerNames) {
    wrong_ = absl::PermissionDeniedError(
        absl::StrCat(name_, ": the certificate has more than ", kMaxPeerNames,
                     " names: give it fewer"));
    return;
  }
  if (std::none_of(names_.uris.begin(), names_.uris.end(),
                   [](const std::string& uri) {
                     return absl::StartsWith(uri, "spiffe://");
                   })) {
    return;
  }
  const absl::StatusOr<Identity> identity = IdentityOf(names_.uris);
  if (!identity.ok()) {
    wrong_ = absl::PermissionDeniedError(identity.status().message());
    return;
  }
  name_ = identity->uri;
  if (identity->trust_domain == rules_->trust_domain &&
      RowOf(identity->service) != nullptr) {
    service_ = identity->service;
  }
}

bool Caller::IsListedAdmin() const {
  return std::find(rules_->admins.begin(), rules_->admins.end(), name_) !=
             rules_->admins.end() &&
         std::find(names_.uris.begin(), names_.uris.end(), name_) !=
             names_.uris.end();
}

absl::StatusOr<bool> Caller::IsAdmin() const {
  if (plain_text_) return true;
  RETURN_IF_ERROR(wrong_);
  if (IsListedAdmin()) return true;
  if (!service_.empty() || rules_->bindings == nullptr) return false;
  ASSIGN_OR_RETURN(const auto answer,
                   rules_->bindings->Find(names_, v1::ROLE_ADMIN, ""));
  return answer.reach != Reach::kNone;
}

absl::Status Caller::MayCall(const MethodDescriptor& method) const {
  return Check(method, std::nullopt, "");
}

absl::Status Caller::MayCallFor(const MethodDescriptor& method,
                                absl::string_view tenant_id) const {
  return Check(method, tenant_id,
               tenant_id.empty()
                   ? " for every tenant"
                   : absl::StrCat(" for tenant '", Shown(tenant_id), "'"));
}

absl::Status Caller::MayCallForOwnerOf(const MethodDescriptor& method,
                                       absl::string_view tenant_id) const {
  return Check(method, tenant_id, " for what the request names");
}

absl::Status Caller::Check(const MethodDescriptor& method,
                           std::optional<absl::string_view> tenant_id,
                           absl::string_view purpose) const {
  if (plain_text_) return absl::OkStatus();
  RETURN_IF_ERROR(wrong_);
  if (IsListedAdmin()) return absl::OkStatus();
  if (!service_.empty()) {
    return IsCalledBy(service_, method.full_name())
               ? absl::OkStatus()
               : Denied(method, purpose, "");
  }
  const v1::Role role = RequiredRole(method);
  if (rules_->bindings == nullptr || role == v1::ROLE_UNSPECIFIED) {
    return Denied(method, purpose, "");
  }
  ASSIGN_OR_RETURN(const auto admin,
                   rules_->bindings->Find(names_, v1::ROLE_ADMIN, ""));
  if (admin.reach != Reach::kNone) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto found, rules_->bindings->Find(
                                         names_, role, tenant_id.value_or("")));
  switch (found.reach) {
    case Reach::kEveryTenant:
      return absl::OkStatus();
    case Reach::kTenant:
      if (tenant_id.has_value() && !tenant_id->empty()) return absl::OkStatus();
      break;
    case Reach::kOthers:
      // Which tenant it is stands in the request, which a stream has not got.
      if (!tenant_id.has_value() && !method.client_streaming() &&
          !method.server_streaming()) {
        return absl::OkStatus();
      }
      break;
    case Reach::kNone:
      break;
  }
  return Denied(method, purpose, found.bindings);
}

absl::Status Caller::Denied(const MethodDescriptor& method,
                            absl::string_view purpose,
                            absl::string_view bindings) const {
  const std::string refusal =
      absl::StrCat(name_, " may not call ", method.full_name(), purpose,
                   ": it needs ", v1::Role_Name(RequiredRole(method)));
  if (!service_.empty()) {
    return absl::PermissionDeniedError(absl::StrCat(
        refusal,
        ", and services of Insula have the methods alone that they use; call "
        "it as who is listed in internal.admins of the server"));
  }
  return absl::PermissionDeniedError(absl::StrCat(
      refusal,
      bindings.empty() ? ", and no binding names its certificate"
                       : ", and has ",
      bindings,
      "; bind it in the registry, or list it in internal.admins of the "
      "server"));
}

const MethodDescriptor* MethodOfPath(absl::string_view path) {
  if (!absl::ConsumePrefix(&path, "/")) return nullptr;
  const size_t slash = path.find('/');
  if (slash == absl::string_view::npos) return nullptr;
  const auto* const service =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
          std::string(path.substr(0, slash)));
  return service == nullptr
             ? nullptr
             : service->FindMethodByName(std::string(path.substr(slash + 1)));
}

absl::Status CheckPath(const Caller& caller, absl::string_view path) {
  if (absl::StartsWith(path, "/grpc.")) return absl::OkStatus();
  const MethodDescriptor* const method = MethodOfPath(path);
  return method == nullptr ? absl::OkStatus() : caller.MayCall(*method);
}

absl::Status CheckRequest(const Caller& caller, const Message& request) {
  const auto check = [&](const MethodDescriptor& method) {
    const auto* const field = TenantField(method);
    return caller.MayCallFor(
        method, field == nullptr
                    ? std::string()
                    : request.GetReflection()->GetString(request, field));
  };
  return ForMethodsOf(*request.GetDescriptor(), check);
}

absl::Status CheckRequestFor(const Caller& caller, const Message& request,
                             absl::string_view tenant_id) {
  const auto check = [&](const MethodDescriptor& method) {
    return caller.MayCallForOwnerOf(method, tenant_id);
  };
  return ForMethodsOf(*request.GetDescriptor(), check);
}

}  // namespace insula::rpc
