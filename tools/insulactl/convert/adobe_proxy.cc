// prometheus-multi-tenant-proxy of Adobe: queries of Kubernetes namespaces.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"
#include "libs/tenancy/tenant_id.h"
#include "tools/insulactl/convert/draft.h"
#include "tools/insulactl/convert/settings.h"
#include "tools/insulactl/convert/systems.h"

namespace insula::insulactl {
namespace {

constexpr char kId[] = "adobe-proxy";
constexpr char kLabel[] = "namespace";

constexpr char kDiscovery[] =
    "Stores are not discovered: an Upstream names the URL of one. In "
    "Kubernetes that is the Service in front of the Prometheus; give it by "
    "--upstream-url.";
constexpr char kCache[] = "The query-frontend does not cache answers yet.";
constexpr char kQueue[] =
    "What an ingest-gateway can't take now is sent again within the timeout "
    "of the Job.";
constexpr char kLease[] =
    "Jobs of the federation-pusher run in one process; start one.";

constexpr Known kKeys[] = {
    {.name = "discovery.kubernetes.namespaces",
     .shape = Shape::kTexts,
     .instead = kDiscovery},
    {.name = "discovery.kubernetes.label_selectors",
     .shape = Shape::kMap,
     .instead = kDiscovery},
    {.name = "discovery.kubernetes.annotation_selectors",
     .shape = Shape::kMap,
     .instead = kDiscovery},
    {.name = "discovery.kubernetes.port", .instead = kDiscovery},
    {.name = "discovery.kubernetes.resource_types",
     .shape = Shape::kTexts,
     .instead = kDiscovery},
    {.name = "discovery.refresh_interval", .instead = kDiscovery},
    {.name = "tenants.watch_all_namespaces", .shape = Shape::kSwitch},
    {.name = "tenants.watch_namespaces", .shape = Shape::kTexts},
    {.name = "tenants.refresh_interval",
     .instead = "Objects are followed and take effect within a second."},
    {.name = "proxy.enable_caching",
     .shape = Shape::kSwitch,
     .instead = kCache},
    {.name = "proxy.cache_ttl", .instead = kCache},
    {.name = "proxy.enable_metrics", .shape = Shape::kSwitch},
    {.name = "proxy.enable_request_logging",
     .shape = Shape::kSwitch,
     .instead = "Requests are logged with log_level: debug."},
    {.name = "proxy.max_concurrent_requests",
     .instead =
         "Requests are bounded by api.max_buffered, and those to a store "
         "by upstream.max_connections; further ones wait."},
    {.name = "proxy.backend_timeout"},
    {.name = "proxy.listen_address"},
    {.name = "proxy.enable_tenant_filtering",
     .shape = Shape::kSwitch,
     .instead = "Every request is confined to its tenant; there is no switch."},
    {.name = "remote_write.enabled", .shape = Shape::kSwitch},
    {.name = "remote_write.default_interval",
     .instead = "Each Job has an interval, 30s by default."},
    {.name = "remote_write.collection_interval",
     .instead = "Each Job has an interval, 30s by default."},
    {.name = "remote_write.max_concurrent_jobs"},
    {.name = "remote_write.collection_timeout",
     .instead = "Each Job has a timeout: its interval, but at most 30s."},
    {.name = "remote_write.timeout"},
    {.name = "remote_write.retry_attempts", .instead = kQueue},
    {.name = "remote_write.retry_delay", .instead = kQueue},
    {.name = "remote_write.batch_size"},
    {.name = "remote_write.queue_config",
     .shape = Shape::kTree,
     .instead = kQueue},
    {.name = "auth.enabled",
     .shape = Shape::kSwitch,
     .instead = "Every request proves who it is; there is no switch."},
    {.name = "auth.type"},
    {.name = "auth.jwt.secret_key",
     .instead = "Is not taken over and not shown. JSON web tokens are not "
                "verified yet: give each reader a token with a Binding.",
     .secret = true},
    {.name = "auth.jwt.issuer",
     .instead =
         "JSON web tokens are not verified yet: give each reader a token "
         "with a Binding."},
    {.name = "auth.jwt.audience",
     .instead =
         "JSON web tokens are not verified yet: give each reader a token "
         "with a Binding."},
    {.name = "auth.apikey.header_name"},
    {.name = "auth.apikey.static_keys", .shape = Shape::kMap, .secret = true},
    {.name = "logging.level"},
    {.name = "logging.format"},
    {.name = "health",
     .shape = Shape::kTree,
     .instead = "Health is always at /livez and /readyz of "
                "admin.listen_address."},
    {.name = "metrics",
     .shape = Shape::kTree,
     .instead = "Metrics are always at /metrics of admin.listen_address."},
};

constexpr Known kFlags[] = {
    {.name = "config", .instead = "Give the file itself."},
    {.name = "port"},
    {.name = "log-level"},
    {.name = "kubeconfig",
     .instead = "Only the tenant-registry asks Kubernetes; see its page."},
    {.name = "leader-elect", .shape = Shape::kSwitch, .instead = kLease},
    {.name = "leader-election-id", .instead = kLease},
    {.name = "leader-election-namespace", .instead = kLease},
    {.name = "POD_NAME", .instead = kLease},
    {.name = "POD_NAMESPACE", .instead = kLease},
};

class AdobeProxy {
 public:
  AdobeProxy(const ConvertInput& input, const Settings& settings)
      : input_(input), settings_(settings) {}

