// The proxy and the informer of open-metrics-multi-tenancy-kit.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/status/status_macros.h"
#include "tools/insulactl/convert/draft.h"
#include "tools/insulactl/convert/settings.h"
#include "tools/insulactl/convert/systems.h"

namespace insula::insulactl {
namespace {

constexpr char kId[] = "open-metrics-proxy";
constexpr size_t kMaxAllowed = 4096;  // Of ClaimRule.allowed_tenant_ids.
constexpr char kRulerId[] = "open-metrics-informer";

constexpr Known kProxyKnown[] = {
    {.name = "port"},
    {.name = "interface"},
    {.name = "content-length-limit"},
    {.name = "tenant-label-list", .shape = Shape::kTexts},
    {.name = "default-tenant-list", .shape = Shape::kTexts},
    {.name = "disable-full-replication", .shape = Shape::kSwitch},
    {.name = "ingester-upstream-url"},
    {.name = "max-parallel-request-per-load"},
    {.name = "allow-listed-tenants", .shape = Shape::kTexts},
    {.name = "kubernetes-poll-interval-seconds"},
    {.name = "OPEN_METRICS_PROXY_NAMESPACE"},
    {.name = "RUST_LOG"},
};

constexpr Known kInformerKnown[] = {
    {.name = "port"},
    {.name = "interface"},
    {.name = "ruler-upstream-url"},
    {.name = "distributor-upstream-url",
     .instead = "The tenants are those of the registry; no distributor is "
                "asked for them."},
    {.name = "tracker-poll-interval-seconds",
     .instead = "Rules go from their source to the ruler and not back. What is "
                "in a ruler already stays there; put it into the rule "
                "directory before it shall be kept in step."},
    {.name = "updater-poll-interval-seconds"},
    {.name = "enable-updater-remove-rules",
     .shape = Shape::kSwitch,
     .instead = "rule-sync removes what it made itself and nothing else, and "
                "keeps rules that vanish in great number "
                "(rules.max_deletion_percent)."},
    {.name = "OPEN_METRICS_INFORMER_NAMESPACE"},
    {.name = "RUST_LOG"},
};

// HOST:PORT of --interface and --port.
absl::StatusOr<std::string> Address(const Settings& settings, int default_port,
                                    absl::string_view became, Draft& draft) {
  int64_t port = default_port;
  std::string host = "127.0.0.1";
  if (const Setting* setting = draft.Given(settings, "port")) {
    ASSIGN_OR_RETURN(port, AsInteger(*setting, 0, 65535));
    draft.Used(*setting, became);
  }
  if (const Setting* setting = draft.Given(settings, "interface")) {
    host = setting->text();
    if (host.find_first_not_of("0123456789.") != std::string::npos) {
      return WrongValue(*setting, setting->values[0], "is no IPv4 address");
    }
    draft.Used(*setting, became);
  }
  return absl::StrCat(host, ":", port);
}

// RUST_LOG is a level, or a list of MODULE=LEVEL.
absl::Status LogLevel(const Settings& settings, absl::string_view service,
                      Draft& draft) {
  const Setting* setting = draft.Given(settings, "RUST_LOG");
  if (setting == nullptr) return absl::OkStatus();
  if (setting->text().find_first_of("=,") != std::string::npos) {
    draft.None(*setting, "There is one log_level for all modules.");
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string level, AsLogLevel(*setting));
  draft.config(service).Set("log_level", level);
  draft.Used(*setting, absl::StrCat(service, " log_level"));
  return absl::OkStatus();
}

class Proxy {
 public:
  Proxy(const ConvertInput& input, const Settings& settings)
      : input_(input), settings_(settings) {}

  absl::StatusOr<Conversion> Run() {
    draft_.NoneOfKnown(settings_);
    RETURN_IF_ERROR(Service());
    RETURN_IF_ERROR(Store());
    RETURN_IF_ERROR(Label());
    RETURN_IF_ERROR(Defaults());
    RETURN_IF_ERROR(Kubernetes());
    RETURN_IF_ERROR(AllowList());
    RETURN_IF_ERROR(AddGivenTenants(input_, draft_));
    const std::vector<std::string> ids = draft_.tenant_ids();
    for (const std::string& id : ids) draft_.tenant(id).set_upstream_id(kId);
    AddSender(input_, kId, ids, !allow_list_, kId, draft_);
    draft_.ToDo(
        "Only tenants that are in the registry are written for. Name those "
        "that no flag names with --tenant.");
    return draft_.Finish(settings_);
  }

