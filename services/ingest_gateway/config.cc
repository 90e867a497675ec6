#include "services/ingest_gateway/config.h"

#include "absl/strings/str_cat.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::ingest_gateway {
namespace {

absl::Status AtLeastOne(absl::string_view key, int64_t value) {
  if (value >= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, ": must be at least 1, is ", value));
}

}  // namespace

ListenerConfig::ListenerConfig()
    : edge::ListenerConfig("write", "127.0.0.1:19093") {}

void ListenerConfig::Describe(config::Fields& fields) {
  DescribeAs("Where to take writes.", fields);
}

void WriteConfig::Describe(config::Fields& fields) {
  fields.Add("max_body", max_body, "Longest body as received; 413 above it.");
  fields.Add("max_decoded_body", max_decoded_body,
             "Longest body once decompressed; 413 above it.");
  fields.Add("max_buffered", max_buffered,
             "Bodies held by each listener at once; 503 above it.");
  fields.Add("max_series", max_series, "Most series of a request; else 413.");
  fields.Add("max_labels", max_labels,
             "Most labels of all series of a request; else 413.");
  fields.Add("max_samples", max_samples,
             "Most samples and histograms of a request; else 413.");
  fields.Add("utf8_names", utf8_names,
             "Take any UTF-8 in metric and label names, as Prometheus 3 does.");
  fields.Add("timeout", timeout, "Longest time from a request to its answer.");
  fields.Add("idle_timeout", idle_timeout,
             "How long a connection stays open without a request.");
  fields.Add("max_parallel_parts", max_parallel_parts,
             "Tenants of a request that are delivered at the same time.");
  fields.Add("max_upstream_connections", max_upstream_connections,
             "Open connections to each upstream host.");
  fields.Add("refused_networks", refused_networks,
             "Addresses and networks (10.1.0.0/16) that no upstream may have.");
  fields.Add("remembered_parts", remembered_parts,
             "Parts kept of requests that must be sent again, for 5 minutes.");
  fields.Add(
      "series_memory", series_memory,
      "Memory for what is known of series that are sent again and again; "
      "40 to 80 bytes each, once for each worker thread.");
}

absl::Status WriteConfig::Validate() const {
  RETURN_IF_ERROR(AtLeastOne("write.max_body", max_body.value));
  RETURN_IF_ERROR(AtLeastOne("write.max_decoded_body", max_decoded_body.value));
  RETURN_IF_ERROR(AtLeastOne("write.max_series", max_series));
  RETURN_IF_ERROR(AtLeastOne("write.max_labels", max_labels));
  RETURN_IF_ERROR(AtLeastOne("write.max_samples", max_samples));
  RETURN_IF_ERROR(AtLeastOne("write.max_parallel_parts", max_parallel_parts));
  RETURN_IF_ERROR(
      AtLeastOne("write.max_upstream_connections", max_upstream_connections));
  RETURN_IF_ERROR(AtLeastOne("write.remembered_parts", remembered_parts));
  if (max_decoded_body.value > uint64_t{1} << 30) {
    return absl::InvalidArgumentError(
        "write.max_decoded_body: must be at most 1GiB");
  }
  if (max_buffered.value < max_body.value) {
    return absl::InvalidArgumentError(
        "write.max_buffered: must be at least write.max_body");
  }
  if (timeout < absl::Seconds(2)) {
    return absl::InvalidArgumentError("write.timeout: must be at least 2s");
  }
  if (idle_timeout < absl::Seconds(1)) {
    return absl::InvalidArgumentError(
        "write.idle_timeout: must be at least 1s");
  }
  return Annotate(http::Networks::Parse(refused_networks).status(),
                  "write.refused_networks");
}

http::ServerOptions WriteConfig::ServerLimits() const {
  http::ServerOptions options;
  options.max_body_bytes = max_body.value;
  options.max_buffered_bytes = max_buffered.value;
  // A little more than the handler takes at most.
  options.request_timeout = timeout + absl::Seconds(2);
  options.idle_timeout = idle_timeout;
  return options;
}

http::ClientOptions WriteConfig::ClientOptions() const {
  http::ClientOptions options;
  options.name = "upstream";
  // A store answers a write with a few words.
  options.max_response_bytes = 64 << 10;
  options.max_connections_per_host = max_upstream_connections;
  // Validate() has parsed them.
  options.refused_networks = http::Networks::Parse(refused_networks).value();
  return options;
}

remote_write::Bounds WriteConfig::SplitBounds() const {
  remote_write::Bounds bounds;
  bounds.max_series = max_series;
  bounds.max_labels = max_labels;
  bounds.max_samples = max_samples;
  bounds.max_output_bytes = 4 * max_decoded_body.value;
  return bounds;
}

