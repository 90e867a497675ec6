// Which tenants a caller's series can be given to.
#pragma once

#include <compare>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/auth/auth.h"
#include "libs/http/url.h"
#include "libs/limits/active_series.h"
#include "libs/remote_write/reason.h"
#include "libs/remote_write/splitter.h"
#include "libs/tenancy/claims.h"
#include "libs/tenancy/snapshot.h"

namespace insula::ingest_gateway {

// A tenant that may be written, and where to.
struct Recipient : remote_write::Destination {
  const tenancy::Tenant* tenant = nullptr;
  const tenancy::Upstream* upstream = nullptr;
  const tenancy::v1::Limits* tenant_limits = nullptr;
  http::Url url;  // Of the upstream's write_url.
  std::shared_ptr<limits::ActiveSeries> active_set;

  // Every destination that a Routing hands out is a Recipient.
  static const Recipient& Of(const remote_write::Destination* destination) {
    return *static_cast<const Recipient*>(destination);
  }
};

// Routes by one snapshot, for one request. A series of a caller with a claim
// rule goes to each tenant that the rule gives it to (tenancy/claims.h), that
// the caller's binding allows and that takes writes; it is refused once for
// each reason why it does not go to others. Not thread-safe.
class Routing {
 public:
  // `active_series`, if not null, counts the series of the recipients.
  Routing(auth::Caller caller, remote_write::NameScheme name_scheme,
          limits::ActiveSeriesOfTenants* active_series = nullptr,
          absl::Time now = absl::InfinitePast());
  Routing(const Routing&) = delete;
  Routing& operator=(const Routing&) = delete;

  // For the splitter. The plan and its destinations live as long as this.
  const remote_write::Plan& plan() const { return plan_; }

  const auth::Caller& caller() const { return caller_; }

  // Tenants that are known to have a metric family get its metadata when it
  // comes without series: those that the caller may write for and that take
  // writes. `tenants_of` lives as long as this.
  void SetFamilies(
      std::function<std::vector<std::string>(absl::string_view family)>
          tenants_of);

  // One of the tenants that a series is for.
  struct Decision {
    std::string tenant_id;  // As the series or the claim rule has it.
    std::string source;     // See Claims::SourceText(); empty: no claim rule.
    const Recipient* recipient = nullptr;  // Null: it does not go there.
    remote_write::Reason reason = remote_write::Reason::kTenantMissing;  // Why.
  };
  // What the plan finds for these values, tenant by tenant. Empty: the series
  // is for none.
  std::vector<Decision> Decide(absl::Span<const absl::string_view> values);

 private:
  // A tenant that takes a series, or why it does not.
  struct Target {
    const Recipient* recipient = nullptr;
    remote_write::Reason reason = remote_write::Reason::kTenantMissing;
    auto operator<=>(const Target&) const = default;
  };

  const remote_write::Routes& FindRoutes(
      absl::Span<const absl::string_view> values);
  // Sets claims_, if there is a claim rule, and a target for each.
  void FindTargets(absl::Span<const absl::string_view> values);
  Target Find(absl::string_view tenant_id);
  Target Make(const tenancy::Tenant* tenant);

  const auth::Caller caller_;
  limits::ActiveSeriesOfTenants* const active_series_;
  const absl::Time now_;
  remote_write::Plan plan_;
  absl::flat_hash_map<const tenancy::Tenant*, std::unique_ptr<Recipient>>
      recipients_;
  std::vector<tenancy::Claim> claims_;  // Of the last series.
  std::vector<Target> targets_;
  // As many as there are different results, however many values ask for them.
  std::map<std::vector<Target>, remote_write::Routes> routes_;
};

}  // namespace insula::ingest_gateway