 private:
  absl::Status Service() {
    ConfigDraft& config = draft_.config("ingest-gateway");
    ASSIGN_OR_RETURN(
        const std::string address,
        Address(settings_, 19093, "ingest-gateway listeners[0].listen_address",
                draft_));
    config.Set("listeners[0].listen_address", address);
    draft_.ToDo(
        "/metrics and health are on admin.listen_address, 127.0.0.1:9802, and "
        "not on the port for writes.");
    RETURN_IF_ERROR(LogLevel(settings_, "ingest-gateway", draft_));
    constexpr int64_t kMostBytes = int64_t{1} << 30;
    int64_t bytes = int64_t{100} << 20;
    if (const Setting* setting =
            draft_.Given(settings_, "content-length-limit")) {
      ASSIGN_OR_RETURN(bytes, AsInteger(*setting, 1, kMostBytes));
      draft_.Changed(*setting,
                     "ingest-gateway write.max_body, write.max_decoded_body",
                     "The body is bounded once decompressed, too.");
    }
    config.Set("write.max_body", absl::StrCat(bytes));
    config.Set("write.max_decoded_body", absl::StrCat(bytes));
    config.Set("write.max_buffered",
               absl::StrCat(std::max(bytes, int64_t{256} << 20)));
    if (const Setting* setting =
            draft_.Given(settings_, "max-parallel-request-per-load")) {
      ASSIGN_OR_RETURN(const int64_t most, AsInteger(*setting, 1, 65535));
      config.Set("write.max_parallel_parts", absl::StrCat(most));
      draft_.Used(*setting, "ingest-gateway write.max_parallel_parts");
    }
    return absl::OkStatus();
  }

  absl::Status Store() {
    v1::Upstream& upstream = draft_.upstream(kId);
    upstream.set_isolation(v1::Upstream::ISOLATION_HEADER);
    upstream.set_write_url("http://127.0.0.1:5000");
    if (const Setting* setting =
            draft_.Given(settings_, "ingester-upstream-url")) {
      ASSIGN_OR_RETURN(*upstream.mutable_write_url(), AsUrl(*setting));
      draft_.Changed(*setting, "Upstream/open-metrics-proxy write_url",
                     "What the store refuses for good is answered with 400, "
                     "what it can't take now with 503; each tenant is retried "
                     "by itself.");
    }
    return absl::OkStatus();
  }

  absl::Status Label() {
    std::vector<Value> labels = {{"", "tenant_id", ""}};
    const Setting* setting = draft_.Given(settings_, "tenant-label-list");
    if (setting != nullptr) labels = SplitAtCommas(*setting);
    if (labels.empty()) {
      draft_.Used(*setting, "Empty: no label is looked at.");
      return absl::OkStatus();
    }
    v1::ClaimRule& rule = draft_.claim_rule(kId);
    rule.set_label(labels[0].text);
    if (setting == nullptr) return absl::OkStatus();
    std::set<std::string> seen;
    for (const Value& label : labels) {
      RETURN_IF_ERROR(AsLabelName(*setting, label).status());
      if (!seen.insert(label.text).second || label.text == labels[0].text) {
        continue;
      }
      rule.add_labels(label.text);
    }
    draft_.Used(*setting, rule.labels().empty()
                              ? "ClaimRule/open-metrics-proxy label"
                              : "ClaimRule/open-metrics-proxy label, labels");
    return absl::OkStatus();
  }

