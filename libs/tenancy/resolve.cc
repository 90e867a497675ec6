#include "libs/tenancy/resolve.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/promql/printer.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/read_policy.h"

namespace insula::tenancy {
namespace {

constexpr int kDefaultTenants = 100;
constexpr int kMaxTenants = 1000;
constexpr size_t kTokenBytes = 32;

// What the selectors and ids of one tenant may take: a thousand clauses have
// room unless their expressions list very many values.
constexpr size_t kMaxListBytes = size_t{512} << 10;

// Who asks for a tenant.
struct Asker {
  const Binding* binding = nullptr;  // Null: one that has all roles.
  bool may_read = true;
  bool may_write = true;
  std::vector<std::string> refusals;  // The same for each tenant.
};

std::string TimeText(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

Asker AskerOf(const Snapshot& snapshot, const Binding& binding,
              absl::Time now) {
  Asker asker;
  asker.binding = &binding;
  asker.may_read = binding.Has(v1::ROLE_READ);
  asker.may_write = binding.Has(v1::ROLE_WRITE);
  const auto refuse = [&asker](const auto&... parts) {
    asker.refusals.push_back(absl::StrCat(parts...));
  };
  if (now >= binding.not_after) {
    asker.may_read = asker.may_write = false;
    refuse("binding ", binding.id, " is void since ",
           TimeText(binding.not_after),
           ", use another token or set Binding.not_after");
  }
  if (!binding.Has(v1::ROLE_READ)) {
    refuse("reads: binding ", binding.id,
           " lacks ROLE_READ, add it to Binding.roles");
  }
  if (!binding.Has(v1::ROLE_WRITE)) {
    refuse("writes: binding ", binding.id,
           " lacks ROLE_WRITE, add it to Binding.roles");
  }
  if (!binding.claim_rule_id().empty() &&
      snapshot.FindClaimRule(binding.claim_rule_id()) == nullptr) {
    asker.may_write = false;
    refuse("writes: there is no ClaimRule ", binding.claim_rule_id(),
           ", which Binding.claim_rule_id names, apply it");
  }
  return asker;
}

void DescribeBinding(const Binding& binding, absl::Time now,
                     v1::ResolveResponse* response) {
  response->set_binding_id(binding.id);
  for (int role = v1::Role_MIN; role <= v1::Role_MAX; ++role) {
    if (binding.Has(static_cast<v1::Role>(role))) {
      response->add_roles(static_cast<v1::Role>(role));
    }
  }
  response->set_every_tenant(binding.every_tenant);
  response->set_claim_rule_id(std::string(binding.claim_rule_id()));
  response->set_tenant_count(static_cast<int32_t>(binding.tenant_ids.size()));
  if (binding.not_after == absl::InfiniteFuture()) return;
  const int64_t seconds = absl::ToUnixSeconds(binding.not_after);
  response->mutable_not_after()->set_seconds(seconds);
  response->mutable_not_after()->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(
          binding.not_after - absl::FromUnixSeconds(seconds))));
  response->set_expired(now >= binding.not_after);
}

// Finds out about one tenant.
class TenantResolver {
 public:
  TenantResolver(const Snapshot& snapshot, const Asker& asker,
                 absl::string_view id)
      : snapshot_(snapshot), tenant_(snapshot.FindTenant(id)) {
    resolved_.set_id(id.data(), id.size());
    resolved_.set_may_read(asker.may_read);
    resolved_.set_may_write(asker.may_write);
    for (const std::string& refusal : asker.refusals) {
      resolved_.add_refusals(refusal);
    }
  }

