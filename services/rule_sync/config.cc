#include "services/rule_sync/config.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::rule_sync {
namespace {

absl::Status Wrong(absl::string_view key, absl::string_view cure) {
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", cure));
}

absl::Status Between(absl::string_view key, uint64_t value, uint64_t least,
                     uint64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return Wrong(key,
               absl::StrCat("must be ", least, " to ", most, ", is ", value));
}

absl::Status Between(absl::string_view key, absl::Duration value,
                     absl::Duration least, absl::Duration most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return Wrong(key, absl::StrCat("must be ", absl::FormatDuration(least),
                                 " to ", absl::FormatDuration(most)));
}

absl::Status CheckDialect(absl::string_view key, absl::string_view value) {
  if (value == "prometheus-2.42" || value == "prometheus-3") {
    return absl::OkStatus();
  }
  return Wrong(key, "must be prometheus-2.42 or prometheus-3");
}

bool IsOf(absl::string_view text, absl::string_view more) {
  return std::all_of(text.begin(), text.end(), [more](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::StrContains(more, c);
  });
}

constexpr char kDialectHelp[] =
    "What the evaluators understand: prometheus-2.42 or prometheus-3.";

}  // namespace

void GrpcConfig::Describe(config::Fields& fields) {
  fields.Add("listen_address", listen_address, "Where to serve gRPC.");
}

void RulesConfig::Describe(config::Fields& fields) {
  fields.Add("directory", directory,
             "Where rules come from: a directory for each tenant, of its id, "
             "with *.yaml and *.yml in it.");
  fields.Add("rescan_interval", rescan_interval,
             "How often the directory is looked at; SIGHUP does it at once.");
  fields.Add("max_file", max_file,
             "Longest rule file; longer ones are refused.");
  fields.Add("max_tenant", max_tenant,
             "Longest rule files of a tenant together; the rest is refused.");
  fields.Add("max_files", max_files,
             "Most rule files of a tenant; the rest is refused.");
  fields.Add("max_deletion_percent", max_deletion_percent,
             "If more of a target's groups vanish at once, and more than 10, "
             "they are kept. 100: never.");
}

