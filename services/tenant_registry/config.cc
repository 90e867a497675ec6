#include "services/tenant_registry/config.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/status/status_macros.h"

namespace insula::tenant_registry {

void GrpcConfig::Describe(config::Fields& fields) {
  fields.Add("listen_address", listen_address, "Where to serve gRPC.");
}

void StorageConfig::Describe(config::Fields& fields) {
  fields.Add("path", path, "The SQLite file; made if there is none.");
  fields.Add("keep_changes", keep_changes,
             "Revisions that a follower may be behind without starting over.");
  fields.Add("keep_changes_for", keep_changes_for,
             "How long it may be behind without starting over.");
  fields.Add("keep_audit_for", keep_audit_for,
             "How long the audit of changes is kept.");
}

void SourcesConfig::Describe(config::Fields& fields) {
  fields.Add("files", files, "Resource files (YAML) to import and to follow.");
  fields.Add("max_deletion_percent", max_deletion_percent,
             "If more objects vanish from a file at once, and more than 10, "
             "they are kept. 100: never.");
  fields.Add("poll_interval", poll_interval,
             "How often to look for changes that inotify missed.");
}

void KubernetesConfig::Describe(config::Fields& fields) {
  fields.Add("enabled", enabled,
             "Take tenants and grants from Kubernetes objects.");
  fields.Add("kubeconfig", kubeconfig,
             "File that says where the cluster is. Empty: that of the pod.");
  fields.Add("context", context,
             "Context of the kubeconfig. Empty: its current one.");
  fields.Add("namespaces", namespaces, "Namespaces to follow; none: all.");
  fields.Add("kinds", kinds,
             "Kinds to follow: metricaccesses, openmetricsrules, "
             "metricsingestiontenants; none: all.");
  fields.Add("max_deletion_percent", max_deletion_percent,
             "If more objects vanish within a minute, and more than 10, they "
             "are kept. 100: never.");
  fields.Add("write_status", write_status,
             "Say in the status of the objects what became of them.");
  fields.Add("status_writes_per_second", status_writes_per_second,
             "Most statuses written a second.");
}

void WatchConfig::Describe(config::Fields& fields) {
  fields.Add("queue", queue,
             "Changes that may wait for a follower before it is cut off.");
  fields.Add("max_watchers", max_watchers, "Most followers at a time.");
  fields.Add("write_timeout", write_timeout,
             "Longest wait for a follower to take a message.");
  fields.Add("progress_interval", progress_interval,
             "How often an idle follower hears that it is up to date.");
}

void TenantsConfig::Describe(config::Fields& fields) {
  fields.Add("deletion_grace", deletion_grace,
             "How long a tenant that is DELETING can be brought back; then it "
             "is deleted.");
  fields.Add("retire_identities_for", retire_identities_for,
             "How long no other tenant gets the org id or the enforced labels "
             "of a former one: as long as stores keep series. 0s: not at all.");
  fields.Add("max_retired_identities", max_retired_identities,
             "Most of these that are remembered; beyond, the oldest go.");
}

void LeasesConfig::Describe(config::Fields& fields) {
  fields.Add("ttl", ttl,
             "An instance that has not been heard of for so long is gone.");
}

void Config::Describe(config::Fields& fields) {
  process.Describe(fields);
  internal.Describe(fields);
  fields.AddGroup("grpc", grpc);
  fields.AddGroup("storage", storage);
  fields.AddGroup("sources", sources);
  fields.AddGroup("kubernetes", kubernetes);
  fields.AddGroup("watch", watch);
  fields.AddGroup("tenants", tenants);
  fields.AddGroup("leases", leases);
  fields.AddGroup("audit", audit);
}

absl::Status Config::Validate() const {
  RETURN_IF_ERROR(process.Validate());
  RETURN_IF_ERROR(audit.Validate());
  auto wrong = [](absl::string_view key, absl::string_view cure) {
    return absl::InvalidArgumentError(absl::StrCat(key, ": ", cure));
  };
  if (storage.path.empty()) return wrong("storage.path", "must not be empty");
  if (storage.keep_changes < 1) {
    return wrong("storage.keep_changes", "must be at least 1");
  }
  if (storage.keep_changes_for < absl::Minutes(1)) {
    return wrong("storage.keep_changes_for", "must be at least 1m");
  }
  if (storage.keep_audit_for < absl::Hours(1)) {
    return wrong("storage.keep_audit_for", "must be at least 1h");
  }
  const std::set<std::string> files(sources.files.begin(), sources.files.end());
  if (files.size() != sources.files.size() || files.contains("")) {
    return wrong("sources.files", "has an empty or repeated path");
  }
  if (sources.max_deletion_percent < 0 || sources.max_deletion_percent > 100) {
    return wrong("sources.max_deletion_percent", "must be 0 to 100");
  }
  if (sources.poll_interval < absl::Milliseconds(100)) {
    return wrong("sources.poll_interval", "must be at least 100ms");
  }
  RETURN_IF_ERROR(CheckKubeSource(kubernetes));
  if (watch.queue < 1) return wrong("watch.queue", "must be at least 1");
  if (watch.max_watchers < 1) {
    return wrong("watch.max_watchers", "must be at least 1");
  }
  if (watch.write_timeout < absl::Milliseconds(100)) {
    return wrong("watch.write_timeout", "must be at least 100ms");
  }
  if (watch.progress_interval < absl::Milliseconds(100)) {
    return wrong("watch.progress_interval", "must be at least 100ms");
  }
  if (tenants.deletion_grace < absl::Seconds(1)) {
    return wrong("tenants.deletion_grace", "must be at least 1s");
  }
  if (tenants.retire_identities_for < absl::ZeroDuration()) {
    return wrong("tenants.retire_identities_for", "must be at least 0s");
  }
  if (tenants.max_retired_identities < 1 ||
      tenants.max_retired_identities > 1'000'000) {
    return wrong("tenants.max_retired_identities", "must be 1 to 1000000");
  }
  if (leases.ttl < absl::Seconds(3) || leases.ttl > absl::Minutes(10)) {
    return wrong("leases.ttl", "must be from 3s to 10m");
  }
  return internal.Validate({{"grpc.listen_address", grpc.listen_address}});
}

RegistryOptions Config::registry_options() const {
  RegistryOptions options;
  options.keep_changes = storage.keep_changes;
  options.keep_changes_for = storage.keep_changes_for;
  options.keep_audit_for = storage.keep_audit_for;
  options.deletion_grace = tenants.deletion_grace;
  options.retire_identities_for = tenants.retire_identities_for;
  options.max_retired_identities = tenants.max_retired_identities;
  options.lease_ttl = leases.ttl;
  options.backup_path = absl::StrCat(storage.path, ".backup");
  options.watch_queue = watch.queue;
  options.max_watchers = watch.max_watchers;
  return options;
}

}  // namespace insula::tenant_registry
