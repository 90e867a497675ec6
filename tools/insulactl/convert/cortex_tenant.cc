// cortex-tenant: a remote-write proxy that finds the tenant in a label.
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/tenant_id.h"
#include "tools/insulactl/convert/draft.h"
#include "tools/insulactl/convert/settings.h"
#include "tools/insulactl/convert/systems.h"

namespace insula::insulactl {
namespace {

constexpr char kId[] = "cortex-tenant";  // Of the objects that come of it.
constexpr char kDefaultLabel[] = "__tenant__";

constexpr Known kKnown[] = {
    {.name = "listen"},
    {.name = "listen_pprof",
     .instead = "There is no profiling listener; perf and gdb work on the "
                "running process."},
    {.name = "listen_metrics_address"},
    {.name = "metrics_include_tenant",
     .shape = Shape::kSwitch,
     .instead = "The metrics of the ingest-gateway count by reason and not by "
                "tenant, so that their number does not grow with the tenants."},
    {.name = "target"},
    {.name = "enable_ipv6",
     .shape = Shape::kSwitch,
     .instead = "Nothing needs to be set: names are looked up as the system's "
                "resolver does."},
    {.name = "max_conns_per_host"},
    {.name = "auth.egress.username",
     .instead = "An Upstream has no credentials yet. Let a proxy beside the "
                "store add them, and let only the ingest-gateway reach it."},
    {.name = "auth.egress.password",
     .instead = "Is not taken over and not shown. Put it into a file that only "
                "the proxy which adds it can read.",
     .secret = true},
    {.name = "log_level"},
    {.name = "timeout"},
    {.name = "timeout_shutdown"},
    {.name = "concurrency",
     .instead = "Requests are bounded by the memory that their bodies take: "
                "write.max_buffered."},
    {.name = "metadata", .shape = Shape::kSwitch},
    {.name = "log_response_errors",
     .shape = Shape::kSwitch,
     .instead = "What stores refuse is counted by reason "
                "(ingest_gateway_samples_refused_total) and told to the "
                "sender."},
    {.name = "max_connection_duration",
     .instead = "Connections to stores are kept as long as they work; let the "
                "load balancer end them."},
    {.name = "tenant.label"},
    {.name = "tenant.label_list", .shape = Shape::kTexts},
    {.name = "tenant.prefix"},
    {.name = "tenant.prefix_prefer_source", .shape = Shape::kSwitch},
    {.name = "tenant.label_remove", .shape = Shape::kSwitch},
    {.name = "tenant.header"},
    {.name = "tenant.default"},
    {.name = "tenant.accept_all", .shape = Shape::kSwitch},
};

class CortexTenant {
 public:
  CortexTenant(const ConvertInput& input, const Settings& settings)
      : input_(input), settings_(settings) {}

  absl::StatusOr<Conversion> Run() {
    draft_.NoneOfKnown(settings_);
    RETURN_IF_ERROR(Service());
    RETURN_IF_ERROR(Store());
    RETURN_IF_ERROR(Label());
    RETURN_IF_ERROR(Tenants());
    Switches();
    AddSender(input_, kId, {}, true, kId, draft_);
    draft_.ToDo("Senders write to /api/v1/push; the path /push is not served.");
    return draft_.Finish(settings_);
  }

 private:
  bool Has(absl::string_view name, const Setting*& setting) {
    setting = draft_.Given(settings_, name);
    return setting != nullptr;
  }

  absl::Status Service() {
    ConfigDraft& config = draft_.config("ingest-gateway");
    const Setting* setting = nullptr;
    config.Set("listeners[0].listen_address", "127.0.0.1:8081");
    if (Has("listen", setting)) {
      ASSIGN_OR_RETURN(const std::string address, AsAddress(*setting));
      config.Set("listeners[0].listen_address", address);
      draft_.Used(*setting, "ingest-gateway listeners[0].listen_address");
    }
    config.Set("admin.listen_address", "0.0.0.0:9090");
    if (Has("listen_metrics_address", setting)) {
      ASSIGN_OR_RETURN(const std::string address, AsAddress(*setting));
      config.Set("admin.listen_address", address);
      draft_.Changed(*setting, "ingest-gateway admin.listen_address",
                     "Beside /metrics it has /livez, /readyz and /config.");
    }
    if (Has("max_conns_per_host", setting)) {
      ASSIGN_OR_RETURN(const int64_t most, AsInteger(*setting, 0, 1'000'000));
      config.Set("write.max_upstream_connections",
                 absl::StrCat(most == 0 ? 64 : most));
      draft_.Used(*setting, "ingest-gateway write.max_upstream_connections");
    }
    if (Has("log_level", setting)) {
      ASSIGN_OR_RETURN(const std::string level, AsLogLevel(*setting));
      config.Set("log_level", level);
      draft_.Used(*setting, "ingest-gateway log_level");
    }
    if (Has("timeout_shutdown", setting)) {
      ASSIGN_OR_RETURN(
          const absl::Duration delay,
          AsDuration(*setting, absl::ZeroDuration(), absl::Minutes(50)));
      // It is a part of drain_timeout, which leaves 20 s for open requests.
      config.Set("drain_delay", absl::FormatDuration(delay));
      config.Set("drain_timeout",
                 absl::FormatDuration(delay + absl::Seconds(20)));
      draft_.Used(*setting, "ingest-gateway drain_delay");
    }
    return absl::OkStatus();
  }