absl::Status RulesConfig::Validate() const {
  if (directory.empty()) {
    return Wrong("rules.directory", "must name the directory of rule files");
  }
  RETURN_IF_ERROR(Between("rules.rescan_interval", rescan_interval,
                          absl::Milliseconds(100), absl::Hours(1)));
  // Validate takes a file in a gRPC message.
  RETURN_IF_ERROR(Between("rules.max_file", max_file.value, 1024, 64 << 20));
  RETURN_IF_ERROR(Between("rules.max_tenant", max_tenant.value, max_file.value,
                          uint64_t{1} << 30));
  RETURN_IF_ERROR(
      Between("rules.max_files", static_cast<uint64_t>(max_files), 1, 10'000));
  return Between("rules.max_deletion_percent",
                 static_cast<uint64_t>(max_deletion_percent), 0, 100);
}

void RuleFilesConfig::Describe(config::Fields& fields) {
  fields.Add("directory", directory,
             "Where rule files for targets of TYPE_PROMETHEUS are kept, in a "
             "directory for each target, of its id. Empty: there are none.");
  fields.Add("dialect", dialect, kDialectHelp);
}

absl::Status RuleFilesConfig::Validate() const {
  return CheckDialect("rule_files.dialect", dialect);
}

void RulersConfig::Describe(config::Fields& fields) {
  fields.Add("namespace_prefix", namespace_prefix,
             "First part of the namespaces that are kept in targets of "
             "TYPE_CORTEX. No others are touched.");
  fields.Add("namespace_separator", namespace_separator,
             "What stands between that and the name of a rule file.");
  fields.Add("dialect", dialect, kDialectHelp);
}

absl::Status RulersConfig::Validate() const {
  if (namespace_prefix.empty() || namespace_prefix.size() > 50 ||
      !IsOf(namespace_prefix, "_.-")) {
    return Wrong("rulers.namespace_prefix",
                 "must be 1 to 50 of [A-Za-z0-9_.-]");
  }
  const absl::string_view separator = namespace_separator;
  if (separator.empty() || separator.size() > 10 ||
      !IsOf(separator, "/_.:~-") ||
      absl::StrContains(namespace_prefix, separator)) {
    return Wrong("rulers.namespace_separator",
                 "must be 1 to 10 of [A-Za-z0-9/_.:~-] that the prefix does "
                 "not contain");
  }
  return CheckDialect("rulers.dialect", dialect);
}

void TargetsConfig::Describe(config::Fields& fields) {
  fields.Add("resync_interval", resync_interval,
             "How often a target is compared with what it must have, also "
             "without a change.");
  fields.Add("min_backoff", min_backoff,
             "First wait after a failure; it doubles with each further one.");
  fields.Add("max_backoff", max_backoff, "Longest wait after a failure.");
  fields.Add("max_parallel", max_parallel,
             "Tenants of one target that are worked on at the same time.");
  fields.Add("max_response", max_response,
             "Longest list of rules taken from a target.");
  fields.Add("connect_timeout", connect_timeout,
             "Longest wait for a connection to a target.");
  fields.Add("tls_ca_file", tls_ca_file,
             "CA of the targets' certificates, PEM. Empty: the system's.");
  fields.Add("tls_cert_file", tls_cert_file,
             "Certificate to show to targets, PEM.");
  fields.Add("tls_key_file", tls_key_file, "Its private key, PEM.");
  fields.Add("refused_networks", refused_networks,
             "Addresses and networks (10.1.0.0/16) that no target may have.");
  fields.Add("ledger_file", ledger_file,
             "File that names what has been written to, so that it is emptied "
             "even if its tenant or target is gone after a restart; beside it, "
             "as FILE.owners, for which tenant each rule file was written. "
             "Empty: none.");
}

absl::Status TargetsConfig::Validate() const {
  RETURN_IF_ERROR(Between("targets.resync_interval", resync_interval,
                          absl::Milliseconds(100), absl::Hours(24)));
  RETURN_IF_ERROR(Between("targets.min_backoff", min_backoff,
                          absl::Milliseconds(10), absl::Hours(1)));
  RETURN_IF_ERROR(Between("targets.max_backoff", max_backoff, min_backoff,
                          absl::Hours(24)));
  RETURN_IF_ERROR(Between("targets.max_parallel",
                          static_cast<uint64_t>(max_parallel), 1, 1000));
  RETURN_IF_ERROR(Between("targets.max_response", max_response.value, 64 << 10,
                          uint64_t{1} << 30));
  RETURN_IF_ERROR(Between("targets.connect_timeout", connect_timeout,
                          absl::Milliseconds(10), absl::Minutes(10)));
  RETURN_IF_ERROR(Annotate(http::Networks::Parse(refused_networks).status(),
                           "targets.refused_networks"));
  if (tls_cert_file.empty() != tls_key_file.empty()) {
    return Wrong("targets.tls_cert_file",
                 "set targets.tls_key_file with it, or neither");
  }
  return absl::OkStatus();
}

Config::Config() {
  process.admin_listen_address = "127.0.0.1:9804";
  registry.client_id = registry_client::ClientId("rule-sync");
}

void Config::Describe(config::Fields& fields) {
  process.Describe(fields);
  internal.Describe(fields);
  fields.AddGroup("grpc", grpc);
  fields.AddGroup("registry", registry);
  fields.AddGroup("rules", rules);
  fields.AddGroup("rule_files", rule_files);
  fields.AddGroup("rulers", rulers);
  fields.AddGroup("targets", targets);
  fields.AddGroup("audit", audit);
  fields.AddList("credentials", credentials, "What targets are shown.");
}

absl::Status Config::Validate() const {
  RETURN_IF_ERROR(process.Validate());
  RETURN_IF_ERROR(rules.Validate());
  RETURN_IF_ERROR(rule_files.Validate());
  RETURN_IF_ERROR(rulers.Validate());
  RETURN_IF_ERROR(outbound::ValidateCredentials("credentials", credentials));
  RETURN_IF_ERROR(targets.Validate());
  RETURN_IF_ERROR(audit.Validate());
  return internal.Validate({{"grpc.listen_address", grpc.listen_address},
                            {"registry.address", registry.address}});
}

registry_client::Options Config::RegistryOptions() const {
  registry_client::Options options = registry;
  options.tls = internal.client();
  return options;
}

rpc::ServerOptions Config::ServerOptions(const rpc::CallerBindings* bindings,
                                         metrics::Registry* metrics,
                                         audit::AuditLog* audit_log) const {
  rpc::ServerOptions options =
      internal.ServerAt(grpc.listen_address, bindings, metrics, audit_log);
  // A file that is too long is answered, not cut off.
  options.max_receive_bytes = static_cast<int>(rules.max_file.value * 2);
  return options;
}

http::ClientOptions Config::ClientOptions() const {
  http::ClientOptions options;
  options.name = "target";
  options.max_response_bytes = targets.max_response.value;
  options.max_connections_per_host = targets.max_parallel;
  options.connect_timeout = targets.connect_timeout;
  // Validate() has parsed them.
  options.refused_networks =
      http::Networks::Parse(targets.refused_networks).value();
  if (!targets.tls_ca_file.empty() || !targets.tls_cert_file.empty()) {
    options.tls.emplace();
    options.tls->ca_file = targets.tls_ca_file;
    options.tls->cert_file = targets.tls_cert_file;
    options.tls->key_file = targets.tls_key_file;
  }
  return options;
}

}  // namespace insula::rule_sync