  absl::Status Defaults() {
    std::vector<Value> defaults = {{"", "0", ""}};
    const Setting* setting = draft_.Given(settings_, "default-tenant-list");
    if (setting != nullptr) defaults = SplitAtCommas(*setting);
    bool replicate = true;
    if (const Setting* disable =
            draft_.Given(settings_, "disable-full-replication")) {
      ASSIGN_OR_RETURN(const bool disabled, AsBool(*disable));
      replicate = !disabled;
      draft_.Used(*disable, disabled ? "ClaimRule/open-metrics-proxy without "
                                       "default tenants"
                                     : "Nothing: it is the default.");
    }
    if (setting != nullptr) {
      for (const Value& value : defaults) {
        RETURN_IF_ERROR(AsTenantId(*setting, value).status());
      }
    }
    if (!replicate || defaults.empty()) {
      if (setting != nullptr) {
        draft_.Used(*setting, "Nothing: full replication is disabled.");
      }
      if (!draft_.has_claim_rule(kId)) {
        return absl::InvalidArgumentError(
            "no label and no default tenant: every series would be refused");
      }
      return absl::OkStatus();
    }
    v1::ClaimRule& rule = draft_.claim_rule(kId);
    rule.set_default_tenant_id(defaults[0].text);
    rule.set_full_replication(true);
    std::set<std::string> seen;
    for (const Value& value : defaults) {
      draft_.tenant(value.text);
      if (!seen.insert(value.text).second || value.text == defaults[0].text) {
        continue;
      }
      rule.add_default_tenant_ids(value.text);
    }
    if (setting != nullptr) {
      draft_.Used(*setting,
                  "Tenant, ClaimRule/open-metrics-proxy default_tenant_id, "
                  "default_tenant_ids, full_replication");
    } else {
      draft_.ToDo(
          "--default-tenant-list was not given, its default is used: every "
          "series goes to tenant 0 as well. If nobody reads it there, take "
          "full_replication out of ClaimRule/open-metrics-proxy.");
    }
    return absl::OkStatus();
  }

  absl::Status AllowList() {
    const Setting* setting = draft_.Given(settings_, "allow-listed-tenants");
    if (setting == nullptr) return absl::OkStatus();
    for (const Value& value : SplitAtCommas(*setting)) {
      ASSIGN_OR_RETURN(const std::string id, AsTenantId(*setting, value));
      draft_.tenant(id);
      allow_list_ = !kubernetes_;
    }
    if (allow_list_) AllowOnlyThoseSoFar();
    if (kubernetes_) {
      draft_.Changed(*setting, "Tenant",
                     "Tenants of Kubernetes objects are allowed, too, and are "
                     "not known here: the Binding of the senders is for every "
                     "tenant of the registry, and not for these alone.");
    } else {
      draft_.Used(*setting,
                  "Tenant, ClaimRule/open-metrics-proxy allowed_tenant_ids, "
                  "Binding/open-metrics-proxy tenant_ids");
    }
    return absl::OkStatus();
  }

  // Labels may name the tenants of the list and the default ones.
  void AllowOnlyThoseSoFar() {
    if (!draft_.has_claim_rule(kId)) return;
    v1::ClaimRule& rule = draft_.claim_rule(kId);
    if (rule.label().empty()) return;
    const std::vector<std::string> ids = draft_.tenant_ids();
    if (ids.size() > kMaxAllowed) {
      draft_.ToDo(absl::StrCat("They are more than the ", kMaxAllowed,
                               " that allowed_tenant_ids may have: labels may "
                               "name every tenant of the registry."));
      return;
    }
    for (const std::string& id : ids) {
      rule.add_allowed_tenant_ids(id);
    }
  }

  absl::Status Kubernetes() {
    std::string name = "default";
    const Setting* variable =
        draft_.Given(settings_, "OPEN_METRICS_PROXY_NAMESPACE");
    if (variable != nullptr) name = variable->text();
    const Setting* poll =
        draft_.Given(settings_, "kubernetes-poll-interval-seconds");
    int64_t seconds = 0;
    if (poll != nullptr) {
      ASSIGN_OR_RETURN(seconds, AsInteger(*poll, 0, UINT32_MAX));
    }
    if (seconds == 0) {
      if (poll != nullptr) {
        draft_.Used(*poll, "Nothing: no Kubernetes is asked.");
      }
      if (variable != nullptr) {
        draft_.Used(*variable, "Nothing: no Kubernetes is asked.");
      }
      return absl::OkStatus();
    }
    v1::Policy& policy = draft_.policy(kId);
    policy.add_namespaces(name);
    policy.set_every_tenant(true);
    policy.set_upstream_id(kId);
    draft_.Changed(
        *poll, "Policy/open-metrics-proxy",
        "The tenant-registry reads OpenMetricsRule and "
        "MetricsIngestionTenant objects, and follows them instead of "
        "polling. The policy lets them declare every tenant, as "
        "they could; name tenant_ids if that is too much.");
    if (variable != nullptr) {
      draft_.Used(*variable, "Policy/open-metrics-proxy namespaces");
    }
    kubernetes_ = true;
    return absl::OkStatus();
  }