  absl::Status Store() {
    v1::Upstream& upstream = draft_.upstream(kId);
    upstream.set_isolation(v1::Upstream::ISOLATION_HEADER);
    upstream.set_write_url("http://127.0.0.1:9090");
    upstream.mutable_timeout()->set_seconds(10);
    const Setting* setting = nullptr;
    if (Has("target", setting)) {
      ASSIGN_OR_RETURN(*upstream.mutable_write_url(), AsUrl(*setting));
      draft_.Used(*setting, "Upstream/cortex-tenant write_url");
    }
    draft_.ToDo(
        "Upstream/cortex-tenant only takes writes. For the query-frontend give "
        "it a query_url, such as http://cortex:9009/prometheus.");
    if (Has("timeout", setting)) {
      ASSIGN_OR_RETURN(
          const absl::Duration timeout,
          AsDuration(*setting, absl::ZeroDuration(), absl::Minutes(59)));
      if (timeout >= absl::Milliseconds(1)) {
        upstream.mutable_timeout()->set_seconds(absl::ToInt64Seconds(timeout));
        upstream.mutable_timeout()->set_nanos(static_cast<int32_t>(
            absl::ToInt64Nanoseconds(timeout % absl::Seconds(1))));
      }
      draft_.Changed(*setting, "Upstream/cortex-tenant timeout",
                     "A whole request has write.timeout, 25s by default.");
    }
    if (Has("tenant.header", setting)) {
      upstream.set_tenant_header(setting->text());
      draft_.Used(*setting, "Upstream/cortex-tenant tenant_header");
    }
    return absl::OkStatus();
  }

  absl::Status Label() {
    v1::ClaimRule& rule = draft_.claim_rule(kId);
    rule.set_label(kDefaultLabel);
    const Setting* setting = nullptr;
    const Setting* list = nullptr;
    const bool has_list = Has("tenant.label_list", list);
    if (Has("tenant.label", setting)) {
      ASSIGN_OR_RETURN(const std::string label,
                       AsLabelName(*setting, setting->values[0]));
      if (has_list) {
        draft_.Used(*setting, "Nothing: tenant.label_list goes before it.");
      } else {
        rule.set_label(label);
        draft_.Used(*setting, "ClaimRule/cortex-tenant label");
      }
    }
    if (has_list) {
      ASSIGN_OR_RETURN(const std::string first,
                       AsLabelName(*list, list->values[0]));
      rule.set_label(first);
      if (list->values.size() == 1) {
        draft_.Used(*list, "ClaimRule/cortex-tenant label");
      } else {
        std::set<std::string> seen = {first};
        for (const Value& value : list->values) {
          ASSIGN_OR_RETURN(const std::string label, AsLabelName(*list, value));
          if (seen.insert(label).second) rule.add_labels(label);
        }
        draft_.Changed(*list, "ClaimRule/cortex-tenant label, labels",
                       "A series that has several of them goes to the tenants "
                       "of all.");
      }
    }
    if (const Setting* remove = settings_.Find("tenant.label_remove")) {
      ASSIGN_OR_RETURN(const bool value, AsBool(*remove));
      rule.set_remove_label(value);
      draft_.Used(*remove, "ClaimRule/cortex-tenant remove_label");
    }
    return absl::OkStatus();
  }

  absl::Status Tenants() {
    RETURN_IF_ERROR(AddGivenTenants(input_, draft_));
    const Setting* setting = nullptr;
    if (Has("tenant.default", setting)) {
      ASSIGN_OR_RETURN(const std::string id,
                       AsTenantId(*setting, setting->values[0]));
      draft_.claim_rule(kId).set_default_tenant_id(id);
      draft_.tenant(id);
      draft_.Used(*setting, "ClaimRule/cortex-tenant default_tenant_id");
    }
    std::string prefix;
    if (Has("tenant.prefix", setting)) {
      prefix = setting->text();
      if (!tenancy::TenantId::IsValid(prefix + "x")) {
        return WrongValue(*setting, setting->values[0],
                          "is no beginning of a tenant id");
      }
      draft_.Changed(*setting, "Tenant org_id",
                     "The prefix is part of the org_id of each tenant, also of "
                     "those that you add.");
    }
    for (const std::string& id : draft_.tenant_ids()) {
      draft_.tenant(id).set_upstream_id(kId);
      if (!prefix.empty()) draft_.tenant(id).set_org_id(prefix + id);
    }
    draft_.ToDo(
        "Only tenants that are in the registry are written for; cortex-tenant "
        "makes one of every value of the label. Name yours with --tenant. "
        "Series of others are refused and counted.");
    return absl::OkStatus();
  }

  void Switches() {
    if (const Setting* setting = settings_.Find("metadata")) {
      draft_.Changed(*setting, "",
                     "Metadata is always forwarded, to the tenants that have "
                     "the metric in the same request.");
    }
    if (const Setting* setting =
            settings_.Find("tenant.prefix_prefer_source")) {
      draft_.None(*setting,
                  "The tenant header of a request is no prefix. Make a Tenant "
                  "for each prefix and name, with its org_id, and a Binding "
                  "for each sender.");
    }
    if (const Setting* setting = settings_.Find("tenant.accept_all")) {
      draft_.None(*setting,
                  "A write is answered by what became of it. Series that are "
                  "refused get 400, which Prometheus does not send again.");
    }
  }

  const ConvertInput& input_;
  const Settings& settings_;
  Draft draft_{System::kCortexTenant};
};

}  // namespace

std::vector<std::string> CortexTenantSettings() { return NamesOf(kKnown, {}); }

absl::StatusOr<Conversion> ConvertCortexTenant(const ConvertInput& input) {
  Settings settings(SystemName(System::kCortexTenant), kKnown, {});
  if (!input.file.has_value()) {
    return absl::InvalidArgumentError(
        "cortex-tenant has a configuration file: give it. Variables CT_* must "
        "be written into it.");
  }
  RETURN_IF_ERROR(settings.ReadYaml(*input.file));
  return CortexTenant(input, settings).Run();
}

}  // namespace insula::insulactl