  absl::StatusOr<Conversion> Run() {
    draft_.NoneOfKnown(settings_);
    RETURN_IF_ERROR(Store());
    RETURN_IF_ERROR(Service());
    RETURN_IF_ERROR(Namespaces());
    RETURN_IF_ERROR(RemoteWrite());
    RETURN_IF_ERROR(Auth());
    RETURN_IF_ERROR(AddGivenTenants(input_, draft_));
    for (const std::string& id : draft_.tenant_ids()) {
      v1::Tenant& tenant = draft_.tenant(id);
      (*tenant.mutable_enforced_labels())[kLabel] = id;
      // What MetricAccess objects grant is all that there is to read.
      tenant.set_read_scope(v1::Tenant::READ_SCOPE_ACCESS);
      if (has_store_) tenant.set_upstream_id(kId);
    }
    draft_.ToDo(
        "Only series that a MetricAccess grants are read there. Tenants made "
        "here have read_scope ACCESS: without a MetricAccess, or an Access, "
        "they read nothing.");
    draft_.ToDo(
        "A header X-Tenant-Namespace or a parameter namespace proves nothing. "
        "If a proxy in front authenticates and sets the header, name it in "
        "listeners[0].trusted_header, and its addresses in trusted_addresses.");
    return draft_.Finish(settings_);
  }

 private:
  absl::Status Store() {
    if (input_.upstream_url.empty()) {
      draft_.ToDo(
          "No store is named: convert again with --upstream-url, the URL of "
          "the "
          "Prometheus or of the Service in front of it.");
      return absl::OkStatus();
    }
    v1::Upstream& upstream = draft_.upstream(kId);
    upstream.set_query_url(input_.upstream_url);
    upstream.set_isolation(v1::Upstream::ISOLATION_LABEL);
    has_store_ = true;
    return absl::OkStatus();
  }

  absl::Status Service() {
    ConfigDraft& config = draft_.config("query-frontend");
    std::string address = "0.0.0.0:8080";
    if (const Setting* setting = draft_.Given(settings_, "port")) {
      ASSIGN_OR_RETURN(const int64_t port, AsInteger(*setting, 0, 65535));
      address = absl::StrCat("0.0.0.0:", port);
      draft_.Used(*setting, "query-frontend listeners[0].listen_address");
    }
    if (const Setting* setting =
            draft_.Given(settings_, "proxy.listen_address")) {
      ASSIGN_OR_RETURN(const std::string wanted, AsAddress(*setting));
      draft_.Changed(*setting, "",
                     absl::StrCat("Not used: --port says where it listens. Set "
                                  "listeners[0].listen_address to ",
                                  wanted, " if that is meant."));
    }
    config.Set("listeners[0].listen_address", address);
    for (const char* name : {"logging.level", "log-level"}) {
      const Setting* setting = draft_.Given(settings_, name);
      if (setting == nullptr) continue;
      ASSIGN_OR_RETURN(const std::string level, AsLogLevel(*setting));
      config.Set("log_level", level);
      draft_.Used(*setting, "query-frontend log_level");
    }
    config.Set("log_format", "json");
    if (const Setting* setting = draft_.Given(settings_, "logging.format")) {
      const bool json = setting->text() == "json";
      config.Set("log_format", json ? "json" : "logfmt");
      draft_.Used(*setting, "query-frontend log_format");
    }
    if (const Setting* setting =
            draft_.Given(settings_, "proxy.backend_timeout")) {
      ASSIGN_OR_RETURN(
          const absl::Duration timeout,
          AsDuration(*setting, absl::Seconds(1), absl::Minutes(59)));
      config.Set("api.timeout", absl::FormatDuration(timeout));
      draft_.Changed(*setting, "query-frontend api.timeout",
                     "It bounds a request from its arrival to its answer.");
    }
    if (const Setting* setting =
            draft_.Given(settings_, "proxy.enable_metrics")) {
      draft_.Changed(*setting, "",
                     "Metrics are always at /metrics of admin.listen_address.");
    }
    return absl::OkStatus();
  }