  v1::ResolvedTenant Run() && {
    if (tenant_ == nullptr) {
      RefuseBoth("there is no such tenant, apply it");
      return std::move(resolved_);
    }
    const v1::Tenant& spec = tenant_->spec;
    resolved_.set_uid(tenant_->uid);
    resolved_.set_state(spec.state());
    resolved_.set_org_id(tenant_->org_id());
    *resolved_.mutable_enforced_labels() = spec.enforced_labels();
    *resolved_.mutable_limits() = snapshot_.LimitsOf(*tenant_);
    resolved_.set_upstream_id(spec.upstream_id());
    resolved_.set_rule_target_id(spec.rule_target_id());
    JudgeState();
    JudgeStore();
    if (resolved_.may_read()) AddVisible();
    return std::move(resolved_);
  }

 private:
  template <typename... Parts>
  void RefuseReads(const Parts&... parts) {
    resolved_.set_may_read(false);
    resolved_.add_refusals(absl::StrCat("reads: ", parts...));
  }
  template <typename... Parts>
  void RefuseWrites(const Parts&... parts) {
    resolved_.set_may_write(false);
    resolved_.add_refusals(absl::StrCat("writes: ", parts...));
  }
  template <typename... Parts>
  void RefuseBoth(const Parts&... parts) {
    resolved_.set_may_read(false);
    resolved_.set_may_write(false);
    resolved_.add_refusals(absl::StrCat(parts...));
  }

  void JudgeState() {
    const v1::Tenant::State state = tenant_->spec.state();
    if (state == v1::Tenant::STATE_DELETING) {
      RefuseBoth(
          "the tenant is STATE_DELETING, set Tenant.state before "
          "meta.delete_at to have it back");
    } else if (!tenant_->may_read()) {
      RefuseBoth("the tenant is suspended, set Tenant.state");
    } else if (!tenant_->may_write()) {
      RefuseWrites("the tenant is read-only, set Tenant.state");
    }
  }

  void JudgeStore() {
    const std::string& id = tenant_->spec.upstream_id();
    if (id.empty()) {
      return RefuseBoth("the tenant has no store, set Tenant.upstream_id");
    }
    const Upstream* const upstream = snapshot_.FindUpstream(id);
    if (upstream == nullptr) {
      return RefuseBoth("there is no Upstream ", id,
                        ", which Tenant.upstream_id names, apply it");
    }
    const v1::Upstream& spec = upstream->spec;
    resolved_.set_write_url(spec.write_url());
    resolved_.set_query_url(spec.query_url());
    if (spec.query_url().empty()) {
      RefuseReads("upstream ", id, " takes no queries, set Upstream.query_url");
    }
    if (spec.write_url().empty()) {
      RefuseWrites("upstream ", id, " takes no writes, set Upstream.write_url");
    }
    if (spec.isolation() == v1::Upstream::ISOLATION_HEADER) return;
    // Without its labels, its series would be anybody's.
    if (tenant_->spec.enforced_labels().empty()) {
      RefuseBoth("the tenant has no enforced label, but its upstream ", id,
                 " isolates by label, set Tenant.enforced_labels");
    }
    if (spec.isolation() != v1::Upstream::ISOLATION_LABEL) {
      RefuseReads("upstream ", id,
                  " does not say how it isolates, set Upstream.isolation");
    }
  }

  void AddVisible() {
    const std::shared_ptr<const ReadPolicy> policy =
        ReadPolicyOf(snapshot_, *tenant_);
    if (policy->reads_nothing()) resolved_.set_may_read(false);
    for (const std::string& note : policy->notes()) {
      resolved_.add_refusals(absl::StrCat("reads: ", note));
    }
    size_t bytes = 0;
    size_t left_out = 0;
    const auto add = [&](std::string text, auto* list) {
      if (left_out > 0 || bytes + text.size() > kMaxListBytes) {
        ++left_out;
        return;
      }
      bytes += text.size();
      list->Add(std::move(text));
    };
    for (const Clause& clause : policy->clauses()) {
      add(promql::PrintSelector(clause), resolved_.mutable_visible());
    }
    for (const std::string& id : policy->access_ids()) {
      add(id, resolved_.mutable_access_ids());
    }
    if (left_out == 0) return;
    resolved_.add_refusals(absl::StrCat(
        "reads: ", left_out,
        " further selectors and Access objects take effect, but are too long "
        "to be listed"));
  }