  const ConvertInput& input_;
  const Settings& settings_;
  Draft draft_{System::kOpenMetricsProxy};
  bool kubernetes_ = false;
  bool allow_list_ = false;
};

absl::StatusOr<Conversion> ConvertInformer(const ConvertInput& input,
                                           const Settings& settings) {
  Draft draft(System::kOpenMetricsProxy);
  draft.NoneOfKnown(settings);
  RETURN_IF_ERROR(LogLevel(settings, "rule-sync", draft));
  ConfigDraft& config = draft.config("rule-sync");
  ASSIGN_OR_RETURN(
      const std::string address,
      Address(settings, 20093, "rule-sync admin.listen_address", draft));
  config.Set("admin.listen_address", address);
  config.Set("rules.directory", "/etc/insula/rules");
  std::string url = "http://127.0.0.1:8080";
  if (const Setting* setting = draft.Given(settings, "ruler-upstream-url")) {
    ASSIGN_OR_RETURN(url, AsUrl(*setting));
    draft.Used(*setting, "RuleTarget/open-metrics-informer url");
  }
  v1::RuleTarget& target = draft.rule_target(kRulerId);
  target.set_type(v1::RuleTarget::TYPE_CORTEX);
  target.set_isolation(v1::Upstream::ISOLATION_HEADER);
  target.set_url(std::string(absl::StripSuffix(url, "/")));
  int64_t seconds = 40;
  if (const Setting* setting =
          draft.Given(settings, "updater-poll-interval-seconds")) {
    ASSIGN_OR_RETURN(seconds, AsInteger(*setting, 0, 86400));
    draft.Changed(*setting, "rule-sync targets.resync_interval",
                  "Changes go to the ruler at once; at this interval it is "
                  "looked whether it still has them.");
  }
  if (seconds > 0) {
    config.Set("targets.resync_interval",
               absl::FormatDuration(absl::Seconds(seconds)));
  }
  if (const Setting* setting =
          draft.Given(settings, "OPEN_METRICS_INFORMER_NAMESPACE")) {
    draft.Changed(*setting, "",
                  "Rules come from rules.directory, a directory for each "
                  "tenant, and are kept in namespaces insula/FILE of the ruler "
                  "(rulers.namespace_prefix), apart from those that the "
                  "informer made. Remove the informer's when the new ones are "
                  "ACTIVE.");
  }
  RETURN_IF_ERROR(AddGivenTenants(input, draft));
  for (const std::string& id : draft.tenant_ids()) {
    draft.tenant(id).set_rule_target_id(kRulerId);
  }
  draft.ToDo(
      "Give each tenant with rules `rule_target_id: open-metrics-informer`, or "
      "convert again with --tenant. Rules of OpenMetricsRule objects go, as "
      "files of Prometheus, to rules.directory/TENANT.");
  return draft.Finish(settings);
}

// Whether it is a flag or variable that the informer has and the proxy has not.
bool IsOfTheInformer(const Argument& argument) {
  absl::string_view word = argument.text;
  while (absl::ConsumePrefix(&word, "-")) {
  }
  const absl::string_view name = word.substr(0, word.find('='));
  auto has = [name](absl::Span<const Known> table) {
    return std::any_of(table.begin(), table.end(), [name](const Known& known) {
      return known.name == name;
    });
  };
  return has(kInformerKnown) && !has(kProxyKnown);
}

}  // namespace

std::vector<std::string> OpenMetricsProxySettings() {
  std::vector<std::string> names = NamesOf({}, kProxyKnown);
  for (std::string& name : NamesOf({}, kInformerKnown)) {
    names.push_back(std::move(name));
  }
  return names;
}

absl::StatusOr<Conversion> ConvertOpenMetricsProxy(const ConvertInput& input) {
  const bool informer =
      std::any_of(input.flags.begin(), input.flags.end(), IsOfTheInformer);
  Settings settings(informer ? kRulerId : kId, {},
                    informer ? absl::MakeConstSpan(kInformerKnown)
                             : absl::MakeConstSpan(kProxyKnown));
  RETURN_IF_ERROR(settings.ReadFlags(input.flags));
  return informer ? ConvertInformer(input, settings)
                  : Proxy(input, settings).Run();
}

}  // namespace insula::insulactl