  absl::Status Namespaces() {
    const Setting* all =
        draft_.Given(settings_, "tenants.watch_all_namespaces");
    const Setting* some = draft_.Given(settings_, "tenants.watch_namespaces");
    bool every = some == nullptr;
    if (all != nullptr) {
      ASSIGN_OR_RETURN(const bool value, AsBool(*all));
      every = every || value;
      draft_.Used(*all, "Policy/adobe-proxy namespaces");
    }
    v1::Policy& policy = draft_.policy(kId);
    policy.set_enforced_label(kLabel);
    if (has_store_) policy.set_upstream_id(kId);
    // Not of a literal: GCC 12 at -O2 takes its copy for an overlapping one.
    if (every) *policy.add_namespaces() = '*';
    if (some == nullptr) return absl::OkStatus();
    if (every) {
      draft_.Used(*some, "Nothing: all namespaces are watched.");
      return absl::OkStatus();
    }
    for (const Value& value : some->values) {
      if (!value.text.empty()) policy.add_namespaces(value.text);
    }
    draft_.Changed(*some, "Policy/adobe-proxy namespaces",
                   "Which namespaces the tenant-registry reads is set there; "
                   "the policy says what the objects in them may grant.");
    return absl::OkStatus();
  }

  absl::Status RemoteWrite() {
    bool enabled = false;
    if (const Setting* setting =
            draft_.Given(settings_, "remote_write.enabled")) {
      ASSIGN_OR_RETURN(enabled, AsBool(*setting));
      draft_.Changed(*setting, enabled ? "federation-pusher" : "",
                     enabled ? "Make a Job for each MetricAccess with "
                               "remoteWrite: its patterns are `matches`, its "
                               "interval and extraLabels are `interval` and "
                               "`labels`, and it writes through the "
                               "ingest-gateway to the tenant's Upstream."
                             : "Then no federation-pusher is needed.");
    }
    struct Number {
      const char* name;
      const char* key;
      int64_t most;
    };
    for (const Number& number :
         {Number{"remote_write.max_concurrent_jobs", "max_parallel_jobs", 1000},
          Number{"remote_write.batch_size", "push.max_series", 1'000'000}}) {
      const Setting* setting = draft_.Given(settings_, number.name);
      if (setting == nullptr) continue;
      ASSIGN_OR_RETURN(const int64_t value,
                       AsInteger(*setting, 1, number.most));
      draft_.config("federation-pusher").Set(number.key, absl::StrCat(value));
      draft_.Used(*setting, absl::StrCat("federation-pusher ", number.key));
    }
    if (const Setting* setting =
            draft_.Given(settings_, "remote_write.timeout")) {
      ASSIGN_OR_RETURN(
          const absl::Duration timeout,
          AsDuration(*setting, absl::Milliseconds(1), absl::Minutes(59)));
      draft_.config("federation-pusher")
          .Set("push.timeout", absl::FormatDuration(timeout));
      draft_.Used(*setting, "federation-pusher push.timeout");
    }
    return absl::OkStatus();
  }

  absl::Status Auth() {
    const Setting* type = draft_.Given(settings_, "auth.type");
    if (type != nullptr) {
      const std::string& text = type->text();
      if (text != "jwt" && text != "apikey" && text != "none") {
        return WrongValue(*type, type->values[0],
                          "is none of jwt, apikey, none");
      }
      if (text == "apikey") {
        draft_.Used(*type, "Bindings of auth.apikey.static_keys");
      } else {
        draft_.None(*type,
                    "Every request proves who it is, here by a token: give "
                    "each reader a token with a Binding.");
      }
    }
    if (const Setting* setting =
            draft_.Given(settings_, "auth.apikey.header_name")) {
      draft_.Changed(*setting, "",
                     "A key is shown as `Authorization: Bearer KEY`.");
    }
    const Setting* keys = settings_.Find("auth.apikey.static_keys");
    if (keys == nullptr) return absl::OkStatus();
    int number = 0;
    for (const Value& value : keys->values) {
      ++number;
      // The key of the map is the secret, its value the tenant.
      if (!tenancy::TenantId::IsValid(value.text)) {
        return absl::InvalidArgumentError(
            absl::StrCat(value.where,
                         ": auth.apikey.static_keys: the value of "
                         "a key must be its tenant, a tenant id"));
      }
      draft_.tenant(value.text);
      v1::Binding& binding = draft_.binding(absl::StrCat(kId, "/key-", number));
      binding.set_token_sha256(tenancy::Sha256(value.key));
      binding.add_tenant_ids(value.text);
      binding.add_roles(v1::ROLE_READ);
    }
    draft_.Changed(*keys, "Binding/adobe-proxy/key-N in their order, Tenant",
                   "A reader must show its key. Only the SHA-256 is kept.");
    return absl::OkStatus();
  }

  const ConvertInput& input_;
  const Settings& settings_;
  Draft draft_{System::kAdobeProxy};
  bool has_store_ = false;
};

}  // namespace

std::vector<std::string> AdobeProxySettings() { return NamesOf(kKeys, kFlags); }

absl::StatusOr<Conversion> ConvertAdobeProxy(const ConvertInput& input) {
  Settings settings(SystemName(System::kAdobeProxy), kKeys, kFlags);
  if (!input.file.has_value()) {
    return absl::InvalidArgumentError(
        "adobe-proxy has a configuration file, that of its --config: give it");
  }
  RETURN_IF_ERROR(settings.ReadYaml(*input.file));
  RETURN_IF_ERROR(settings.ReadFlags(input.flags));
  return AdobeProxy(input, settings).Run();
}

}  // namespace insula::insulactl