  const Snapshot& snapshot_;
  const Tenant* const tenant_;
  v1::ResolvedTenant resolved_;
};

absl::StatusOr<const Binding*> FindSubject(const Snapshot& snapshot,
                                           const v1::ResolveRequest& request) {
  if (request.subject_case() == v1::ResolveRequest::kBindingId) {
    const Binding* binding = snapshot.FindBinding(request.binding_id());
    if (binding != nullptr) return binding;
    return absl::NotFoundError(
        absl::StrCat("there is no Binding/", request.binding_id()));
  }
  const Binding* binding = snapshot.FindBindingByToken(request.token_sha256());
  if (binding != nullptr) return binding;
  return absl::NotFoundError(
      "no binding recognizes that token, apply a Binding with its SHA-256");
}

}  // namespace

absl::StatusOr<size_t> CheckResolveRequest(const v1::ResolveRequest& request) {
  if (request.max_tenants() < 0 || request.max_tenants() > kMaxTenants) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_tenants: must be 1 to ", kMaxTenants, ", or 0 for ",
                     kDefaultTenants, "; got ", request.max_tenants()));
  }
  switch (request.subject_case()) {
    case v1::ResolveRequest::kTokenSha256:
      // It may be the token, sent by mistake: not a byte of it is told.
      if (request.token_sha256().size() != kTokenBytes) {
        return absl::InvalidArgumentError(
            absl::StrCat("token_sha256: must have ", kTokenBytes,
                         " bytes, got ", request.token_sha256().size(),
                         "; send the SHA-256 of the token, never the token"));
      }
      break;
    case v1::ResolveRequest::kBindingId:
      RETURN_IF_ERROR(
          Annotate(CheckObjectId(request.binding_id()), "binding_id"));
      break;
    case v1::ResolveRequest::kTenantId:
      RETURN_IF_ERROR(
          Annotate(TenantId::Parse(request.tenant_id()).status(), "tenant_id"));
      break;
    default:
      return absl::InvalidArgumentError(
          "subject: set one of token_sha256, binding_id and tenant_id");
  }
  return static_cast<size_t>(
      request.max_tenants() == 0 ? kDefaultTenants : request.max_tenants());
}

absl::StatusOr<v1::ResolveResponse> Resolve(const Snapshot& snapshot,
                                            const v1::ResolveRequest& request,
                                            const ResolveOptions& options) {
  ASSIGN_OR_RETURN(const size_t max_tenants, CheckResolveRequest(request));
  v1::ResolveResponse response;
  response.set_revision(snapshot.revision());
  if (request.subject_case() == v1::ResolveRequest::kTenantId) {
    if (snapshot.FindTenant(request.tenant_id()) == nullptr) {
      return absl::NotFoundError(
          absl::StrCat("there is no Tenant/", request.tenant_id()));
    }
    response.set_tenant_count(1);
    *response.add_tenants() =
        TenantResolver(snapshot, Asker(), request.tenant_id()).Run();
    return response;
  }
  ASSIGN_OR_RETURN(const Binding* binding, FindSubject(snapshot, request));
  DescribeBinding(*binding, options.now, &response);
  const Asker asker = AskerOf(snapshot, *binding, options.now);
  size_t bytes = 0;
  for (const TenantId& id : binding->tenant_ids) {
    const size_t so_far = static_cast<size_t>(response.tenants_size());
    if (so_far == max_tenants || bytes > options.max_bytes) break;
    if (so_far > 0 && !options.go_on()) break;
    v1::ResolvedTenant* const tenant = response.add_tenants();
    *tenant = TenantResolver(snapshot, asker, id.value()).Run();
    bytes += tenant->ByteSizeLong();
  }
  return response;
}

}  // namespace insula::tenancy