remote_write::NameScheme WriteConfig::name_scheme() const {
  return utf8_names ? remote_write::NameScheme::kUtf8
                    : remote_write::NameScheme::kLegacy;
}

void QueueConfig::Describe(config::Fields& fields) {
  fields.Add("dir", dir,
             "Directory for what a store does not take at once. Empty: nothing "
             "is queued, senders keep it.");
  fields.Add("mode", mode,
             "spill: queue what a store does not take in time; always: queue "
             "everything first; none: queue nothing.");
  fields.Add("max_bytes", max_bytes,
             "Most that waits of all tenants, compressed; the files may take "
             "twice that.");
  fields.Add("max_tenant_bytes", max_tenant_bytes,
             "Most that waits of a tenant whose Limits do not say.");
  fields.Add("min_free", min_free,
             "Nothing is queued while less is free on the disk.");
  fields.Add("max_age", max_age, "What has waited for longer is dropped.");
  fields.Add("direct_timeout", direct_timeout,
             "A store that takes longer to answer is late: the part is "
             "queued.");
  fields.Add("deleted_tenant_grace", deleted_tenant_grace,
             "The queue of a tenant is dropped when it has been gone from the "
             "registry for so long.");
  fields.Add("max_parallel", max_parallel,
             "Tenants whose queues are sent at the same time.");
}

absl::Status QueueConfig::Validate() const {
  if (mode != "spill" && mode != "always" && mode != "none") {
    return absl::InvalidArgumentError(absl::StrCat(
        "queue.mode: must be spill, always or none, is '", mode, "'"));
  }
  if (mode == "always" && dir.empty()) {
    return absl::InvalidArgumentError(
        "queue.mode: always needs queue.dir, a directory on a disk that stays");
  }
  RETURN_IF_ERROR(AtLeastOne("queue.max_parallel", max_parallel));
  if (max_tenant_bytes.value > max_bytes.value) {
    return absl::InvalidArgumentError(
        "queue.max_tenant_bytes: must be at most queue.max_bytes");
  }
  if (max_tenant_bytes.value < 64 << 10) {
    return absl::InvalidArgumentError(
        "queue.max_tenant_bytes: must be at least 64KiB");
  }
  if (max_age < absl::Seconds(1)) {
    return absl::InvalidArgumentError("queue.max_age: must be at least 1s");
  }
  if (direct_timeout < absl::Milliseconds(10)) {
    return absl::InvalidArgumentError(
        "queue.direct_timeout: must be at least 10ms");
  }
  return absl::OkStatus();
}

spool::Spool::Options QueueConfig::SpoolOptions() const {
  spool::Spool::Options options;
  options.directory = dir;
  options.max_bytes = max_bytes.value;
  options.max_tenant_bytes = max_tenant_bytes.value;
  options.max_age = max_age;
  options.min_free_bytes = min_free.value;
  return options;
}

void GrpcConfig::Describe(config::Fields& fields) {
  fields.Add("listen_address", listen_address, "Where to serve gRPC.");
}

Config::Config() {
  process.admin_listen_address = "127.0.0.1:9802";
  registry.client_id = registry_client::ClientId("ingest-gateway");
}

void Config::Describe(config::Fields& fields) {
  process.Describe(fields);
  internal.Describe(fields);
  fields.AddGroup("grpc", grpc);
  fields.AddGroup("registry", registry);
  fields.AddGroup("write", write);
  fields.AddGroup("audit", audit);
  fields.AddList("credentials", credentials, "What upstreams are shown.");
  fields.AddGroup("queue", queue);
  fields.AddGroup("dead_letters", dead_letters);
  fields.AddList("listeners", listeners, "Where senders connect.");
}

absl::Status Config::Validate() const {
  RETURN_IF_ERROR(process.Validate());
  RETURN_IF_ERROR(audit.Validate());
  RETURN_IF_ERROR(write.Validate());
  RETURN_IF_ERROR(outbound::ValidateCredentials("credentials", credentials));
  RETURN_IF_ERROR(queue.Validate());
  RETURN_IF_ERROR(dead_letters.Validate());
  RETURN_IF_ERROR(edge::ValidateListeners("listeners", edge::Plain(listeners)));
  return internal.Validate({{"grpc.listen_address", grpc.listen_address},
                            {"registry.address", registry.address}});
}

registry_client::Options Config::RegistryOptions() const {
  registry_client::Options options = registry;
  options.tls = internal.client();
  return options;
}

}  // namespace insula::ingest_gateway
